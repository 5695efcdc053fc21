#!/usr/bin/env bash
# https://github.com/moby/buildkit/issues/3809
# export on a base whose layer is present as another blob
#
# Measured at v0.12.5 (bac3f2b673f3f9d33e79046008e7a38e856b3dc6): bad, not-found in 2 of 2 trials.
# That version, in a clone of https://github.com/moby/buildkit:
#   git checkout bac3f2b673f3f9d33e79046008e7a38e856b3dc6
#   go build -o bin/ ./cmd/buildkitd ./cmd/buildctl
# BuildKit v0.25.0 built the base images; here the version to test does.
#
# Run it as root: bash reproduce.sh. What it needs:
# - in PATH: buildkitd and buildctl of the version to test, and runc
# - in PATH: a static busybox, for images (Debian: busybox-static)
# - in PATH: jq and curl, to read the images that steps write
# - a registry at 127.0.0.1:5000: docker run -d -p 127.0.0.1:5000:5000 registry:2

set -u
umask 022
cd "$(mktemp -d)" && echo "files are in $PWD"
export BUILDKIT_HOST=unix://$PWD/buildkitd.sock
mkdir context dockerfiles

cat > dockerfiles/one.Dockerfile <<'EOF'
FROM scratch
COPY busybox /bin/busybox
EOF

cat > dockerfiles/two.Dockerfile <<'EOF'
FROM scratch
COPY busybox /bin/busybox
RUN ["/bin/busybox", "sh", "-c", "echo more > /more"]
EOF

cat > dockerfiles/scanner.Dockerfile <<'EOF_'
FROM scratch
COPY busybox /bin/busybox
COPY <<EOF /sbom.json
{"_type":"https://in-toto.io/Statement/v0.1","predicateType":"https://spdx.dev/Document","subject":[],"predicate":{"spdxVersion":"SPDX-2.3","dataLicense":"CC0-1.0","SPDXID":"SPDXRef-DOCUMENT","name":"files","documentNamespace":"https://example.com/files","creationInfo":{"creators":["Tool: files"],"created":"2023-01-01T00:00:00Z"},"files":[{"fileName":"/bin/busybox","SPDXID":"SPDXRef-busybox","checksums":[{"algorithm":"SHA1","checksumValue":"0000000000000000000000000000000000000000"}]}]}}
EOF
ENTRYPOINT ["/bin/busybox", "sh", "-c", "/bin/busybox cp /sbom.json $BUILDKIT_SCAN_DESTINATION/sbom.spdx.json"]
EOF_

cat > dockerfiles/Dockerfile <<'EOF'
ARG BASE=scratch
FROM ${BASE}
RUN ["/bin/busybox", "sh", "-c", "echo new > /new"]
EOF

cat > buildkitd.toml <<'EOF'
[worker.containerd]
  enabled = false
[registry."127.0.0.1:5000"]
  http = true
EOF
SNAPSHOTTER=${SNAPSHOTTER:-overlayfs}
daemon=
start() {
  unshare --mount --pid --fork --kill-child --mount-proc \
    buildkitd --root "$PWD/state" --addr "$BUILDKIT_HOST" --config buildkitd.toml "$@" \
    >> buildkitd.log 2>&1 &
  daemon=$!
  until buildctl debug workers > workers.log 2>&1; do
    kill -0 "$daemon" || { tail buildkitd.log; exit 1; }
    sleep 0.2
  done
}
stop() {
  [ -n "$daemon" ] || return 0
  pkill -TERM -P "$daemon"
  wait "$daemon"
  daemon=
}
trap stop EXIT

