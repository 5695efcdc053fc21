#!/usr/bin/env bash
# https://github.com/moby/buildkit/issues/6256
# inline cache with several exporters in one build
#
# Measured at 99c6887ddfe6 (99c6887ddfe63eeeef5c77628c7e4da8035b3ccd): bad, export-failed in 2 of 2 trials.
# That version, in a clone of https://github.com/moby/buildkit:
#   git checkout 99c6887ddfe63eeeef5c77628c7e4da8035b3ccd
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
RUN echo 1 > /1
RUN echo 2 > /2
RUN echo 3 > /3
RUN echo 4 > /4
RUN echo 5 > /5
RUN echo 6 > /6
RUN echo 7 > /7
RUN echo 8 > /8
RUN echo 9 > /9
RUN echo 10 > /10
RUN echo 11 > /11
RUN echo 12 > /12
RUN echo 13 > /13
RUN echo 14 > /14
RUN echo 15 > /15
RUN echo 16 > /16
RUN echo 17 > /17
RUN echo 18 > /18
RUN echo 19 > /19
RUN echo 20 > /20
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

# step single
buildctl build \
  --progress=plain \
  --frontend=dockerfile.v0 \
  --local=context=context \
  --local=dockerfile=dockerfiles \
  --opt=filename=Dockerfile \
  --opt=build-arg:BASE=127.0.0.1:5000/base:gzip \
  --export-cache=type=inline \
  --output=type=image,name=127.0.0.1:5001/app:0 2>&1 | tee single.log
echo "${PIPESTATUS[0]}" > single.exit

# step several
buildctl build \
  --progress=plain \
  --frontend=dockerfile.v0 \
  --local=context=context \
  --local=dockerfile=dockerfiles \
  --opt=filename=Dockerfile \
  --opt=build-arg:BASE=127.0.0.1:5000/base:gzip \
  --export-cache=type=inline \
  --output=type=image,name=127.0.0.1:5001/app:1 \
  --output=type=image,name=127.0.0.1:5001/app:2 \
  --output=type=image,name=127.0.0.1:5001/app:3 \
  --output=type=image,name=127.0.0.1:5001/app:4 \
  --output=type=image,name=127.0.0.1:5001/app:5 \
  --output=type=image,name=127.0.0.1:5001/app:6 \
  --output=type=image,name=127.0.0.1:5001/app:7 \
  --output=type=image,name=127.0.0.1:5001/app:8 2>&1 | tee several.log
echo "${PIPESTATUS[0]}" > several.exit

# step several-2
buildctl build \
  --progress=plain \
  --frontend=dockerfile.v0 \
  --local=context=context \
  --local=dockerfile=dockerfiles \
  --opt=filename=Dockerfile \
  --opt=build-arg:BASE=127.0.0.1:5000/base:gzip \
  --export-cache=type=inline \
  --output=type=image,name=127.0.0.1:5001/app:1 \
  --output=type=image,name=127.0.0.1:5001/app:2 \
  --output=type=image,name=127.0.0.1:5001/app:3 \
  --output=type=image,name=127.0.0.1:5001/app:4 \
  --output=type=image,name=127.0.0.1:5001/app:5 \
  --output=type=image,name=127.0.0.1:5001/app:6 \
  --output=type=image,name=127.0.0.1:5001/app:7 \
  --output=type=image,name=127.0.0.1:5001/app:8 2>&1 | tee several-2.log
echo "${PIPESTATUS[0]}" > several-2.exit

# step several-3
buildctl build \
  --progress=plain \
  --frontend=dockerfile.v0 \
  --local=context=context \
  --local=dockerfile=dockerfiles \
  --opt=filename=Dockerfile \
  --opt=build-arg:BASE=127.0.0.1:5000/base:gzip \
  --export-cache=type=inline \
  --output=type=image,name=127.0.0.1:5001/app:1 \
  --output=type=image,name=127.0.0.1:5001/app:2 \
  --output=type=image,name=127.0.0.1:5001/app:3 \
  --output=type=image,name=127.0.0.1:5001/app:4 \
  --output=type=image,name=127.0.0.1:5001/app:5 \
  --output=type=image,name=127.0.0.1:5001/app:6 \
  --output=type=image,name=127.0.0.1:5001/app:7 \
  --output=type=image,name=127.0.0.1:5001/app:8 2>&1 | tee several-3.log
