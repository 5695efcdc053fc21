FROM scratch
COPY frontend /bin/frontend
ENTRYPOINT ["/bin/frontend"]
