#!/usr/bin/env bash
# https://github.com/moby/moby/issues/49851
# COPY --chmod into a folder that is not there yet
#
# Measured at v0.21.0 (52b004d2afe20c5c80967cc1784e718b52d69dae): bad, folder-closed in 2 of 2 trials.
# That version, in a clone of https://github.com/moby/buildkit:
#   git checkout 52b004d2afe20c5c80967cc1784e718b52d69dae
#   go build -o bin/ ./cmd/buildkitd ./cmd/buildctl
#
# Run it as root: bash reproduce.sh. What it needs:
# - in PATH: buildkitd and buildctl of the version to test, and runc

set -u
umask 022
cd "$(mktemp -d)" && echo "files are in $PWD"
export BUILDKIT_HOST=unix://$PWD/buildkitd.sock
mkdir context dockerfiles

cat > dockerfiles/plain.Dockerfile <<'EOF'
FROM scratch
COPY file /new/path/
EOF

cat > dockerfiles/Dockerfile <<'EOF'
FROM scratch
COPY --chmod=0644 file /new/path/
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

# step file
( set -e
guard context/file
mkdir -p context
rm -f context/file
printf %s text > context/file
) 2>&1 | tee file.log
echo "${PIPESTATUS[0]}" > file.exit

# step plain
rm -rf -- plain
buildctl build \
  --progress=plain \
  --frontend=dockerfile.v0 \
  --local=context=context \
  --local=dockerfile=dockerfiles \
  --opt=filename=plain.Dockerfile \
  --output=type=local,dest=plain 2>&1 | tee plain.log
echo "${PIPESTATUS[0]}" > plain.exit
[ "$(cat plain.exit)" != 0 ] || {
echo '-- plain, new/path of plain'
file plain new/path
} > plain.outputs

# step chmod
rm -rf -- chmod
buildctl build \
  --progress=plain \
  --frontend=dockerfile.v0 \
  --local=context=context \
  --local=dockerfile=dockerfiles \
  --opt=filename=Dockerfile \
  --output=type=local,dest=chmod 2>&1 | tee chmod.log
echo "${PIPESTATUS[0]}" > chmod.exit
[ "$(cat chmod.exit)" != 0 ] || {
echo '-- chmod, new/path/file of chmod'
file chmod new/path/file
echo '-- chmod, new/path of chmod'
file chmod new/path
} > chmod.outputs

stop
echo
for step in file plain chmod; do echo "$step: exit $(cat $step.exit)"; done
[ ! -f plain.outputs ] || cat plain.outputs
[ ! -f chmod.outputs ] || cat chmod.outputs
cat <<'EOF'

The first that holds:
good (folder-entered): the new folder has the mode 0755, and the file the mode that --chmod says.
    in plain, the file new/path has the mode 0755; in chmod, the file new/path/file has the mode 0644; in chmod, the file new/path has the mode 0755.
bad (folder-closed): the new folder has the mode of the file, and cannot be entered.
    in plain, the file new/path has the mode 0755; in chmod, the file new/path/file has the mode 0644; in chmod, the file new/path has the mode 0644.
EOF
