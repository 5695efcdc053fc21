#!/usr/bin/env bash
# https://github.com/moby/buildkit/issues/2447
# a build without cache keeps a cache mount that has a mode
#
# Measured at 3a9ce1d2d58d (3a9ce1d2d58d71782f1ae395fd2a402c66166e25): bad, kept in 2 of 2 trials.
# That version, in a clone of https://github.com/moby/buildkit:
#   git checkout 3a9ce1d2d58d71782f1ae395fd2a402c66166e25
#   go build -o bin/ ./cmd/buildkitd ./cmd/buildctl
# BuildKit v0.25.0 built the base images; here the version to test does.
#
# Run it as root: bash reproduce.sh. What it needs:
# - in PATH: buildkitd and buildctl of the version to test, and runc
# - in PATH: a static busybox, for images (Debian: busybox-static)
# - a registry at 127.0.0.1:5000: docker run -d -p 127.0.0.1:5000:5000 registry:2

set -u
umask 022
cd "$(mktemp -d)" && echo "files are in $PWD"
export BUILDKIT_HOST=unix://$PWD/buildkitd.sock
mkdir context dockerfiles

cat > dockerfiles/base.Dockerfile <<'EOF'
FROM scratch
COPY busybox /bin/busybox
RUN ["/bin/busybox", "sh", "-c", "/bin/busybox --install -s /bin && /bin/busybox mkdir -p /etc /tmp"]
EOF

cat > dockerfiles/plain.Dockerfile <<'EOF'
ARG BASE=scratch
FROM ${BASE}
ARG NAME=first
ARG FILES=1
RUN --mount=type=cache,target=/plain touch /plain/$NAME && test $(ls /plain | wc -l) = $FILES
EOF

cat > dockerfiles/Dockerfile <<'EOF'
ARG BASE=scratch
FROM ${BASE}
ARG NAME=first
ARG FILES=1
RUN --mount=type=cache,target=/mode,mode=0773 touch /mode/$NAME && test $(ls /mode | wc -l) = $FILES
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

vertex() {
  for n in $(grep -P "^#[0-9]+ $2" "$1" | cut -d ' ' -f 1 | sort -u); do grep "^$n " "$1"; done
}

# The base images.
mkdir base && cp "$(command -v busybox)" base/busybox
start --oci-worker-snapshotter native

buildctl build \
  --progress=plain \
  --frontend=dockerfile.v0 \
  --local=context=base \
  --local=dockerfile=dockerfiles \
  --opt=filename=base.Dockerfile \
  --output=type=image,name=127.0.0.1:5000/base:gzip,push=true,compression=gzip,force-compression=true,oci-mediatypes=true || exit 1

stop
rm -rf state

start --oci-worker-snapshotter "$SNAPSHOTTER"

# step plain
buildctl build \
  --progress=plain \
  --frontend=dockerfile.v0 \
  --local=context=context \
  --local=dockerfile=dockerfiles \
  --opt=filename=plain.Dockerfile \
  --opt=build-arg:BASE=127.0.0.1:5000/base:gzip 2>&1 | tee plain.log
echo "${PIPESTATUS[0]}" > plain.exit

# step plain-kept
buildctl build \
  --progress=plain \
  --frontend=dockerfile.v0 \
  --local=context=context \
  --local=dockerfile=dockerfiles \
  --opt=filename=plain.Dockerfile \
  --opt=build-arg:BASE=127.0.0.1:5000/base:gzip \
  --opt=build-arg:NAME=second \
  --opt=build-arg:FILES=2 2>&1 | tee plain-kept.log
echo "${PIPESTATUS[0]}" > plain-kept.exit

# step plain-emptied
buildctl build \
  --progress=plain \
  --frontend=dockerfile.v0 \
  --local=context=context \
  --local=dockerfile=dockerfiles \
  --opt=filename=plain.Dockerfile \
  --opt=build-arg:BASE=127.0.0.1:5000/base:gzip \
  --opt=build-arg:NAME=third \
  --opt=build-arg:FILES=1 \
  --no-cache 2>&1 | tee plain-emptied.log
echo "${PIPESTATUS[0]}" > plain-emptied.exit

# step mode
buildctl build \
  --progress=plain \
  --frontend=dockerfile.v0 \
  --local=context=context \
  --local=dockerfile=dockerfiles \
  --opt=filename=Dockerfile \
  --opt=build-arg:BASE=127.0.0.1:5000/base:gzip 2>&1 | tee mode.log
echo "${PIPESTATUS[0]}" > mode.exit

# step mode-emptied
buildctl build \
  --progress=plain \
  --frontend=dockerfile.v0 \
  --local=context=context \
  --local=dockerfile=dockerfiles \
  --opt=filename=Dockerfile \
  --opt=build-arg:BASE=127.0.0.1:5000/base:gzip \
  --opt=build-arg:NAME=second \
  --opt=build-arg:FILES=1 \
  --no-cache 2>&1 | tee mode-emptied.log
echo "${PIPESTATUS[0]}" > mode-emptied.exit

stop
echo
for step in plain plain-kept plain-emptied mode mode-emptied; do echo "$step: exit $(cat $step.exit)"; done
echo '-- mode-emptied, RUN --mount'
vertex mode-emptied.log '.*(?:RUN --mount)'
cat <<'EOF'

The first that holds:
good (emptied): --no-cache empties the cache mount, with a mode and without.
    plain-kept exits 0; plain-emptied exits 0; mode exits 0; mode-emptied exits 0.
bad (kept): --no-cache empties a cache mount without a mode, and keeps the files of one that has a mode.
    plain-kept exits 0; plain-emptied exits 0; mode exits 0; in mode-emptied, "RUN --mount" fails.
EOF
