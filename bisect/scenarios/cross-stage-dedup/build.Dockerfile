# The first layer is warm.Dockerfile's.
FROM scratch
COPY busybox /bin/busybox
COPY rootfs/ /
