ARG BASE=scratch
FROM ${BASE} AS base
ONBUILD RUN echo filled > /state

FROM base
RUN echo notes > /notes.txt
