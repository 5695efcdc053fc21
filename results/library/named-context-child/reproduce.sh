#!/usr/bin/env bash
# https://github.com/moby/buildkit/issues/5578
# a named context that replaces a stage with a parent
#
# Measured at f2092259de4a (f2092259de4a7fbdb05c84b1c8791c9a3ca578c4): bad, not-replaced in 1 of 1 trials.
# That version, in a clone of https://github.com/moby/buildkit:
#   git checkout f2092259de4a7fbdb05c84b1c8791c9a3ca578c4
#   go build -o bin/ ./cmd/buildkitd ./cmd/buildctl
# BuildKit v0.25.0 built the base images; here the version to test does.
#
# Run it as root: bash reproduce.sh. What it needs:
# - in PATH: buildkitd and buildctl of the version to test, and runc
# - in PATH: a static busybox, for images (Debian: busybox-static)
# - in PATH: jq, to read OCI layouts
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

cat > dockerfiles/layout.Dockerfile <<'EOF'
ARG BASE=scratch
FROM ${BASE}
RUN echo replaced > /marker
EOF

cat > dockerfiles/Dockerfile <<'EOF'
ARG BASE=scratch
FROM ${BASE} AS parent

FROM parent AS middle
RUN touch /own

FROM middle
RUN test -f /marker
RUN test ! -e /own
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

digest() { jq -r '.manifests[-1].digest' "$1/index.json"; }

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

# step layout
buildctl build \
  --progress=plain \
  --frontend=dockerfile.v0 \
  --local=context=context \
  --local=dockerfile=dockerfiles \
  --opt=filename=layout.Dockerfile \
  --opt=build-arg:BASE=127.0.0.1:5000/base:gzip \
  --output=type=oci,dest=layout,tar=false 2>&1 | tee layout.log
echo "${PIPESTATUS[0]}" > layout.exit

# step own
buildctl build \
  --progress=plain \
  --frontend=dockerfile.v0 \
  --local=context=context \
  --local=dockerfile=dockerfiles \
  --opt=filename=Dockerfile \
  --opt=target=middle \
  --opt=build-arg:BASE=127.0.0.1:5000/base:gzip 2>&1 | tee own.log
echo "${PIPESTATUS[0]}" > own.exit

# step replaced
buildctl build \
  --progress=plain \
  --frontend=dockerfile.v0 \
  --local=context=context \
  --local=dockerfile=dockerfiles \
  --opt=filename=Dockerfile \
  --opt=build-arg:BASE=127.0.0.1:5000/base:gzip \
  --oci-layout=named-0=layout \
  --opt=context:middle=oci-layout://named-0@"$(digest layout)" 2>&1 | tee replaced.log
echo "${PIPESTATUS[0]}" > replaced.exit

stop
echo
for step in layout own replaced; do echo "$step: exit $(cat $step.exit)"; done
cat <<'EOF'

The first that holds:
good (replaced): the named context replaces the stage.
    layout exits 0; own exits 0; replaced exits 0.
bad (not-replaced): the build with the named context fails, and the one without does not.
    layout exits 0; own exits 0; replaced fails.
EOF
