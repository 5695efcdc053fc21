FROM scratch
COPY --from=out provenance.json /
