ARG BASE=scratch
FROM ${BASE}
RUN echo replaced > /marker
