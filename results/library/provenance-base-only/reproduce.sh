#!/usr/bin/env bash
# https://github.com/moby/buildkit/issues/3388
# provenance of an image that is its base and nothing else
#
# Measured at 93b40706a007 (93b40706a0078fd6d74f3232787348ecd814a63f): bad, not-loaded in 1 of 1 trials.
# That version, in a clone of https://github.com/moby/buildkit:
#   git checkout 93b40706a0078fd6d74f3232787348ecd814a63f
#   go build -o bin/ ./cmd/buildkitd ./cmd/buildctl
# BuildKit v0.25.0 built the base images; here the version to test does.
#
# Run it as root: bash reproduce.sh. What it needs:
# - in PATH: buildkitd and buildctl of the version to test, and runc
# - in PATH: a static busybox, for images (Debian: busybox-static)
# - a registry at 127.0.0.1:5000: docker run -d -p 127.0.0.1:5000:5000 registry:2
# - a registry at 127.0.0.1:5001: docker run -d -p 127.0.0.1:5001:5000 registry:2

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

cat > dockerfiles/Dockerfile <<'EOF'
ARG BASE=scratch
FROM ${BASE}
EOF

cat > buildkitd.toml <<'EOF'
[worker.containerd]
  enabled = false
[registry."127.0.0.1:5000"]
  http = true
[registry."127.0.0.1:5001"]
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

# step min
buildctl build \
  --progress=plain \
  --frontend=dockerfile.v0 \
  --local=context=context \
  --local=dockerfile=dockerfiles \
  --opt=filename=Dockerfile \
  --opt=build-arg:BASE=127.0.0.1:5000/base:gzip \
  --opt=attest:provenance=mode=min \
  --output=type=image,name=127.0.0.1:5001/app:min,push=true 2>&1 | tee min.log
echo "${PIPESTATUS[0]}" > min.exit

# step fresh
stop
rm -rf state
start --oci-worker-snapshotter "$SNAPSHOTTER"

# step max
buildctl build \
  --progress=plain \
  --frontend=dockerfile.v0 \
  --local=context=context \
  --local=dockerfile=dockerfiles \
  --opt=filename=Dockerfile \
  --opt=build-arg:BASE=127.0.0.1:5000/base:gzip \
  --opt=attest:provenance=mode=max \
  --output=type=image,name=127.0.0.1:5001/app:max,push=true 2>&1 | tee max.log
echo "${PIPESTATUS[0]}" > max.exit

stop
echo
for step in min max; do echo "$step: exit $(cat $step.exit)"; done
echo '-- max, lines with missing descriptor handlers for lazy blobs'
grep -P -m 3 'missing descriptor handlers for lazy blobs' max.log
cat <<'EOF'

The first that holds:
good (pushed): the image is pushed, with either provenance.
    min exits 0; max exits 0.
bad (not-loaded): with mode=max the layers of the base cannot be loaded.
    min exits 0; max fails and prints "missing descriptor handlers for lazy blobs".
EOF
