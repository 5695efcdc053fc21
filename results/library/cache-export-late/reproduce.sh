#!/usr/bin/env bash
# https://github.com/moby/buildkit/issues/6008
# cache export of many stages that use each other
#
# Measured at 0e92dbb923dc (0e92dbb923dccf6df1f02beb583e12b8a06c419c): bad, late in 1 of 1 trials.
# That version, in a clone of https://github.com/moby/buildkit:
#   git checkout 0e92dbb923dccf6df1f02beb583e12b8a06c419c
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
FROM ${BASE} AS s0
RUN echo 0 > /f
FROM ${BASE} AS s1
RUN --mount=from=s0,target=/a cat /a/f | md5sum > /f
FROM ${BASE} AS s2
RUN --mount=from=s1,target=/a --mount=from=s0,target=/b cat /a/f /b/f | md5sum > /f
FROM ${BASE} AS s3
RUN --mount=from=s2,target=/a --mount=from=s1,target=/b cat /a/f /b/f | md5sum > /f
FROM ${BASE} AS s4
RUN --mount=from=s3,target=/a --mount=from=s2,target=/b cat /a/f /b/f | md5sum > /f
FROM ${BASE} AS s5
RUN --mount=from=s4,target=/a --mount=from=s3,target=/b cat /a/f /b/f | md5sum > /f
FROM ${BASE} AS s6
RUN --mount=from=s5,target=/a --mount=from=s4,target=/b cat /a/f /b/f | md5sum > /f
FROM ${BASE} AS s7
RUN --mount=from=s6,target=/a --mount=from=s5,target=/b cat /a/f /b/f | md5sum > /f
FROM ${BASE} AS s8
RUN --mount=from=s7,target=/a --mount=from=s6,target=/b cat /a/f /b/f | md5sum > /f
FROM ${BASE} AS s9
RUN --mount=from=s8,target=/a --mount=from=s7,target=/b cat /a/f /b/f | md5sum > /f
FROM ${BASE} AS s10
RUN --mount=from=s9,target=/a --mount=from=s8,target=/b cat /a/f /b/f | md5sum > /f
FROM ${BASE} AS s11
RUN --mount=from=s10,target=/a --mount=from=s9,target=/b cat /a/f /b/f | md5sum > /f
FROM ${BASE} AS s12
RUN --mount=from=s11,target=/a --mount=from=s10,target=/b cat /a/f /b/f | md5sum > /f
FROM ${BASE} AS s13
RUN --mount=from=s12,target=/a --mount=from=s11,target=/b cat /a/f /b/f | md5sum > /f
FROM ${BASE} AS s14
RUN --mount=from=s13,target=/a --mount=from=s12,target=/b cat /a/f /b/f | md5sum > /f
FROM ${BASE} AS s15
RUN --mount=from=s14,target=/a --mount=from=s13,target=/b cat /a/f /b/f | md5sum > /f
FROM ${BASE} AS s16
RUN --mount=from=s15,target=/a --mount=from=s14,target=/b cat /a/f /b/f | md5sum > /f
FROM ${BASE} AS s17
RUN --mount=from=s16,target=/a --mount=from=s15,target=/b cat /a/f /b/f | md5sum > /f
FROM ${BASE} AS s18
RUN --mount=from=s17,target=/a --mount=from=s16,target=/b cat /a/f /b/f | md5sum > /f
FROM ${BASE} AS s19
RUN --mount=from=s18,target=/a --mount=from=s17,target=/b cat /a/f /b/f | md5sum > /f
FROM ${BASE} AS s20
RUN --mount=from=s19,target=/a --mount=from=s18,target=/b cat /a/f /b/f | md5sum > /f
FROM ${BASE} AS s21
RUN --mount=from=s20,target=/a --mount=from=s19,target=/b cat /a/f /b/f | md5sum > /f
FROM ${BASE} AS s22
RUN --mount=from=s21,target=/a --mount=from=s20,target=/b cat /a/f /b/f | md5sum > /f
FROM ${BASE} AS s23
RUN --mount=from=s22,target=/a --mount=from=s21,target=/b cat /a/f /b/f | md5sum > /f
FROM ${BASE} AS s24
RUN --mount=from=s23,target=/a --mount=from=s22,target=/b cat /a/f /b/f | md5sum > /f
FROM ${BASE} AS s25
RUN --mount=from=s24,target=/a --mount=from=s23,target=/b cat /a/f /b/f | md5sum > /f
FROM ${BASE} AS s26
RUN --mount=from=s25,target=/a --mount=from=s24,target=/b cat /a/f /b/f | md5sum > /f
FROM ${BASE} AS s27
RUN --mount=from=s26,target=/a --mount=from=s25,target=/b cat /a/f /b/f | md5sum > /f
FROM ${BASE} AS s28
RUN --mount=from=s27,target=/a --mount=from=s26,target=/b cat /a/f /b/f | md5sum > /f
FROM ${BASE} AS s29
RUN --mount=from=s28,target=/a --mount=from=s27,target=/b cat /a/f /b/f | md5sum > /f
FROM ${BASE} AS s30
RUN --mount=from=s29,target=/a --mount=from=s28,target=/b cat /a/f /b/f | md5sum > /f
FROM ${BASE} AS s31
RUN --mount=from=s30,target=/a --mount=from=s29,target=/b cat /a/f /b/f | md5sum > /f
FROM ${BASE} AS s32
RUN --mount=from=s31,target=/a --mount=from=s30,target=/b cat /a/f /b/f | md5sum > /f
FROM ${BASE} AS s33
RUN --mount=from=s32,target=/a --mount=from=s31,target=/b cat /a/f /b/f | md5sum > /f
FROM ${BASE} AS s34
RUN --mount=from=s33,target=/a --mount=from=s32,target=/b cat /a/f /b/f | md5sum > /f
FROM ${BASE} AS s35
RUN --mount=from=s34,target=/a --mount=from=s33,target=/b cat /a/f /b/f | md5sum > /f
FROM ${BASE} AS s36
RUN --mount=from=s35,target=/a --mount=from=s34,target=/b cat /a/f /b/f | md5sum > /f
FROM ${BASE} AS s37
RUN --mount=from=s36,target=/a --mount=from=s35,target=/b cat /a/f /b/f | md5sum > /f
FROM ${BASE} AS s38
RUN --mount=from=s37,target=/a --mount=from=s36,target=/b cat /a/f /b/f | md5sum > /f
FROM ${BASE} AS s39
RUN --mount=from=s38,target=/a --mount=from=s37,target=/b cat /a/f /b/f | md5sum > /f
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
  --opt=filename=Dockerfile \
  --opt=build-arg:BASE=127.0.0.1:5000/base:gzip 2>&1 | tee plain.log
echo "${PIPESTATUS[0]}" > plain.exit

# step export
buildctl build \
  --progress=plain \
  --frontend=dockerfile.v0 \
  --local=context=context \
  --local=dockerfile=dockerfiles \
  --opt=filename=Dockerfile \
  --opt=build-arg:BASE=127.0.0.1:5000/base:gzip \
  --export-cache=type=local,mode=max,dest=cache 2>&1 | tee export.log
echo "${PIPESTATUS[0]}" > export.exit

stop
echo
for step in plain export; do echo "$step: exit $(cat $step.exit)"; done
echo '-- export, ^exporting cache'
vertex export.log 'exporting cache'
cat <<'EOF'

The first that holds:
good (exported): the cache of the build that took seconds is exported within a minute.
    plain exits 0; export exits 0.
bad (late): the cache export does not end within a minute.
    plain exits 0; export times out; in export, "^exporting cache" runs: it is not CACHED.
EOF
