ARG BASE
FROM ${BASE}
RUN echo context > /marker
