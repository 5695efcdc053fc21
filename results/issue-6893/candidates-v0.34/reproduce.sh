#!/usr/bin/env bash
# https://github.com/moby/buildkit/issues/6893
# mode=max export of a multi-stage build on a lazy snapshotter
# Here with bases different and snapshotter stargz.
#
# Measured at v0.34.2: bad, layers-dropped in 5 of 5 trials.
# That version, in a clone of https://github.com/moby/buildkit:
#   git checkout v0.34.2
#   go build -o bin/ ./cmd/buildkitd ./cmd/buildctl
# No BuildKit made the base images, of files alone; here the version to test does.
#
# Run it as root: bash reproduce.sh. What it needs:
# - in PATH: buildkitd and buildctl of the version to test, and runc
# - in PATH: a static busybox, for images (Debian: busybox-static)
# - in PATH: jq, to read the exported cache
# - a registry at 127.0.0.1:5000: docker run -d -p 127.0.0.1:5000:5000 registry:2
#
# The control has snapshotter overlayfs, and must be good: SNAPSHOTTER=overlayfs bash reproduce.sh.

set -u
umask 022
cd "$(mktemp -d)" && echo "files are in $PWD"
export BUILDKIT_HOST=unix://$PWD/buildkitd.sock
mkdir context dockerfiles

cat > dockerfiles/build.Dockerfile <<'EOF'
# The base of the build stage.
FROM scratch
COPY busybox /bin/busybox
COPY rootfs/ /
EOF

cat > dockerfiles/busybox.Dockerfile <<'EOF'
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
RUN cat /stable && echo "$BUST" > /out

FROM ${FINAL_BASE}
COPY --from=build /out /out
EOF

cat > buildkitd.toml <<'EOF'
[worker.containerd]
  enabled = false
[registry."127.0.0.1:5000"]
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
config() {
  local blobs=$1/blobs/sha256 top
  top=$(jq -r '.manifests[0].digest | sub("sha256:"; "")' "$1/index.json")
  top=$(jq -r '([.config] + (.manifests // []))[]
    | select(.mediaType == "application/vnd.buildkit.cacheconfig.v0")
    | .digest | sub("sha256:"; "")' "$blobs/$top")
  cat "$blobs/$top"
}
inner() {
  [ -f "$1/index.json" ] || { echo "nothing was exported"; return; }
  config "$1" | jq -r '.records as $all
    | [.records[].inputs // [] | .[][] | .link // 0] | unique | map($all[.])
    | "\(map(select(.layers // .chains)) | length) of \(length) inner records have layers"'
}

# The base images.
# Published images of the same kind: build: ghcr.io/stargz-containers/ubuntu:22.04-esgz and final: ghcr.io/stargz-containers/alpine:3.15.3-esgz.
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
  --opt=filename=busybox.Dockerfile \
  --output=type=image,name=127.0.0.1:5000/final:estargz,push=true,compression=estargz,force-compression=true,oci-mediatypes=true || exit 1

stop
rm -rf state

start --oci-worker-snapshotter "$SNAPSHOTTER"

# step export
buildctl build \
  --progress=plain \
  --frontend=dockerfile.v0 \
  --local=context=context \
  --local=dockerfile=dockerfiles \
  --opt=filename=Dockerfile \
  --opt=build-arg:BUST=1 \
  --opt=build-arg:BUILD_BASE=127.0.0.1:5000/build:estargz \
  --opt=build-arg:FINAL_BASE=127.0.0.1:5000/final:estargz \
  --export-cache=type=local,mode=max,dest=cache 2>&1 | tee export.log
echo "${PIPESTATUS[0]}" > export.exit

# step prune
buildctl prune-histories
buildctl prune --all 2>&1 | tee prune.log
echo "${PIPESTATUS[0]}" > prune.exit

# step import
buildctl build \
  --progress=plain \
  --frontend=dockerfile.v0 \
  --local=context=context \
  --local=dockerfile=dockerfiles \
  --opt=filename=Dockerfile \
  --opt=build-arg:BUST=2 \
  --opt=build-arg:BUILD_BASE=127.0.0.1:5000/build:estargz \
  --opt=build-arg:FINAL_BASE=127.0.0.1:5000/final:estargz \
  --import-cache=type=local,src=cache 2>&1 | tee import.log
echo "${PIPESTATUS[0]}" > import.exit

stop
echo
for step in export prune import; do echo "$step: exit $(cat $step.exit)"; done
echo '-- export, lines with missing descriptor handlers for lazy blobs'
grep -P -m 3 'missing descriptor handlers for lazy blobs' export.log
echo '-- import, RUN echo stable'
vertex import.log '.*(?:RUN echo stable)'
echo '-- export, its cache'
inner cache
cat <<'EOF'

The first that holds:
good (cached): the stable RUN came from the imported cache.
    export exits 0; import exits 0; in import, "RUN echo stable" is CACHED.
bad (export-failed): the cache export fails with the missing-handlers error.
    export fails; export prints "missing descriptor handlers for lazy blobs".
bad (layers-dropped): no build-stage record has layers in the exported cache; nothing was reported.
    export exits 0; in export, no inner record of its cache has layers that has them in the control's; in import, "RUN echo stable" runs: it is not CACHED.
bad (layers-partly-dropped): some build-stage records have no layers in the exported cache; nothing was reported.
    export exits 0; in export, some inner records of its cache have no layers, but have them in the control's; in import, "RUN echo stable" runs: it is not CACHED.
bad (ran-despite-layers): the exported cache has every layer that the control's has, and the stable RUN ran again.
    export exits 0; in export, every inner record of its cache that has layers in the control's has layers; in import, "RUN echo stable" runs: it is not CACHED.
EOF
