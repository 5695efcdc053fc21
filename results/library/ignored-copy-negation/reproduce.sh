#!/usr/bin/env bash
# https://github.com/moby/buildkit/issues/7125
# the check CopyIgnoredFile with a negated pattern in .dockerignore
#
# Measured at d4e025aabd45 (d4e025aabd45e333d6cd42d8a983e5fab14c9287): bad, silent in 2 of 2 trials.
# That version, in a clone of https://github.com/moby/buildkit:
#   git checkout d4e025aabd45e333d6cd42d8a983e5fab14c9287
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
# check=experimental=CopyIgnoredFile;error=true
FROM scratch
COPY build.log /
EOF

cat > dockerfiles/Dockerfile.dockerignore <<'EOF'
*.log
EOF

cat > dockerfiles/negated.Dockerfile <<'EOF'
# check=experimental=CopyIgnoredFile;error=true
FROM scratch
COPY build.log /
EOF

cat > dockerfiles/negated.Dockerfile.dockerignore <<'EOF'
*.log
!docs/keep.log
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

start --oci-worker-snapshotter "$SNAPSHOTTER"

# step log
( set -e
guard context/build.log
mkdir -p context
rm -f context/build.log
printf %s text > context/build.log
) 2>&1 | tee log.log
echo "${PIPESTATUS[0]}" > log.exit

# step plain
buildctl build \
  --progress=plain \
  --frontend=dockerfile.v0 \
  --local=context=context \
  --local=dockerfile=dockerfiles \
  --opt=filename=Dockerfile 2>&1 | tee plain.log
echo "${PIPESTATUS[0]}" > plain.exit

# step negated
buildctl build \
  --progress=plain \
  --frontend=dockerfile.v0 \
  --local=context=context \
  --local=dockerfile=dockerfiles \
  --opt=filename=negated.Dockerfile 2>&1 | tee negated.log
echo "${PIPESTATUS[0]}" > negated.exit

stop
echo
for step in log plain negated; do echo "$step: exit $(cat $step.exit)"; done
echo '-- plain, lines with lint violation.*CopyIgnoredFile'
grep -P -m 3 'lint violation.*CopyIgnoredFile' plain.log
echo '-- negated, lines with lint violation.*CopyIgnoredFile'
grep -P -m 3 'lint violation.*CopyIgnoredFile' negated.log
echo '-- negated, lines with build\.log.*not found'
grep -P -m 3 'build\.log.*not found' negated.log
echo '-- negated, lines with lint violation'
grep -P -m 3 'lint violation' negated.log
cat <<'EOF'

The first that holds:
good (warned): the check names the COPY, with and without a negated pattern.
    plain fails and prints "lint violation.*CopyIgnoredFile"; negated fails and prints "lint violation.*CopyIgnoredFile".
bad (silent): with a negated pattern the check says nothing, and the COPY fails because the file is not in the context.
    plain fails and prints "lint violation.*CopyIgnoredFile"; negated fails and prints "build\.log.*not found"; not (negated prints "lint violation").
EOF
