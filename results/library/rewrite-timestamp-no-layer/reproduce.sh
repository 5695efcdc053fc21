#!/usr/bin/env bash
# https://github.com/moby/buildkit/issues/4793
# push with rewrite-timestamp of an image that adds no layer
#
# Measured at ec2f4e25b491 (ec2f4e25b49161219c0a0f1f85bc3c2b947b649f): bad, not-found in 2 of 2 trials.
# That version, in a clone of https://github.com/moby/buildkit:
#   git checkout ec2f4e25b49161219c0a0f1f85bc3c2b947b649f
#   go build -o bin/ ./cmd/buildkitd ./cmd/buildctl
# BuildKit v0.25.0 built the base images; here the version to test does.
#
# Run it as root: bash reproduce.sh. What it needs:
# - in PATH: buildkitd and buildctl of the version to test, and runc
# - in PATH: a static busybox, for the base images (Debian: busybox-static)
# - a registry at 127.0.0.1:5000: docker run -d -p 127.0.0.1:5000:5000 registry:2
# - a registry at 127.0.0.1:5001: docker run -d -p 127.0.0.1:5001:5000 registry:2

set -u
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

# step kept
buildctl build \
  --progress=plain \
  --frontend=dockerfile.v0 \
  --local=context=context \
  --local=dockerfile=dockerfiles \
  --opt=filename=Dockerfile \
  --opt=build-arg:BASE=127.0.0.1:5000/base:gzip \
  --opt=build-arg:SOURCE_DATE_EPOCH=1700000000 \
  --output=type=image,name=127.0.0.1:5001/kept:1,push=true,oci-mediatypes=true 2>&1 | tee kept.log
echo "${PIPESTATUS[0]}" > kept.exit

# step fresh
stop
rm -rf state
start --oci-worker-snapshotter "$SNAPSHOTTER"

# step rewritten
buildctl build \
  --progress=plain \
  --frontend=dockerfile.v0 \
  --local=context=context \
  --local=dockerfile=dockerfiles \
  --opt=filename=Dockerfile \
  --opt=build-arg:BASE=127.0.0.1:5000/base:gzip \
  --opt=build-arg:SOURCE_DATE_EPOCH=1700000000 \
  --output=type=image,name=127.0.0.1:5001/rewritten:1,push=true,oci-mediatypes=true,rewrite-timestamp=true 2>&1 | tee rewritten.log
echo "${PIPESTATUS[0]}" > rewritten.exit

stop
echo
for step in kept rewritten; do echo "$step: exit $(cat $step.exit)"; done
echo '-- rewritten, lines with not found'
grep -P -m 3 'not found' rewritten.log
cat <<'EOF'

The first that holds:
good (pushed): the image is pushed, with the base's timestamps and with rewritten ones.
    kept exits 0; rewritten exits 0.
bad (not-found): the push with rewritten timestamps does not find a blob of the base.
    kept exits 0; rewritten fails and prints "not found".
EOF