echo "${PIPESTATUS[0]}" > several-3.exit

# step several-4
buildctl build \
  --progress=plain \
  --frontend=dockerfile.v0 \
  --local=context=context \
  --local=dockerfile=dockerfiles \
  --opt=filename=Dockerfile \
  --opt=build-arg:BASE=127.0.0.1:5000/base:gzip \
  --export-cache=type=inline \
  --output=type=image,name=127.0.0.1:5001/app:1 \
  --output=type=image,name=127.0.0.1:5001/app:2 \
  --output=type=image,name=127.0.0.1:5001/app:3 \
  --output=type=image,name=127.0.0.1:5001/app:4 \
  --output=type=image,name=127.0.0.1:5001/app:5 \
  --output=type=image,name=127.0.0.1:5001/app:6 \
  --output=type=image,name=127.0.0.1:5001/app:7 \
  --output=type=image,name=127.0.0.1:5001/app:8 2>&1 | tee several-4.log
echo "${PIPESTATUS[0]}" > several-4.exit

# step several-5
buildctl build \
  --progress=plain \
  --frontend=dockerfile.v0 \
  --local=context=context \
  --local=dockerfile=dockerfiles \
  --opt=filename=Dockerfile \
  --opt=build-arg:BASE=127.0.0.1:5000/base:gzip \
  --export-cache=type=inline \
  --output=type=image,name=127.0.0.1:5001/app:1 \
  --output=type=image,name=127.0.0.1:5001/app:2 \
  --output=type=image,name=127.0.0.1:5001/app:3 \
  --output=type=image,name=127.0.0.1:5001/app:4 \
  --output=type=image,name=127.0.0.1:5001/app:5 \
  --output=type=image,name=127.0.0.1:5001/app:6 \
  --output=type=image,name=127.0.0.1:5001/app:7 \
  --output=type=image,name=127.0.0.1:5001/app:8 2>&1 | tee several-5.log
echo "${PIPESTATUS[0]}" > several-5.exit

# step several-6
buildctl build \
  --progress=plain \
  --frontend=dockerfile.v0 \
  --local=context=context \
  --local=dockerfile=dockerfiles \
  --opt=filename=Dockerfile \
  --opt=build-arg:BASE=127.0.0.1:5000/base:gzip \
  --export-cache=type=inline \
  --output=type=image,name=127.0.0.1:5001/app:1 \
  --output=type=image,name=127.0.0.1:5001/app:2 \
  --output=type=image,name=127.0.0.1:5001/app:3 \
  --output=type=image,name=127.0.0.1:5001/app:4 \
  --output=type=image,name=127.0.0.1:5001/app:5 \
  --output=type=image,name=127.0.0.1:5001/app:6 \
  --output=type=image,name=127.0.0.1:5001/app:7 \
  --output=type=image,name=127.0.0.1:5001/app:8 2>&1 | tee several-6.log
echo "${PIPESTATUS[0]}" > several-6.exit

# step several-7
buildctl build \
  --progress=plain \
  --frontend=dockerfile.v0 \
  --local=context=context \
  --local=dockerfile=dockerfiles \
  --opt=filename=Dockerfile \
  --opt=build-arg:BASE=127.0.0.1:5000/base:gzip \
  --export-cache=type=inline \
  --output=type=image,name=127.0.0.1:5001/app:1 \
  --output=type=image,name=127.0.0.1:5001/app:2 \
  --output=type=image,name=127.0.0.1:5001/app:3 \
  --output=type=image,name=127.0.0.1:5001/app:4 \
  --output=type=image,name=127.0.0.1:5001/app:5 \
  --output=type=image,name=127.0.0.1:5001/app:6 \
  --output=type=image,name=127.0.0.1:5001/app:7 \
  --output=type=image,name=127.0.0.1:5001/app:8 2>&1 | tee several-7.log
echo "${PIPESTATUS[0]}" > several-7.exit

