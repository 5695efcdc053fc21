"""Short texts with the commands and Dockerfiles of public reports, written anew.

Each has the structure of the report that it is named after: where its Dockerfile is, which lines
are commands, and what is output.
"""

from __future__ import annotations

#: moby/buildkit#6893: two builds with a builder whose snapshotter is stargz, and a prune.
LAZY_EXPORT = """\
# mode=max export drops a stage

Dockerfile:

```dockerfile
FROM ghcr.io/stargz-containers/ubuntu:22.04-esgz AS build
RUN echo stable > /stable
ARG BUST
RUN cat /stable && echo "$BUST" > /out

FROM ghcr.io/stargz-containers/alpine:3.15.3-esgz
COPY --from=build /out /out
```

```bash
docker buildx create --name lazy --driver docker-container \\
  --driver-opt image=moby/buildkit:latest --driver-opt network=host \\
  --buildkitd-flags '--oci-worker-snapshotter=stargz'

# the first build exports its cache
docker buildx build --builder lazy --build-arg BUST=1 \\
  --cache-to type=local,dest=/tmp/cache,mode=max --output type=cacheonly .

docker buildx prune --builder lazy -af

docker buildx build --builder lazy --build-arg BUST=2 \\
  --cache-from type=local,src=/tmp/cache --output type=cacheonly --progress=plain .

docker buildx rm lazy
```

Expected: the stable `RUN` is `CACHED` in the second build. Actual: it runs again.
"""

#: moby/buildkit#4746: output follows the command without a prompt; a sentence makes a file.
COPY_LINK = """\
rewrite-timestamp and COPY --link, https://github.com/moby/buildkit/issues/4746

Dockerfile
```
FROM gcr.io/distroless/base-nossl-debian12

COPY --link foo foo
```

Create the file with `touch foo`.

```
docker buildx create --driver=docker-container --name=dev --driver-opt image=moby/buildkit:v0.13.0
```

```
docker buildx build --build-arg SOURCE_DATE_EPOCH=0 \\
  --output type=docker,rewrite-timestamp=true --builder=dev -t foo .
[+] Building 25.6s (9/9) FINISHED                                docker-container:dev
 => [internal] load build definition from Dockerfile                             0.0s
 => ERROR exporting to docker image format                                       0.1s
ERROR: failed to solve: content digest sha256:7b722c1070cdf5188f1f9e43: not found
```
"""

#: moby/buildkit#4793: a script with variables and a here-document.
NO_LAYER = """\
```bash
#!/usr/bin/env bash
set -xeuo pipefail

cd "$(mktemp -d)"

cat >Dockerfile <<'EOT'
ARG ONE
ARG TWO

FROM ${ONE} AS base

FROM ${TWO}
EOT

OUTPUT_IMAGE="registry.example.com/team/out:1"
CACHE_IMAGE="registry.example.com/team/cache"
ONE="debian:bookworm"

docker buildx build \\
    --pull \\
    --output "name=$OUTPUT_IMAGE,push=true,rewrite-timestamp=true,type=image" \\
    --cache-to "ref=$CACHE_IMAGE,mode=max,type=registry" \\
    --build-arg "SOURCE_DATE_EPOCH=1" \\
    --build-arg "ONE=$ONE" \\
    --build-arg TWO=debian:bookworm-slim \\
    --provenance=false --sbom=false \\
    .
```

It prints `ERROR: failed to solve: content digest sha256:7b722c1070cd: not found`.
"""

#: moby/buildkit#6217 (fixed by #6218): a console with prompts; `cat` shows the Dockerfile.
EXPOSE = """\
```console
$ docker buildx create --bootstrap --driver-opt image=moby/buildkit:master --name=m
[+] Building 3.8s (1/1) FINISHED
m
$ cat Dockerfile
FROM alpine:3.22

EXPOSE 2375
$ docker buildx build --progress=plain --builder m --output='type=oci,tar=false,dest=test' .
#0 building with "m" instance using docker-container driver
#1 DONE 0.0s
$ jq .history < test/config
```
"""

#: moby/buildkit#5305: an indented Dockerfile in a list, and a command in a sentence, run twice.
NO_CACHE = """\
1. Make a project
2. Create a Dockerfile with the following content:
   ```dockerfile
   FROM node:20.16.0-alpine3.20

   COPY package.json package-lock.json* ./

   RUN --mount=type=cache,mode=0755,target=/root/.npm npm cache verify
   ```
3. Run `docker build --progress=plain --no-cache .` twice
"""

#: moby/buildkit#6712 (fixed by #6713): a Dockerfile and no command.
LABELS = """\
## Reproduction

```
FROM busybox AS base
LABEL marker=base

FROM base AS sibling
RUN touch /sibling
LABEL marker=sibling

FROM base AS consumer
COPY --from=sibling /sibling /sibling
```

```
"marker": "base"
```
"""

#: moby/buildkit#4083 and #5578: an OCI layout of one build is a named context of the next.
LAYOUT = """\
base/Dockerfile:
```
FROM ubuntu:22.04
RUN echo base > /base
```
app/Dockerfile:
```
FROM parent
RUN cat /base
```
```
buildctl build --frontend=dockerfile.v0 --local context=base --local dockerfile=base \\
    --output type=oci,name=base,dest=layout,tar=false
empty=$(mktemp -d) # an empty context
buildctl build --frontend dockerfile.v0 --local context=$empty --local dockerfile=app \\
    --oci-layout parent=layout --output type=oci,dest=app.tar \\
    --opt context:parent=oci-layout://parent@sha256:650fd573e056b679a5110a70aabeb01e26b76e545ec4b9c70a9523f2dfaf18c6
```
"""

