#!/usr/bin/env bash
# https://github.com/moby/buildkit/issues/6893
# export on top of a vertex that was merged into one of another build
# Here with snapshotter stargz.
#
# Measured at v0.34.2: bad, both-lost in 5 of 5 trials.
# That version, in a clone of https://github.com/moby/buildkit:
#   git checkout v0.34.2
#   go build -o bin/ ./cmd/buildkitd ./cmd/buildctl
# No BuildKit made the base images, of files alone; here the version to test does.
#
# Run it as root: bash reproduce.sh. What it needs:
# - in PATH: buildkitd and buildctl of the version to test, and runc
# - in PATH: a static busybox, for images (Debian: busybox-static)
# - a registry at 127.0.0.1:5000: docker run -d -p 127.0.0.1:5000:5000 registry:2
# - a registry at 127.0.0.1:5001: docker run -d -p 127.0.0.1:5001:5000 registry:2
#
# The control has snapshotter overlayfs, and must be good: SNAPSHOTTER=overlayfs bash reproduce.sh.

set -u
umask 022
cd "$(mktemp -d)" && echo "files are in $PWD"
export BUILDKIT_HOST=unix://$PWD/buildkitd.sock
mkdir context dockerfiles

cat > dockerfiles/build.Dockerfile <<'EOF'
FROM scratch
COPY busybox /bin/busybox
COPY rootfs/ /
EOF

cat > dockerfiles/final.Dockerfile <<'EOF'
# The base of the final stage. It shares no layer with any other base.
FROM scratch
COPY busybox <<final /bin/
in the first layer
final
COPY rootfs/ <<final /
in the second layer
final
EOF

cat > dockerfiles/Dockerfile <<'EOF'
ARG BUILD_BASE=scratch
ARG FINAL_BASE=scratch

FROM ${BUILD_BASE} AS build
RUN echo stable > /stable
ARG BUST
# The other build begins before this one has ended.
RUN sleep 8 && cat /stable && echo "$BUST" > /out

FROM ${FINAL_BASE}
COPY --from=build /out /out
EOF

cat > buildkitd.toml <<'EOF'
[worker.containerd]
  enabled = false
[registry."127.0.0.1:5000"]
  http = true
[registry."127.0.0.1:5001"]
  http = true
EOF
SNAPSHOTTER=${SNAPSHOTTER:-stargz}
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
mkdir -p base/rootfs/{bin,etc,home,opt,root,tmp,usr,usr/bin,usr/local,usr/local/bin,var}
chmod 700 base/rootfs/root
chmod 1777 base/rootfs/tmp
printf '%s\n' 'root:x:0:0:root:/''root:/bin/sh' 'nobody:x:65534:65534:nobody:/:/bin/sh' > base/rootfs/etc/passwd
for name in $(busybox --list); do [ "$name" = busybox ] || ln -s /bin/busybox "base/rootfs/bin/$name"; done
start --oci-worker-snapshotter native

buildctl build \
  --progress=plain \
  --frontend=dockerfile.v0 \
  --local=context=base \
  --local=dockerfile=dockerfiles \
  --opt=filename=build.Dockerfile \
  --output=type=image,name=127.0.0.1:5000/build:estargz,push=true,compression=estargz,force-compression=true,oci-mediatypes=true || exit 1

buildctl build \
  --progress=plain \
  --frontend=dockerfile.v0 \
  --local=context=base \
  --local=dockerfile=dockerfiles \
  --opt=filename=build.Dockerfile \
  --output=type=image,name=127.0.0.1:5000/same:estargz,push=true,compression=estargz,force-compression=true,oci-mediatypes=true || exit 1

buildctl build \
  --progress=plain \
  --frontend=dockerfile.v0 \
  --local=context=base \
  --local=dockerfile=dockerfiles \
  --opt=filename=final.Dockerfile \
  --output=type=image,name=127.0.0.1:5000/final:estargz,push=true,compression=estargz,force-compression=true,oci-mediatypes=true || exit 1

stop
rm -rf state

start --oci-worker-snapshotter "$SNAPSHOTTER"

# step first
buildctl build \
  --progress=plain \
  --frontend=dockerfile.v0 \
  --local=context=context \
  --local=dockerfile=dockerfiles \
  --opt=filename=Dockerfile \
  --opt=build-arg:BUST=1 \
  --opt=build-arg:BUILD_BASE=127.0.0.1:5000/build:estargz \
  --opt=build-arg:FINAL_BASE=127.0.0.1:5000/final:estargz \
  --export-cache=type=registry,mode=max,ref=127.0.0.1:5001/cache:first,compression=estargz,force-compression=true,oci-mediatypes=true 2>&1 | tee first.log