# step several-8
buildctl build \
  --progress=plain \
  --frontend=dockerfile.v0 \
  --local=context=context \
  --local=dockerfile=dockerfiles \
  --opt=filename=Dockerfile \
  --opt=build-arg:BASE=127.0.0.1:5000/base:gzip \
  --export-cache=type=inline \
  --output=type=image,name=127.0.0.1:5001/app:1 \
  --output=type=image,name=127.0.0.1:5001/app:2 \
  --output=type=image,name=127.0.0.1:5001/app:3 \
  --output=type=image,name=127.0.0.1:5001/app:4 \
  --output=type=image,name=127.0.0.1:5001/app:5 \
  --output=type=image,name=127.0.0.1:5001/app:6 \
  --output=type=image,name=127.0.0.1:5001/app:7 \
  --output=type=image,name=127.0.0.1:5001/app:8 2>&1 | tee several-8.log
echo "${PIPESTATUS[0]}" > several-8.exit

# step several-9
buildctl build \
  --progress=plain \
  --frontend=dockerfile.v0 \
  --local=context=context \
  --local=dockerfile=dockerfiles \
  --opt=filename=Dockerfile \
  --opt=build-arg:BASE=127.0.0.1:5000/base:gzip \
  --export-cache=type=inline \
  --output=type=image,name=127.0.0.1:5001/app:1 \
  --output=type=image,name=127.0.0.1:5001/app:2 \
  --output=type=image,name=127.0.0.1:5001/app:3 \
  --output=type=image,name=127.0.0.1:5001/app:4 \
  --output=type=image,name=127.0.0.1:5001/app:5 \
  --output=type=image,name=127.0.0.1:5001/app:6 \
  --output=type=image,name=127.0.0.1:5001/app:7 \
  --output=type=image,name=127.0.0.1:5001/app:8 2>&1 | tee several-9.log
echo "${PIPESTATUS[0]}" > several-9.exit

# step several-10
buildctl build \
  --progress=plain \
  --frontend=dockerfile.v0 \
  --local=context=context \
  --local=dockerfile=dockerfiles \
  --opt=filename=Dockerfile \
  --opt=build-arg:BASE=127.0.0.1:5000/base:gzip \
  --export-cache=type=inline \
  --output=type=image,name=127.0.0.1:5001/app:1 \
  --output=type=image,name=127.0.0.1:5001/app:2 \
  --output=type=image,name=127.0.0.1:5001/app:3 \
  --output=type=image,name=127.0.0.1:5001/app:4 \
  --output=type=image,name=127.0.0.1:5001/app:5 \
  --output=type=image,name=127.0.0.1:5001/app:6 \
  --output=type=image,name=127.0.0.1:5001/app:7 \
  --output=type=image,name=127.0.0.1:5001/app:8 2>&1 | tee several-10.log
echo "${PIPESTATUS[0]}" > several-10.exit

# step several-11
buildctl build \
  --progress=plain \
  --frontend=dockerfile.v0 \
  --local=context=context \
  --local=dockerfile=dockerfiles \
  --opt=filename=Dockerfile \
  --opt=build-arg:BASE=127.0.0.1:5000/base:gzip \
  --export-cache=type=inline \
  --output=type=image,name=127.0.0.1:5001/app:1 \
  --output=type=image,name=127.0.0.1:5001/app:2 \
  --output=type=image,name=127.0.0.1:5001/app:3 \
  --output=type=image,name=127.0.0.1:5001/app:4 \
  --output=type=image,name=127.0.0.1:5001/app:5 \
  --output=type=image,name=127.0.0.1:5001/app:6 \
  --output=type=image,name=127.0.0.1:5001/app:7 \
  --output=type=image,name=127.0.0.1:5001/app:8 2>&1 | tee several-11.log
echo "${PIPESTATUS[0]}" > several-11.exit

# step several-12
buildctl build \
  --progress=plain \
  --frontend=dockerfile.v0 \
  --local=context=context \
  --local=dockerfile=dockerfiles \
  --opt=filename=Dockerfile \
  --opt=build-arg:BASE=127.0.0.1:5000/base:gzip \
  --export-cache=type=inline \
  --output=type=image,name=127.0.0.1:5001/app:1 \
  --output=type=image,name=127.0.0.1:5001/app:2 \
  --output=type=image,name=127.0.0.1:5001/app:3 \
  --output=type=image,name=127.0.0.1:5001/app:4 \
  --output=type=image,name=127.0.0.1:5001/app:5 \
  --output=type=image,name=127.0.0.1:5001/app:6 \
  --output=type=image,name=127.0.0.1:5001/app:7 \
  --output=type=image,name=127.0.0.1:5001/app:8 2>&1 | tee several-12.log
