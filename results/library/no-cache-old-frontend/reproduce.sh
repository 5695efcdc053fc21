#!/usr/bin/env bash
# https://github.com/moby/buildkit/issues/5558
# --no-cache with a frontend older than the daemon
#
# Measured at v0.18.0 (95d190ef4f18b57c717eaad703b67cb2be781ebb): bad, cached in 6 of 6 trials.
# That version, in a clone of https://github.com/moby/buildkit:
#   git checkout 95d190ef4f18b57c717eaad703b67cb2be781ebb
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

mkdir -p scripts
cat > scripts/build.sh <<'EOF'
#!/bin/sh
# Builds three times what a frontend older than BuildKit v0.17 sends for "FROM base" and a RUN, the third
# time with --no-cache, and prints whether the RUN ran. Such a frontend writes the fields of an operation
# in the order of their numbers; since v0.17, what the operation does (source, exec) is the last one.
set -eu

# Bytes are texts with escapes of printf %b.
varint() {
    rest=$1
    while [ "$rest" -ge 128 ]; do
        printf '\\0%03o' $((rest % 128 + 128))
        rest=$((rest / 128))
    done
    printf '\\0%03o' "$rest"
}

# field NUMBER BYTES: a field of protobuf that has a length
field() {
    size=$(printf %b "$2" | wc -c)
    printf '%s%s%s' "$(varint $(($1 * 8 + 2)))" "$(varint "$size")" "$2"
}

digest() {
    printf 'sha256:%s' "$(printf %b "$1" | sha256sum | cut -d ' ' -f 1)"
}

constraints=$(field 11 '')

source=$(field 3 "$(field 1 "docker-image://$BKBISECT_IMAGE_BASE")")$constraints
command='cat /proc/sys/kernel/random/uuid > /id'
meta=$(field 1 /bin/sh)$(field 1 -c)$(field 1 "$command")$(field 3 /)
exec=$(field 1 "$meta")$(field 2 "$(field 3 /)")
run=$(field 1 "$(field 1 "$(digest "$source")")")$(field 2 "$exec")$constraints
result=$(field 1 "$(field 1 "$(digest "$run")")")
metadata=$(field 2 "$(field 1 "$(digest "$run")")$(field 2 '')")
printf %b "$(field 1 "$source")$(field 1 "$run")$(field 1 "$result")$metadata" > definition

# build NAME [OPTION]: prints whether the RUN ran; it writes another text each time
build() {
    name=$1
    shift
    "$BKBISECT_BUILDCTL" build "$@" --output "type=local,dest=$name" < definition
    if [ -e last ] && cmp -s "$name/id" last; then
        echo "$name: the RUN is cached"
    else
        echo "$name: the RUN ran"
    fi
    cp "$name/id" last
}

build first
build second
build no-cache --no-cache
EOF
chmod 755 scripts/build.sh

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

# step builds
export BKBISECT_BUILDKITD=$(command -v buildkitd)
export BKBISECT_BUILDCTL=$(command -v buildctl)
export BKBISECT_CONTEXT=$PWD/context BKBISECT_WORK=$PWD
export BKBISECT_IMAGE_BASE=127.0.0.1:5000/base:gzip
scripts/build.sh 2>&1 | tee builds.log
echo "${PIPESTATUS[0]}" > builds.exit

stop
echo
for step in builds; do echo "$step: exit $(cat $step.exit)"; done
echo '-- builds, lines with ^second: the RUN is cached$'
grep -P -m 3 '^second: the RUN is cached$' builds.log
echo '-- builds, lines with ^no-cache: the RUN ran$'
grep -P -m 3 '^no-cache: the RUN ran$' builds.log
echo '-- builds, lines with ^no-cache: the RUN is cached$'
grep -P -m 3 '^no-cache: the RUN is cached$' builds.log
cat <<'EOF'

The first that holds:
good (ran): the RUN is cached in the second build, and runs with --no-cache.
    builds exits 0 and prints "^second: the RUN is cached$"; builds prints "^no-cache: the RUN ran$".
bad (cached): the RUN is cached with --no-cache too.
    builds exits 0 and prints "^second: the RUN is cached$"; builds prints "^no-cache: the RUN is cached$".
EOF
