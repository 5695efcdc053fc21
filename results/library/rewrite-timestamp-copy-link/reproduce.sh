#!/usr/bin/env bash
# https://github.com/moby/buildkit/issues/4746
# rewrite-timestamp and COPY --link
#
# Measured at 5f73c5d3a19f (5f73c5d3a19f6a9d64207a0455e907ea2f311254): bad, not-found in 2 of 2 trials.
# That version, in a clone of https://github.com/moby/buildkit:
#   git checkout 5f73c5d3a19f6a9d64207a0455e907ea2f311254
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

cat > dockerfiles/Dockerfile <<'EOF'
ARG BASE=scratch
FROM ${BASE}
COPY --link file /file
EOF

cat > dockerfiles/plain.Dockerfile <<'EOF'
ARG BASE=scratch
FROM ${BASE}
COPY file /file
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

# step context
mkdir -p context
rm -f context/file
printf %s text > context/file

# step linked
buildctl build \
  --progress=plain \
  --frontend=dockerfile.v0 \
  --local=context=context \
  --local=dockerfile=dockerfiles \
  --opt=filename=Dockerfile \
  --opt=build-arg:BASE=127.0.0.1:5000/base:gzip \
  --opt=build-arg:SOURCE_DATE_EPOCH=1000000000 \
  --output=type=oci,dest=linked.tar,rewrite-timestamp=true 2>&1 | tee linked.log
echo "${PIPESTATUS[0]}" > linked.exit

# step copied
buildctl build \
  --progress=plain \
  --frontend=dockerfile.v0 \
  --local=context=context \
  --local=dockerfile=dockerfiles \
  --opt=filename=plain.Dockerfile \
  --opt=build-arg:BASE=127.0.0.1:5000/base:gzip \
  --opt=build-arg:SOURCE_DATE_EPOCH=1000000000 \
  --output=type=oci,dest=copied.tar,rewrite-timestamp=true 2>&1 | tee copied.log
echo "${PIPESTATUS[0]}" > copied.exit

stop
echo
for step in linked copied; do echo "$step: exit $(cat $step.exit)"; done
echo '-- linked, lines with content digest .*not found'
grep -P -m 3 'content digest .*not found' linked.log
cat <<'EOF'

The first that holds:
good (exported): the image is exported, with --link and without.
    linked exits 0; copied exits 0.
bad (not-found): with --link the export does not find a blob of the base.
    copied exits 0; linked fails and prints "content digest .*not found".
EOF
