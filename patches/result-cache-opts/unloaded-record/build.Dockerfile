FROM scratch
COPY busybox /bin/busybox
COPY rootfs/ /
