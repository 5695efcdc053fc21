#!/usr/bin/env bash
# https://github.com/moby/buildkit/issues/5178
# ARG whose name is a variable
#
# Measured at 47a52a17bd9d (47a52a17bd9d50b6d68c9b600dd436a930164976): bad, not-declared in 2 of 2 trials.
# That version, in a clone of https://github.com/moby/buildkit:
#   git checkout 47a52a17bd9d50b6d68c9b600dd436a930164976
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

cat > dockerfiles/plain.Dockerfile <<'EOF'
ARG BASE=scratch
FROM ${BASE}
ARG distro=focal
ARG focal=yes
RUN test "${focal:+Focal}${jammy:+Jammy}" = Focal
EOF

cat > dockerfiles/Dockerfile <<'EOF'
ARG BASE=scratch
FROM ${BASE}
ARG distro=focal
ARG ${distro}=yes
RUN test "${focal:+Focal}${jammy:+Jammy}" = Focal
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

# step expanded
buildctl build \
  --progress=plain \
  --frontend=dockerfile.v0 \
  --local=context=context \
  --local=dockerfile=dockerfiles \
  --opt=filename=Dockerfile \
  --opt=build-arg:BASE=127.0.0.1:5000/base:gzip 2>&1 | tee expanded.log
echo "${PIPESTATUS[0]}" > expanded.exit

stop
echo
for step in plain expanded; do echo "$step: exit $(cat $step.exit)"; done
echo '-- expanded, RUN test'
vertex expanded.log '.*(?:RUN test)'
cat <<'EOF'

The first that holds:
good (declared): ARG declares the variable that its expanded name says.
    plain exits 0; expanded exits 0.
bad (not-declared): the variable is empty in the RUN after it.
    plain exits 0; in expanded, "RUN test" fails.
EOF
