ARG BASE=scratch
FROM ${BASE}
RUN ["/sbin/busybox", "sh", "-c", "echo warm > /warm"]
