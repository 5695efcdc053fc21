# The base of the final stage. It shares no layer with any other base.
FROM scratch
COPY busybox <<final /bin/
in the first layer
final
COPY rootfs/ <<final /
in the second layer
final