echo "${PIPESTATUS[0]}" > several-12.exit

# step several-13
buildctl build \
  --progress=plain \
  --frontend=dockerfile.v0 \
  --local=context=context \
  --local=dockerfile=dockerfiles \
  --opt=filename=Dockerfile \
  --opt=build-arg:BASE=127.0.0.1:5000/base:gzip \
  --export-cache=type=inline \
  --output=type=image,name=127.0.0.1:5001/app:1 \
  --output=type=image,name=127.0.0.1:5001/app:2 \
  --output=type=image,name=127.0.0.1:5001/app:3 \
  --output=type=image,name=127.0.0.1:5001/app:4 \
  --output=type=image,name=127.0.0.1:5001/app:5 \
  --output=type=image,name=127.0.0.1:5001/app:6 \
  --output=type=image,name=127.0.0.1:5001/app:7 \
  --output=type=image,name=127.0.0.1:5001/app:8 2>&1 | tee several-13.log
echo "${PIPESTATUS[0]}" > several-13.exit

# step several-14
buildctl build \
  --progress=plain \
  --frontend=dockerfile.v0 \
  --local=context=context \
  --local=dockerfile=dockerfiles \
  --opt=filename=Dockerfile \
  --opt=build-arg:BASE=127.0.0.1:5000/base:gzip \
  --export-cache=type=inline \
  --output=type=image,name=127.0.0.1:5001/app:1 \
  --output=type=image,name=127.0.0.1:5001/app:2 \
  --output=type=image,name=127.0.0.1:5001/app:3 \
  --output=type=image,name=127.0.0.1:5001/app:4 \
  --output=type=image,name=127.0.0.1:5001/app:5 \
  --output=type=image,name=127.0.0.1:5001/app:6 \
  --output=type=image,name=127.0.0.1:5001/app:7 \
  --output=type=image,name=127.0.0.1:5001/app:8 2>&1 | tee several-14.log
echo "${PIPESTATUS[0]}" > several-14.exit

# step several-15
buildctl build \
  --progress=plain \
  --frontend=dockerfile.v0 \
  --local=context=context \
  --local=dockerfile=dockerfiles \
  --opt=filename=Dockerfile \
  --opt=build-arg:BASE=127.0.0.1:5000/base:gzip \
  --export-cache=type=inline \
  --output=type=image,name=127.0.0.1:5001/app:1 \
  --output=type=image,name=127.0.0.1:5001/app:2 \
  --output=type=image,name=127.0.0.1:5001/app:3 \
  --output=type=image,name=127.0.0.1:5001/app:4 \
  --output=type=image,name=127.0.0.1:5001/app:5 \
  --output=type=image,name=127.0.0.1:5001/app:6 \
  --output=type=image,name=127.0.0.1:5001/app:7 \
  --output=type=image,name=127.0.0.1:5001/app:8 2>&1 | tee several-15.log
echo "${PIPESTATUS[0]}" > several-15.exit

# step several-16
buildctl build \
  --progress=plain \
  --frontend=dockerfile.v0 \
  --local=context=context \
  --local=dockerfile=dockerfiles \
  --opt=filename=Dockerfile \
  --opt=build-arg:BASE=127.0.0.1:5000/base:gzip \
  --export-cache=type=inline \
  --output=type=image,name=127.0.0.1:5001/app:1 \
  --output=type=image,name=127.0.0.1:5001/app:2 \
  --output=type=image,name=127.0.0.1:5001/app:3 \
  --output=type=image,name=127.0.0.1:5001/app:4 \
  --output=type=image,name=127.0.0.1:5001/app:5 \
  --output=type=image,name=127.0.0.1:5001/app:6 \
  --output=type=image,name=127.0.0.1:5001/app:7 \
  --output=type=image,name=127.0.0.1:5001/app:8 2>&1 | tee several-16.log
echo "${PIPESTATUS[0]}" > several-16.exit