blob() {
  local rest=${1#*/}
  if [ -d "$1" ]; then cat "$1/blobs/${2/://}"
  elif [ -f "$1" ]; then tar -xOf "$1" "blobs/${2/://}"
  else curl -sf "http://${1%%/*}/v2/${rest%:*}/blobs/$2"; fi
}
manifest() {
  local rest=${1#*/} oci=application/vnd.oci.image docker=application/vnd.docker.distribution
  if [ -e "$1" ]; then blob "$1" "$2"
  else
    curl -sf -H "Accept: $oci.index.v1+json, $oci.manifest.v1+json" \
      -H "Accept: $docker.manifest.list.v2+json, $docker.manifest.v2+json" \
      "http://${1%%/*}/v2/${rest%:*}/manifests/${2:-${rest##*:}}"
  fi
}
documents() {
  local layout=null index=null top image digest
  if [ -d "$1" ]; then layout=$(cat "$1/index.json")
  elif [ -f "$1" ]; then layout=$(tar -xOf "$1" index.json); fi
  digest=$(jq -r '.manifests[0].digest // ""' <<< "$layout")
  top=$(manifest "$1" "$digest")
  image=$top index=$layout
  if jq -e .manifests > /dev/null <<< "$top"; then
    index=$top
    digest=$(jq -r 'first(.manifests[] | select(
      .annotations["vnd.docker.reference.type"] != "attestation-manifest")).digest' <<< "$top")
    image=$(manifest "$1" "$digest")
  fi
  jq -n --argjson layout "$layout" --argjson index "$index" --argjson manifest "$image" \
    --argjson config "$(blob "$1" "$(jq -r .config.digest <<< "$image")")" \
    --slurpfile attestations <(attestations "$1" "$index" "$digest") \
    '{$layout, $index, $manifest, $config, $attestations, layers: [$manifest.layers,
      [$config.rootfs.diff_ids[]? | {diff_id: .}]] | transpose | map(add)}'
}
attestations() {
  local one layer type
  for one in $(jq -r --arg of "$3" '.manifests[]? | select(
    .annotations["vnd.docker.reference.digest"] == $of).digest' <<< "$2"); do
    manifest "$1" "$one" | jq -r '.layers[] | [.digest, .annotations["in-toto.io/predicate-type"]]
      | @tsv' | while read -r layer type; do
      blob "$1" "$layer" | jq --arg predicate_type "$type" '{$predicate_type, statement: .}'
    done
  done
}

# The base images.
mkdir base && cp "$(command -v busybox)" base/busybox
start --oci-worker-snapshotter native

buildctl build \
  --progress=plain \
  --frontend=dockerfile.v0 \
  --local=context=base \
  --local=dockerfile=dockerfiles \
  --opt=filename=one.Dockerfile \
  --output=type=image,name=127.0.0.1:5000/one:gzip,push=true,compression=gzip,force-compression=true,oci-mediatypes=true || exit 1

buildctl build \
  --progress=plain \
  --frontend=dockerfile.v0 \
  --local=context=base \
  --local=dockerfile=dockerfiles \
  --opt=filename=two.Dockerfile \
  --output=type=image,name=127.0.0.1:5000/two:zstd,push=true,compression=zstd,force-compression=true,oci-mediatypes=true || exit 1

buildctl build \
  --progress=plain \
  --frontend=dockerfile.v0 \
  --local=context=base \
  --local=dockerfile=dockerfiles \
  --opt=filename=scanner.Dockerfile \
  --output=type=image,name=127.0.0.1:5000/scanner:gzip,push=true,compression=gzip,force-compression=true,oci-mediatypes=true || exit 1

stop
rm -rf state

start --oci-worker-snapshotter "$SNAPSHOTTER"

# step first
buildctl build \
  --progress=plain \
  --frontend=dockerfile.v0 \
  --local=context=context \
  --local=dockerfile=dockerfiles \
  --opt=filename=Dockerfile \
  --opt=build-arg:BASE=127.0.0.1:5000/one:gzip \
  --output=type=oci,dest=one.tar 2>&1 | tee first.log
echo "${PIPESTATUS[0]}" > first.exit

# step second
buildctl build \
  --progress=plain \
  --frontend=dockerfile.v0 \
  --local=context=context \
  --local=dockerfile=dockerfiles \
  --opt=filename=Dockerfile \
  --opt=build-arg:BASE=127.0.0.1:5000/two:zstd \
  --opt=attest:sbom=generator=127.0.0.1:5000/scanner:gzip \
  --output=type=oci,dest=two.tar 2>&1 | tee second.log
echo "${PIPESTATUS[0]}" > second.exit
[ "$(cat second.exit)" != 0 ] || {
echo '-- second, attestations[0].statement of two.tar'
documents two.tar | jq '.["attestations"][0]["statement"]'
} > second.outputs

stop
echo
for step in first second; do echo "$step: exit $(cat $step.exit)"; done
echo '-- second, lines with content digest sha256:[0-9a-f]+: not found'
grep -P -m 3 'content digest sha256:[0-9a-f]+: not found' second.log
[ ! -f second.outputs ] || cat second.outputs
cat <<'EOF'

The first that holds:
good (exported): both images are exported, and the SBOM of the second one names the layer of its file.
    first exits 0; in second, the image's attestations[0].statement has "layerID: sha256:".
bad (not-found): the second export does not find a blob.
    first exits 0; second fails and prints "content digest sha256:[0-9a-f]+: not found".
EOF
