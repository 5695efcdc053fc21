#!/usr/bin/env bash
# https://github.com/moby/buildkit/issues/5556
# an OCI layout and an archive for Docker from one build
#
# Measured at a28666614b87 (a28666614b875f251ac9537f5702d947be72d5d8): bad, image-missing in 3 of 3 trials.
# That version, in a clone of https://github.com/moby/buildkit:
#   git checkout a28666614b875f251ac9537f5702d947be72d5d8
#   go build -o bin/ ./cmd/buildkitd ./cmd/buildctl
#
# Run it as root: bash reproduce.sh. What it needs:
# - in PATH: buildkitd and buildctl of the version to test, and runc
# - in PATH: jq, to read OCI layouts

set -u
umask 022
cd "$(mktemp -d)" && echo "files are in $PWD"
export BUILDKIT_HOST=unix://$PWD/buildkitd.sock
mkdir context dockerfiles

cat > dockerfiles/Dockerfile <<'EOF'
FROM scratch
COPY file /
EOF

cat > dockerfiles/child.Dockerfile <<'EOF'
FROM base
COPY file /second
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

digest() { jq -r '.manifests[-1].digest' "$1/index.json"; }

start --oci-worker-snapshotter "$SNAPSHOTTER"

# step context
( set -e
guard context/file
mkdir -p context
rm -f context/file
printf %s text > context/file
) 2>&1 | tee context.log
echo "${PIPESTATUS[0]}" > context.exit

# step alone
buildctl build \
  --progress=plain \
  --frontend=dockerfile.v0 \
  --local=context=context \
  --local=dockerfile=dockerfiles \
  --opt=filename=Dockerfile \
  --output=type=oci,dest=alone,tar=false 2>&1 | tee alone.log
echo "${PIPESTATUS[0]}" > alone.exit

# step on-alone
buildctl build \
  --progress=plain \
  --frontend=dockerfile.v0 \
  --local=context=context \
  --local=dockerfile=dockerfiles \
  --opt=filename=child.Dockerfile \
  --oci-layout=named-0=alone \
  --opt=context:base=oci-layout://named-0@"$(digest alone)" 2>&1 | tee on-alone.log
echo "${PIPESTATUS[0]}" > on-alone.exit

# step both
buildctl build \
  --progress=plain \
  --frontend=dockerfile.v0 \
  --local=context=context \
  --local=dockerfile=dockerfiles \
  --opt=filename=Dockerfile \
  --output=type=oci,dest=both,tar=false \
  --output=type=docker,dest=both.tar 2>&1 | tee both.log
echo "${PIPESTATUS[0]}" > both.exit

# step on-both
buildctl build \
  --progress=plain \
  --frontend=dockerfile.v0 \
  --local=context=context \
  --local=dockerfile=dockerfiles \
  --opt=filename=child.Dockerfile \
  --oci-layout=named-0=both \
  --opt=context:base=oci-layout://named-0@"$(digest both)" 2>&1 | tee on-both.log
echo "${PIPESTATUS[0]}" > on-both.exit

stop
echo
for step in context alone on-alone both on-both; do echo "$step: exit $(cat $step.exit)"; done
echo '-- on-both, lines with not found'
grep -P -m 3 'not found' on-both.log
cat <<'EOF'

The first that holds:
good (whole): the layout has the image that its index names, beside an archive too.
    on-alone exits 0; both exits 0; on-both exits 0.
bad (image-missing): beside an archive, the layout lacks the image that its index names.
    on-alone exits 0; both exits 0; on-both fails and prints "not found".
EOF
