FROM scratch
COPY file /file
EXPOSE 2375