#: moby/buildkit#4805: buildctl behind a prompt, with continued lines.
BUILDCTL = """\
Dockerfile:
```dockerfile
# syntax=docker/dockerfile:1
FROM busybox:1.36.1@sha256:650fd573e056b679a5110a70aabeb01e26b76e545ec4b9c70a9523f2dfaf18c6
RUN echo hi >/hi
```

```console
$ buildctl  build \\
  --frontend dockerfile.v0 \\
  --local dockerfile=. --local context=. \\
  --opt build-arg:SOURCE_DATE_EPOCH=0 \\
  --opt platform=linux/amd64 \\
  --output type=oci,dest=out,tar=false,rewrite-timestamp=true
[+] Building 3.3s (6/6) FINISHED
```
"""

#: moby/buildkit#3958: two listings of one command; the second shows what is expected.
NEVER_CACHED = """\
```
FROM ghcr.io/stargz-containers/golang:1.18-esgz

RUN echo "True"
```

```
docker build --platform=linux/amd64 --progress=plain .
#5 [2/2] RUN echo "True"
#5 0.171 True
#5 DONE 0.2s
```

With the overlayfs snapshotter I see the expected behaviour in the second build
```
docker build --platform=linux/amd64 --progress=plain .
#5 [2/2] RUN echo "True"
#5 CACHED
```
"""

#: moby/buildkit#3407 and #6049: attestations, and the names of their files.
ATTESTATIONS = """\
```dockerfile
ARG BUILDKIT_SBOM_SCAN_STAGE=true

FROM alpine:latest AS base
RUN echo test > /test

FROM scratch
COPY --from=base /test /
```
```
$ docker buildx build --builder=dev . --sbom=true --provenance=mode=max -o ./dir
$ ls ./dir
provenance.json  sbom-base.spdx.json
```
"""

#: moby/buildkit#3009 and docker/buildx#1099: inline cache over repeated builds of a pushed image.
INLINE = """\
```Dockerfile
FROM alpine AS one
RUN echo one > /one.txt
FROM alpine
COPY --link --from=one /one.txt /
COPY app.txt /
```
```sh
echo 1 > app.txt
docker buildx build --push --cache-to type=inline --tag localhost:5000/test:1 .
docker buildx prune -af
echo 2 > app.txt
docker buildx build --push --cache-from localhost:5000/test:1 --cache-to type=inline \\
  -t localhost:5000/test:1 .
```
The step `RUN echo one > /one.txt` should be cached.
"""

#: moby/buildkit#5070: prompts of another shell, two builders of two releases, an error.
TWO_RELEASES = """\
```dockerfile
FROM public.ecr.aws/debian/debian:bookworm-slim AS a
RUN mkdir -p /var/www && ln -s /var/www /srv/www
FROM a
COPY --link x /var/www/x
```
```
\u276f docker buildx create --name ok --driver-opt image=moby/buildkit:v0.13.2
ok
\u276f docker buildx build --builder=ok .
[+] Building 6.3s (11/11) FINISHED                               docker-container:ok
\u276f docker buildx create --name ko --driver-opt image=moby/buildkit:v0.14.0
ko
\u276f docker buildx build --builder=ko .
 => ERROR [stage-1 2/2] COPY --link x /var/www/x                                0.0s
ERROR: failed to solve: mkdir /var/www: not a directory
```
"""

#: moby/buildkit#4780: some commands of a listing have a prompt and some have none.
MIXED_PROMPTS = """\
```
FROM ubuntu:latest
RUN --mount=type=bind,target=/mydir/,source=.,readwrite \\
    --mount=type=bind,target=/mydir/old/,source=./old,readwrite \\
    echo test
```
```
# The Dockerfile is here
$ cat Dockerfile

# Two entries
$ touch file1
$ mkdir old

# The first build
docker build -f Dockerfile .

# Another content
$ echo edit1 > file1

docker build -f Dockerfile .
```
"""

#: moby/moby#38982: a block that is two files, and a command in a list.
TWO_FILES = """\
1. Files

`Dockerfile` :

```
FROM ubuntu
RUN mkdir -p /opt/a && ln -s /opt/a /opt/link
COPY one.txt /opt/a/
COPY two.txt /opt/link/
```

`one.txt`, `two.txt` :

```
test file
```

2. `export DOCKER_BUILDKIT=1`
3. `docker build --no-cache .`
"""

#: moby/moby#42473: a script, then the output of the classic builder.
CLASSIC = """\
```bash
mkdir example && cd example
echo hello > foo
cat > Dockerfile <<EOT
FROM busybox
COPY foo /foo
RUN ln -s none /bar/notarget
EOT
```

```bash
docker build -t foo .
Sending build context to Docker daemon  4.096kB
 Step 1/3 : FROM busybox
 latest: Pulling from library/busybox
 The command '/bin/sh -c ln' returned a non-zero code: 1
```
"""
