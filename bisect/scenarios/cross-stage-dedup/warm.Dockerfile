FROM scratch
COPY busybox /sbin/busybox
