ARG BASE=scratch
FROM ${BASE}
COPY file /file
