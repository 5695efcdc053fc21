FROM base
COPY file /second
