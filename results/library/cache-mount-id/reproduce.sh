#!/usr/bin/env bash
# https://github.com/moby/moby/issues/47693
# a RUN that differs by the id of its cache mount only
#
# Measured at 584ec4008581 (584ec4008581f99053a3dd37fadd962fd5a62a2e): bad, cached in 2 of 2 trials.
# That version, in a clone of https://github.com/moby/buildkit:
#   git checkout 584ec4008581f99053a3dd37fadd962fd5a62a2e
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
FROM ${BASE} AS base

FROM base AS one
RUN --mount=type=cache,id=one,sharing=locked,target=/var/cache echo filled > /var/cache/state

FROM base AS two
RUN --mount=type=cache,id=two,sharing=locked,target=/var/cache echo filled > /var/cache/state
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

# step one
buildctl build \
  --progress=plain \
  --frontend=dockerfile.v0 \
  --local=context=context \
  --local=dockerfile=dockerfiles \
  --opt=filename=Dockerfile \
  --opt=target=one \
  --opt=build-arg:BASE=127.0.0.1:5000/base:gzip 2>&1 | tee one.log
echo "${PIPESTATUS[0]}" > one.exit

# step again
buildctl build \
  --progress=plain \
  --frontend=dockerfile.v0 \
  --local=context=context \
  --local=dockerfile=dockerfiles \
  --opt=filename=Dockerfile \
  --opt=target=one \
  --opt=build-arg:BASE=127.0.0.1:5000/base:gzip 2>&1 | tee again.log
echo "${PIPESTATUS[0]}" > again.exit

# step two
buildctl build \
  --progress=plain \
  --frontend=dockerfile.v0 \
  --local=context=context \
  --local=dockerfile=dockerfiles \
  --opt=filename=Dockerfile \
  --opt=target=two \
  --opt=build-arg:BASE=127.0.0.1:5000/base:gzip 2>&1 | tee two.log
echo "${PIPESTATUS[0]}" > two.exit

stop
echo
for step in one again two; do echo "$step: exit $(cat $step.exit)"; done
echo '-- again, RUN --mount'
vertex again.log '.*(?:RUN --mount)'
echo '-- two, RUN --mount'
vertex two.log '.*(?:RUN --mount)'
cat <<'EOF'

The first that holds:
good (ran): the RUN with the other cache mount runs.
    in again, "RUN --mount" is CACHED; in two, "RUN --mount" runs: it is not CACHED.
bad (cached): the RUN comes from the cache, although its cache mount has another id.
    in again, "RUN --mount" is CACHED; in two, "RUN --mount" is CACHED.
EOF
