FROM scratch
COPY busybox /bin/busybox
COPY <<EOF /sbom.json
{"_type":"https://in-toto.io/Statement/v0.1","predicateType":"https://spdx.dev/Document","subject":[],"predicate":{"spdxVersion":"SPDX-2.3","dataLicense":"CC0-1.0","SPDXID":"SPDXRef-DOCUMENT","name":"files","documentNamespace":"https://example.com/files","creationInfo":{"creators":["Tool: files"],"created":"2023-01-01T00:00:00Z"},"files":[{"fileName":"/bin/busybox","SPDXID":"SPDXRef-busybox","checksums":[{"algorithm":"SHA1","checksumValue":"0000000000000000000000000000000000000000"}]}]}}
EOF
ENTRYPOINT ["/bin/busybox", "sh", "-c", "/bin/busybox cp /sbom.json $BUILDKIT_SCAN_DESTINATION/sbom.spdx.json"]
