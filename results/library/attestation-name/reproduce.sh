#!/usr/bin/env bash
# https://github.com/moby/buildkit/issues/6049
# the file name of an attestation in a local output
#
# Measured at 41ee238815d5 (41ee238815d5d86f580899830f5443553215defe): bad, platform-in-name in 2 of 2 trials.
# That version, in a clone of https://github.com/moby/buildkit:
#   git checkout 41ee238815d5d86f580899830f5443553215defe
#   go build -o bin/ ./cmd/buildkitd ./cmd/buildctl
#
# Run it as root: bash reproduce.sh. What it needs:
# - in PATH: buildkitd and buildctl of the version to test, and runc

set -u
umask 022
cd "$(mktemp -d)" && echo "files are in $PWD"
export BUILDKIT_HOST=unix://$PWD/buildkitd.sock
mkdir context dockerfiles

cat > dockerfiles/Dockerfile <<'EOF'
FROM scratch
COPY file /file
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

entry() { tar -tf "$1" | grep -xF -m 1 -e "$2" -e "$2/" -e "./$2" -e "./$2/"; }
in_tar() {
  local name
  name=$(entry "$1" "$2") || return 1
  tar -tvf "$1" --full-time --no-recursion -- "$name"
  tar -xOf "$1" -- "$name" | sha256sum
  tar -xOf "$1" -- "$name" | head -c 1000
  echo
}
file() {
  if [ -f "$1" ]; then in_tar "$1" "$2" || echo "there is no $2"
  elif [ -e "$1/$2" ] || [ -L "$1/$2" ]; then
    stat -c '%A %a %s bytes, modified at %Y (%y)' "$1/$2"
    [ ! -f "$1/$2" ] || { sha256sum < "$1/$2" && head -c 1000 "$1/$2" && echo; }
  else echo "there is no $2"; fi
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

# step build
rm -rf -- out
buildctl build \
  --progress=plain \
  --frontend=dockerfile.v0 \
  --local=context=context \
  --local=dockerfile=dockerfiles \
  --opt=filename=Dockerfile \
  --opt=attest:provenance=mode=min \
  --output=type=local,dest=out 2>&1 | tee build.log
echo "${PIPESTATUS[0]}" > build.exit
[ "$(cat build.exit)" != 0 ] || {
echo '-- build, file of out'
file out file
echo '-- build, provenance.json of out'
file out provenance.json
echo '-- build, provenance.linux_amd64.json of out'
file out provenance.linux_amd64.json
} > build.outputs

stop
echo
for step in context build; do echo "$step: exit $(cat $step.exit)"; done
[ ! -f build.outputs ] || cat build.outputs
cat <<'EOF'

The first that holds:
good (plain-name): the provenance is in provenance.json.
    in build, the file file exists; in build, the file provenance.json exists.
bad (platform-in-name): the name of the provenance has the platform.
    in build, the file file exists; in build, the file provenance.json does not exist; in build, the file provenance.linux_amd64.json exists.
EOF
