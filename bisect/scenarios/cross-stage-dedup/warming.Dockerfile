ARG BASE=scratch
FROM ${BASE}
RUN ["/bin/busybox", "sh", "-c", "echo warm > /warm"]
