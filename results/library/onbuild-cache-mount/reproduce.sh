#!/usr/bin/env bash
# https://github.com/moby/buildkit/issues/959
# ONBUILD RUN with a cache mount
#
# Measured at 0615bb4b9de2 (0615bb4b9de2541af1d7aa4e2022108b728374d7): bad, not-built in 2 of 2 trials.
# That version, in a clone of https://github.com/moby/buildkit:
#   git checkout 0615bb4b9de2541af1d7aa4e2022108b728374d7
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
FROM ${BASE} AS base
ONBUILD RUN echo filled > /state

FROM base
RUN echo notes > /notes.txt
EOF

cat > dockerfiles/Dockerfile <<'EOF'
ARG BASE=scratch
FROM ${BASE} AS base
ONBUILD RUN --mount=type=cache,target=/var/cache echo filled > /var/cache/state

FROM base
RUN echo notes > /notes.txt
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

# step mount
buildctl build \
  --progress=plain \
  --frontend=dockerfile.v0 \
  --local=context=context \
  --local=dockerfile=dockerfiles \
  --opt=filename=Dockerfile \
  --opt=build-arg:BASE=127.0.0.1:5000/base:gzip 2>&1 | tee mount.log
echo "${PIPESTATUS[0]}" > mount.exit

stop
echo
for step in plain mount; do echo "$step: exit $(cat $step.exit)"; done
echo '-- mount, lines with cannot mount from stage'
grep -P -m 3 'cannot mount from stage' mount.log
echo '-- mount, RUN --mount'
vertex mount.log '.*(?:RUN --mount)'
cat <<'EOF'

The first that holds:
good (built): the ONBUILD RUN runs, with and without a cache mount.
    plain exits 0; mount exits 0; in mount, "RUN --mount" runs: it is not CACHED.
bad (not-built): with a cache mount, the frontend says that the stage to mount from is not defined.
    plain exits 0; mount fails and prints "cannot mount from stage".
EOF
