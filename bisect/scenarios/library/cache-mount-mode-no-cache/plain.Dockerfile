ARG BASE=scratch
FROM ${BASE}
ARG NAME=first
ARG FILES=1
RUN --mount=type=cache,target=/plain touch /plain/$NAME && test $(ls /plain | wc -l) = $FILES
