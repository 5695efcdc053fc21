#!/usr/bin/env bash
# https://github.com/moby/buildkit/issues/6217
# EXPOSE in an image's history
#
# Measured at b3edecb70998 (b3edecb709988d3e184de0468880d4cf764de8a1): bad, no-port in 2 of 2 trials.
# That version, in a clone of https://github.com/moby/buildkit:
#   git checkout b3edecb709988d3e184de0468880d4cf764de8a1
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

cat > dockerfiles/one.Dockerfile <<'EOF'
FROM scratch
COPY file /file
EXPOSE 2375
EOF

cat > dockerfiles/Dockerfile <<'EOF'
FROM scratch
COPY file /file
EXPOSE 2375 5000 1234/udp
EOF

guard() {
  local path at rest
  for path; do
    at=${path%%/*} rest=${path#*/}
    while [[ $rest == */* ]]; do
      at+=/${rest%%/*} rest=${rest#*/}
      [ ! -L "$at" ] || { echo "$at is a symbolic link, which steps do not follow"; return 1; }
    done
  done
}

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
( set -e
guard context/file
mkdir -p context
rm -f context/file
printf %s text > context/file
) 2>&1 | tee context.log
echo "${PIPESTATUS[0]}" > context.exit

# step one
buildctl build \
  --progress=plain \
  --frontend=dockerfile.v0 \
  --local=context=context \
  --local=dockerfile=dockerfiles \
  --opt=filename=one.Dockerfile \
  --output=type=oci,dest=one.tar 2>&1 | tee one.log
echo "${PIPESTATUS[0]}" > one.exit
[ "$(cat one.exit)" != 0 ] || {
echo '-- one, config.history[-1].created_by of one.tar'
documents one.tar | jq '.["config"]["history"][-1]["created_by"]'
} > one.outputs

# step three
buildctl build \
  --progress=plain \
  --frontend=dockerfile.v0 \
  --local=context=context \
  --local=dockerfile=dockerfiles \
  --opt=filename=Dockerfile \
  --output=type=oci,dest=three.tar 2>&1 | tee three.log
echo "${PIPESTATUS[0]}" > three.exit
[ "$(cat three.exit)" != 0 ] || {
echo '-- three, config.history[-1].created_by of three.tar'
documents three.tar | jq '.["config"]["history"][-1]["created_by"]'
} > three.outputs

stop
echo
for step in context one three; do echo "$step: exit $(cat $step.exit)"; done
[ ! -f one.outputs ] || cat one.outputs
[ ! -f three.outputs ] || cat three.outputs
cat <<'EOF'

The first that holds:
good (all-ports): the history has all ports.
    in one, the image's config.history[-1].created_by has "EXPOSE.*2375"; in three, the image's config.history[-1].created_by has "EXPOSE.*2375"; in three, the image's config.history[-1].created_by has "5000"; in three, the image's config.history[-1].created_by has "1234".
bad (no-port): the history has a value in memory instead of the ports.
    in one, the image's config.history[-1].created_by has "^EXPOSE &"; in three, the image's config.history[-1].created_by has "^EXPOSE &".
EOF
