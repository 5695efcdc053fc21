#!/usr/bin/env bash
# https://github.com/moby/buildkit/pull/5052
# a variable trimmed by an empty pattern
#
# Measured at 5deda4a9dea4 (5deda4a9dea498054c2d24b60bfdea669d49bb87): bad, build-failed in 2 of 2 trials.
# That version, in a clone of https://github.com/moby/buildkit:
#   git checkout 5deda4a9dea498054c2d24b60bfdea669d49bb87
#   go build -o bin/ ./cmd/buildkitd ./cmd/buildctl
# BuildKit v0.25.0 built the base images; here the version to test does.
#
# Run it as root: bash reproduce.sh. What it needs:
# - in PATH: buildkitd and buildctl of the version to test, and runc
# - in PATH: a static busybox, for the base images (Debian: busybox-static)
# - a registry at 127.0.0.1:5000: docker run -d -p 127.0.0.1:5000:5000 registry:2

set -u
cd "$(mktemp -d)" && echo "files are in $PWD"
export BUILDKIT_HOST=unix://$PWD/buildkitd.sock
mkdir context dockerfiles

cat > dockerfiles/base.Dockerfile <<'EOF'
FROM scratch
COPY busybox /bin/busybox
RUN ["/bin/busybox", "sh", "-c", "/bin/busybox --install -s /bin && /bin/busybox mkdir -p /etc /tmp"]
EOF

cat > dockerfiles/letter.Dockerfile <<'EOF'
ARG BASE=scratch
FROM ${BASE}
ARG WORD=xxyy
ARG PREFIX=x
ENV REST="${WORD#$PREFIX}"
RUN test "$REST" = xyy
EOF

cat > dockerfiles/Dockerfile <<'EOF'
ARG BASE=scratch
FROM ${BASE}
ARG WORD=xxyy
ARG PREFIX
ENV REST="${WORD#$PREFIX}"
RUN test "$REST" = xxyy
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

# step letter
buildctl build \
  --progress=plain \
  --frontend=dockerfile.v0 \
  --local=context=context \
  --local=dockerfile=dockerfiles \
  --opt=filename=letter.Dockerfile \
  --opt=build-arg:BASE=127.0.0.1:5000/base:gzip 2>&1 | tee letter.log
echo "${PIPESTATUS[0]}" > letter.exit

# step empty
buildctl build \
  --progress=plain \
  --frontend=dockerfile.v0 \
  --local=context=context \
  --local=dockerfile=dockerfiles \
  --opt=filename=Dockerfile \
  --opt=build-arg:BASE=127.0.0.1:5000/base:gzip 2>&1 | tee empty.log
echo "${PIPESTATUS[0]}" > empty.exit

stop
echo
for step in letter empty; do echo "$step: exit $(cat $step.exit)"; done
cat <<'EOF'

The first that holds:
good (expanded): an empty pattern removes nothing.
    letter exits 0; empty exits 0.
bad (build-failed): with an empty pattern the build fails, with a letter it does not.
    letter exits 0; empty fails.
EOF
