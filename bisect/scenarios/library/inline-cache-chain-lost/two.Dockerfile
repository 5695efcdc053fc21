# It has a layer more, because images with the same diff ids share a cache key.
FROM scratch
COPY busybox /bin/ls
COPY busybox /bin/cat
