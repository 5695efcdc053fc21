FROM scratch
COPY busybox /sbin/busybox
RUN ["/sbin/busybox", "sh", "-c", "/sbin/busybox mkdir /bin && /sbin/busybox --install -s /bin"]
