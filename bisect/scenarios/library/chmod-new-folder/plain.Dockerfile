FROM scratch
COPY file /new/path/
