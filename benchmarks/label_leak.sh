#!/bin/sh
# Exits 0 as long as an image has the label of a stage that it copies from, and 1 once each image has
# the label of its own stage (https://github.com/moby/buildkit/pull/6713). So "bad" is the fix: what a
# bisection of v0.28.0..v0.32.0 finds is the commit that made it. 125 if the build fails.
#
# Runs in an empty directory, with BUILDKIT_HOST and BKBISECT_BUILDCTL of the commit under test.
set -eu
echo text >file
cat >Dockerfile <<'END'
FROM scratch AS base
LABEL marker=base
FROM base AS sibling
LABEL marker=sibling
COPY file /file
FROM base AS consumer
COPY --from=sibling / /
END
"$BKBISECT_BUILDCTL" build --frontend dockerfile.v0 --local context=. --local dockerfile=. \
    --output type=oci,dest=image.tar >log 2>&1 || { cat log; exit 125; }
mkdir image
tar -xf image.tar -C image
if grep -raq '"marker":"sibling"' image; then exit 0; fi
exit 1