# step several-17
buildctl build \
  --progress=plain \
  --frontend=dockerfile.v0 \
  --local=context=context \
  --local=dockerfile=dockerfiles \
  --opt=filename=Dockerfile \
  --opt=build-arg:BASE=127.0.0.1:5000/base:gzip \
  --export-cache=type=inline \
  --output=type=image,name=127.0.0.1:5001/app:1 \
  --output=type=image,name=127.0.0.1:5001/app:2 \
  --output=type=image,name=127.0.0.1:5001/app:3 \
  --output=type=image,name=127.0.0.1:5001/app:4 \
  --output=type=image,name=127.0.0.1:5001/app:5 \
  --output=type=image,name=127.0.0.1:5001/app:6 \
  --output=type=image,name=127.0.0.1:5001/app:7 \
  --output=type=image,name=127.0.0.1:5001/app:8 2>&1 | tee several-17.log
echo "${PIPESTATUS[0]}" > several-17.exit

# step several-18
buildctl build \
  --progress=plain \
  --frontend=dockerfile.v0 \
  --local=context=context \
  --local=dockerfile=dockerfiles \
  --opt=filename=Dockerfile \
  --opt=build-arg:BASE=127.0.0.1:5000/base:gzip \
  --export-cache=type=inline \
  --output=type=image,name=127.0.0.1:5001/app:1 \
  --output=type=image,name=127.0.0.1:5001/app:2 \
  --output=type=image,name=127.0.0.1:5001/app:3 \
  --output=type=image,name=127.0.0.1:5001/app:4 \
  --output=type=image,name=127.0.0.1:5001/app:5 \
  --output=type=image,name=127.0.0.1:5001/app:6 \
  --output=type=image,name=127.0.0.1:5001/app:7 \
  --output=type=image,name=127.0.0.1:5001/app:8 2>&1 | tee several-18.log
echo "${PIPESTATUS[0]}" > several-18.exit

# step several-19
buildctl build \
  --progress=plain \
  --frontend=dockerfile.v0 \
  --local=context=context \
  --local=dockerfile=dockerfiles \
  --opt=filename=Dockerfile \
  --opt=build-arg:BASE=127.0.0.1:5000/base:gzip \
  --export-cache=type=inline \
  --output=type=image,name=127.0.0.1:5001/app:1 \
  --output=type=image,name=127.0.0.1:5001/app:2 \
  --output=type=image,name=127.0.0.1:5001/app:3 \
  --output=type=image,name=127.0.0.1:5001/app:4 \
  --output=type=image,name=127.0.0.1:5001/app:5 \
  --output=type=image,name=127.0.0.1:5001/app:6 \
  --output=type=image,name=127.0.0.1:5001/app:7 \
  --output=type=image,name=127.0.0.1:5001/app:8 2>&1 | tee several-19.log
echo "${PIPESTATUS[0]}" > several-19.exit

# step several-20
buildctl build \
  --progress=plain \
  --frontend=dockerfile.v0 \
  --local=context=context \
  --local=dockerfile=dockerfiles \
  --opt=filename=Dockerfile \
  --opt=build-arg:BASE=127.0.0.1:5000/base:gzip \
  --export-cache=type=inline \
  --output=type=image,name=127.0.0.1:5001/app:1 \
  --output=type=image,name=127.0.0.1:5001/app:2 \
  --output=type=image,name=127.0.0.1:5001/app:3 \
  --output=type=image,name=127.0.0.1:5001/app:4 \
  --output=type=image,name=127.0.0.1:5001/app:5 \
  --output=type=image,name=127.0.0.1:5001/app:6 \
  --output=type=image,name=127.0.0.1:5001/app:7 \
  --output=type=image,name=127.0.0.1:5001/app:8 2>&1 | tee several-20.log
echo "${PIPESTATUS[0]}" > several-20.exit

stop
echo
for step in single several several-2 several-3 several-4 several-5 several-6 several-7 several-8 several-9 several-10 several-11 several-12 several-13 several-14 several-15 several-16 several-17 several-18 several-19 several-20; do echo "$step: exit $(cat $step.exit)"; done
cat <<'EOF'

The first that holds:
good (exported): every build with eight exporters is ok.
    single exits 0; in each of 20 runs: several exits 0.
bad (export-failed): a build with eight exporters fails, one with a single exporter does not.
    single exits 0; in at least 1 of 20 runs: several fails.
EOF
