#!/usr/bin/env bash
# https://github.com/moby/buildkit/issues/4946
# COPY with a wildcard of a folder with a broken symbolic link
#
# Measured at 5c274d29afad (5c274d29afade8c07f4facc1add9d5cb6b94dbaa): bad, not-copied in 3 of 3 trials.
# That version, in a clone of https://github.com/moby/buildkit:
#   git checkout 5c274d29afade8c07f4facc1add9d5cb6b94dbaa
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
FROM ${BASE} AS files
RUN mkdir /test && echo text > /test/file && ln -s /test/target /test/link

FROM ${BASE}
COPY --from=files /test /test
RUN test -L /test/link && test -f /test/file
EOF

cat > dockerfiles/Dockerfile <<'EOF'
ARG BASE=scratch
FROM ${BASE} AS files
RUN mkdir /test && echo text > /test/file && ln -s /test/target /test/link

FROM ${BASE}
COPY --from=files /te*t /test
RUN test -L /test/link && test -f /test/file
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

# step wildcard
buildctl build \
  --progress=plain \
  --frontend=dockerfile.v0 \
  --local=context=context \
  --local=dockerfile=dockerfiles \
  --opt=filename=Dockerfile \
  --opt=build-arg:BASE=127.0.0.1:5000/base:gzip 2>&1 | tee wildcard.log
echo "${PIPESTATUS[0]}" > wildcard.exit

stop
echo
for step in plain wildcard; do echo "$step: exit $(cat $step.exit)"; done
echo '-- wildcard, lines with not found'
grep -P -m 3 'not found' wildcard.log
echo '-- wildcard, COPY'
vertex wildcard.log '.*(?:COPY)'
cat <<'EOF'

The first that holds:
good (copied): the broken link is copied, with and without a wildcard.
    plain exits 0; wildcard exits 0.
bad (not-copied): with a wildcard, the target of the link is not found.
    plain exits 0; wildcard fails; in wildcard, "COPY" fails; wildcard prints "not found".
EOF
