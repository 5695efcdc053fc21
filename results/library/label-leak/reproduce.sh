#!/usr/bin/env bash
# https://github.com/moby/buildkit/pull/6713
# a stage takes the label of a stage that it copies from
#
# Measured at fb6bd2552569 (fb6bd25525697478239a7ad8c54047f3ff1fa368): bad, leaked in 1 of 1 trials.
# That version, in a clone of https://github.com/moby/buildkit:
#   git checkout fb6bd25525697478239a7ad8c54047f3ff1fa368
#   go build -o bin/ ./cmd/buildkitd ./cmd/buildctl
#
# Run it as root: bash reproduce.sh. What it needs:
# - in PATH: buildkitd and buildctl of the version to test, and runc
# - in PATH: jq and curl, to read the images that steps write

set -u
umask 022
cd "$(mktemp -d)" && echo "files are in $PWD"
export BUILDKIT_HOST=unix://$PWD/buildkitd.sock
mkdir context dockerfiles

cat > dockerfiles/Dockerfile <<'EOF'
FROM scratch AS base
LABEL marker=base

FROM base AS sibling
LABEL marker=sibling
COPY file /file

FROM base AS consumer
COPY --from=sibling / /
EOF

cat > buildkitd.toml <<'EOF'
[worker.containerd]
  enabled = false
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

start --oci-worker-snapshotter "$SNAPSHOTTER"

# step context
mkdir -p context
rm -f context/file
printf %s text > context/file

# step sibling
buildctl build \
  --progress=plain \
  --frontend=dockerfile.v0 \
  --local=context=context \
  --local=dockerfile=dockerfiles \
  --opt=filename=Dockerfile \
  --opt=target=sibling \
  --output=type=oci,dest=sibling.tar 2>&1 | tee sibling.log
echo "${PIPESTATUS[0]}" > sibling.exit
[ "$(cat sibling.exit)" != 0 ] || {
echo '-- sibling, config.config.Labels.marker of sibling.tar'
documents sibling.tar | jq '.["config"]["config"]["Labels"]["marker"]'
} > sibling.outputs

# step consumer
buildctl build \
  --progress=plain \
  --frontend=dockerfile.v0 \
  --local=context=context \
  --local=dockerfile=dockerfiles \
  --opt=filename=Dockerfile \
  --output=type=oci,dest=consumer.tar 2>&1 | tee consumer.log
echo "${PIPESTATUS[0]}" > consumer.exit
[ "$(cat consumer.exit)" != 0 ] || {
echo '-- consumer, config.config.Labels.marker of consumer.tar'
documents consumer.tar | jq '.["config"]["config"]["Labels"]["marker"]'
} > consumer.outputs

stop
echo
for step in sibling consumer; do echo "$step: exit $(cat $step.exit)"; done
[ ! -f sibling.outputs ] || cat sibling.outputs
[ ! -f consumer.outputs ] || cat consumer.outputs
cat <<'EOF'

The first that holds:
good (own-label): each image has the label of its own stage.
    in sibling, the image's config.config.Labels.marker has "^sibling$"; in consumer, the image's config.config.Labels.marker has "^base$".
bad (leaked): the image has the label of a stage that it copies from.
    in sibling, the image's config.config.Labels.marker has "^sibling$"; in consumer, the image's config.config.Labels.marker has "^sibling$".
EOF
