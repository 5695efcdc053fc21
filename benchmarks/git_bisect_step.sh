#!/bin/sh
# What `git bisect run` runs in its tree: builds the commit that is there, starts it, and runs a test
# script, as an upstream developer would.
#
# AGAINST is a folder with a `go-MINOR` for each version of Go that a commit may ask for; its `log` gets
# a line for each commit: its id, and the times of the start, of the last package that was
# compiled, of the end of the build, and of the end of the test. TEST is the test script; TAGS are build
# tags. GOCACHE is the user's.
set -u
now() { date +%s.%N; }
commit=$(git rev-parse HEAD)
begun=$(now)
minor=$(sed -n 's/^ARG GO_VERSION=\([0-9]*\.[0-9]*\).*/\1/p' Dockerfile | head -n 1)
work=$(mktemp -d)
daemon=
finish() {
    [ -z "$daemon" ] || { kill "$daemon"; wait "$daemon"; }
    rm -rf "$work"
}
trap finish EXIT
export CGO_ENABLED=0 GOFLAGS='' GOTOOLCHAIN=local GOENV=off
"$AGAINST/go-$minor" build -v -trimpath -buildvcs=false -mod=vendor -tags "$TAGS" \
    -o "$work/" ./cmd/buildkitd ./cmd/buildctl 2>"$AGAINST/packages"
status=$?
built=$(now)
compiled=$(date -r "$AGAINST/packages" +%s.%N)
if [ "$status" != 0 ]; then
    echo "$commit $begun $compiled $built $built" >>"$AGAINST/log"
    exit 125
fi
export BUILDKIT_HOST="unix://$work/socket" BKBISECT_BUILDCTL="$work/buildctl"
"$work/buildkitd" --root "$work/state" --addr "$BUILDKIT_HOST" --oci-worker-snapshotter overlayfs \
    --containerd-worker=false >"$work/daemon.log" 2>&1 &
daemon=$!
until "$work/buildctl" debug workers >/dev/null 2>&1; do
    kill -0 "$daemon" || { cat "$work/daemon.log"; daemon=; exit 128; }
    sleep 0.05
done
mkdir "$work/empty"
cd "$work/empty" || exit 128
"$TEST"
status=$?
echo "$commit $begun $compiled $built $(now)" >>"$AGAINST/log"
exit "$status"