echo "${PIPESTATUS[0]}" > first.exit

# step fresh-second
stop
rm -rf state
start --oci-worker-snapshotter "$SNAPSHOTTER"

group=()
# step second-a
( buildctl build \
  --progress=plain \
  --frontend=dockerfile.v0 \
  --local=context=context \
  --local=dockerfile=dockerfiles \
  --opt=filename=Dockerfile \
  --opt=build-arg:BUST=a \
  --opt=build-arg:BUILD_BASE=127.0.0.1:5000/build:estargz \
  --opt=build-arg:FINAL_BASE=127.0.0.1:5000/final:estargz \
  --export-cache=type=registry,mode=max,ref=127.0.0.1:5001/cache:a,compression=estargz,force-compression=true,oci-mediatypes=true \
  --import-cache=type=registry,ref=127.0.0.1:5001/cache:first 2>&1 | tee second-a.log
echo "${PIPESTATUS[0]}" > second-a.exit ) & group+=($!)
# step second-b
( buildctl build \
  --progress=plain \
  --frontend=dockerfile.v0 \
  --local=context=context \
  --local=dockerfile=dockerfiles \
  --opt=filename=Dockerfile \
  --opt=build-arg:BUST=b \
  --opt=build-arg:BUILD_BASE=127.0.0.1:5000/same:estargz \
  --opt=build-arg:FINAL_BASE=127.0.0.1:5000/final:estargz \
  --export-cache=type=registry,mode=max,ref=127.0.0.1:5001/cache:b,compression=estargz,force-compression=true,oci-mediatypes=true \
  --import-cache=type=registry,ref=127.0.0.1:5001/cache:first 2>&1 | tee second-b.log
echo "${PIPESTATUS[0]}" > second-b.exit ) & group+=($!)
wait "${group[@]}"

# step fresh-third
stop
rm -rf state
start --oci-worker-snapshotter "$SNAPSHOTTER"

# step third-a
buildctl build \
  --progress=plain \
  --frontend=dockerfile.v0 \
  --local=context=context \
  --local=dockerfile=dockerfiles \
  --opt=filename=Dockerfile \
  --opt=target=build \
  --opt=build-arg:BUST=a \
  --opt=build-arg:BUILD_BASE=127.0.0.1:5000/build:estargz \
  --opt=build-arg:FINAL_BASE=127.0.0.1:5000/final:estargz \
  --import-cache=type=registry,ref=127.0.0.1:5001/cache:a 2>&1 | tee third-a.log
echo "${PIPESTATUS[0]}" > third-a.exit

# step fresh-fourth
stop
rm -rf state
start --oci-worker-snapshotter "$SNAPSHOTTER"

# step third-b
buildctl build \
  --progress=plain \
  --frontend=dockerfile.v0 \
  --local=context=context \
  --local=dockerfile=dockerfiles \
  --opt=filename=Dockerfile \
  --opt=target=build \
  --opt=build-arg:BUST=b \
  --opt=build-arg:BUILD_BASE=127.0.0.1:5000/same:estargz \
  --opt=build-arg:FINAL_BASE=127.0.0.1:5000/final:estargz \
  --import-cache=type=registry,ref=127.0.0.1:5001/cache:b 2>&1 | tee third-b.log
echo "${PIPESTATUS[0]}" > third-b.exit

stop
echo
for step in first second-a second-b third-a third-b; do echo "$step: exit $(cat $step.exit)"; done
echo '-- second-a, RUN echo stable'
vertex second-a.log '.*(?:RUN echo stable)'
echo '-- second-b, RUN echo stable'
vertex second-b.log '.*(?:RUN echo stable)'
echo '-- third-a, RUN sleep'
vertex third-a.log '.*(?:RUN sleep)'
echo '-- third-b, RUN sleep'
vertex third-b.log '.*(?:RUN sleep)'
cat <<'EOF'

The first that holds:
good (cached): what both builds ran and exported came from their caches.
    in second-a, "RUN echo stable" is CACHED; in second-b, "RUN echo stable" is CACHED; third-a exits 0; in third-a, "RUN sleep" is CACHED; third-b exits 0; in third-b, "RUN sleep" is CACHED.
bad (both-lost): the steps that the builds ran and exported ran again.
    in third-a, "RUN sleep" runs: it is not CACHED; in third-b, "RUN sleep" runs: it is not CACHED.
bad (one-lost): the step that one of the builds ran and exported ran again, that of the other did not.
    (in third-a, "RUN sleep" runs: it is not CACHED) or (in third-b, "RUN sleep" runs: it is not CACHED).
EOF
