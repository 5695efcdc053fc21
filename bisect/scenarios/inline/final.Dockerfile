# The base of the final stage. Its first layer differs from every other base's, so that
# no chain is shared.
FROM scratch
COPY busybox /bin/busybox
RUN ["/bin/busybox", "sh", "-c", "/bin/busybox --install -s /bin && echo final > /which"]
