ARG BASE=scratch
FROM ${BASE} AS files
RUN mkdir /test && echo text > /test/file && ln -s /test/target /test/link

FROM ${BASE}
COPY --from=files /test /test
RUN test -L /test/link && test -f /test/file
