# The base of the build stage.
FROM scratch
COPY busybox /bin/busybox
COPY rootfs/ /
