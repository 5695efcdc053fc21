#!/usr/bin/env bash
# https://github.com/moby/buildkit/issues/4832
# a git branch that becomes the folder of another one
#
# Measured at 17896f6c4758 (17896f6c47588987d53f626cb2882f330acb934f): bad, not-fetched in 2 of 2 trials.
# That version, in a clone of https://github.com/moby/buildkit:
#   git checkout 17896f6c47588987d53f626cb2882f330acb934f
#   go build -o bin/ ./cmd/buildkitd ./cmd/buildctl
#
# Run it as root: bash reproduce.sh. What it needs:
# - in PATH: buildkitd and buildctl of the version to test, and runc
# - in PATH: python3; free ports: 127.0.0.1:5002
# - in PATH: git

set -u
umask 022
cd "$(mktemp -d)" && echo "files are in $PWD"
export BUILDKIT_HOST=unix://$PWD/buildkitd.sock
mkdir context dockerfiles

cat > dockerfiles/Dockerfile <<'EOF'
FROM scratch
ARG SOURCE
ADD ${SOURCE} /
EOF

cat > buildkitd.toml <<'EOF'
[worker.containerd]
  enabled = false
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

cat > serve.py <<'EOF'
import email.utils, http.server, os, sys
root, port = sys.argv[1], int(sys.argv[2])

def read(kind, name):
    try:
        with open(os.path.join(root, kind, name), "rb") as file:
            return file.read()
    except OSError:
        return None

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        name = self.path.partition("?")[0].lstrip("/")
        data, status = read("files", name), int(read("status", name) or 200)
        etag, since = (read("etag", name) or b"").decode(), 0
        headers = {"ETag": etag} if etag else {}
        if data is None:
            data, status, headers = b"not found\n", 404, {}
        else:
            since = int(os.stat(os.path.join(root, "files", name)).st_mtime)
            headers["Last-Modified"] = email.utils.formatdate(since, usegmt=True)
        if status == 200 and self.known(etag, since):
            data, status = b"", 304
        if status != 304:
            headers["Content-Length"] = len(data)
        sent = data if self.command == "GET" else b""
        with open(os.path.join(root, "requests"), "a") as log:
            print(self.command, self.path, status, len(sent), file=log)
        self.send_response(status)
        for header in headers.items():
            self.send_header(*map(str, header))
        self.end_headers()
        self.wfile.write(sent)

    do_HEAD = do_GET

    def known(self, etag, changed):
        tags = self.headers.get("If-None-Match")
        if tags is not None:
            tags = [tag.strip().removeprefix("W/") for tag in tags.split(",")]
            return tags == ["*"] or etag and etag.removeprefix("W/") in tags
        try:
            since = self.headers["If-Modified-Since"]
            return changed <= email.utils.parsedate_to_datetime(since).timestamp()
        except (TypeError, ValueError):
            return False

    def log_message(self, *_):
        pass

http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
EOF
servers=()
serve() {
  mkdir -p "servers/$1/files"
  if (: < "/dev/tcp/127.0.0.1/$2") 2> probe.log; then echo "port $2 is in use"; exit 1; fi
  python3 serve.py "servers/$1" "$2" 2> "servers/$1/log" &
  servers+=($!)
  until (: < "/dev/tcp/127.0.0.1/$2") 2> probe.log; do
    kill -0 $! || { cat "servers/$1/log"; exit 1; }
    sleep 0.2
  done
}
trap 'stop; kill "${servers[@]}"' EXIT
serve repo 5002
git init -q --bare servers/repo/files/repo.git && touch servers/repo/last
git --git-dir servers/repo/files/repo.git symbolic-ref HEAD refs/heads/main
git --git-dir servers/repo/files/repo.git update-server-info

vertex() {
  for n in $(grep -P "^#[0-9]+ $2" "$1" | cut -d ' ' -f 1 | sort -u); do grep "^$n " "$1"; done
}

start --oci-worker-snapshotter "$SNAPSHOTTER"

# step main
( export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1
export GIT_DIR=servers/repo/files/repo.git
export GIT_AUTHOR_NAME=Reproducer GIT_AUTHOR_EMAIL=reproducer@example.org GIT_AUTHOR_DATE='1577836800 +0000'
export GIT_COMMITTER_NAME=Reproducer GIT_COMMITTER_EMAIL=reproducer@example.org GIT_COMMITTER_DATE='1577836800 +0000'
parent=$(git rev-parse -q --verify refs/heads/main || cat servers/repo/last)
git read-tree "${parent:---empty}"
printf %s '1
' > blob
git update-index --add --replace --cacheinfo "100644,$(git hash-object -w blob),"file
git commit-tree "$(git write-tree)" ${parent:+-p "$parent"} -m main > servers/repo/last
git update-ref refs/heads/main "$(cat servers/repo/last)"
git update-server-info )

# step topic
( export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1
export GIT_DIR=servers/repo/files/repo.git
export GIT_AUTHOR_NAME=Reproducer GIT_AUTHOR_EMAIL=reproducer@example.org GIT_AUTHOR_DATE='1577836860 +0000'
export GIT_COMMITTER_NAME=Reproducer GIT_COMMITTER_EMAIL=reproducer@example.org GIT_COMMITTER_DATE='1577836860 +0000'
parent=$(git rev-parse -q --verify refs/heads/topic || cat servers/repo/last)
git read-tree "${parent:---empty}"
printf %s '2
' > blob
git update-index --add --replace --cacheinfo "100644,$(git hash-object -w blob),"file
git commit-tree "$(git write-tree)" ${parent:+-p "$parent"} -m topic > servers/repo/last
git update-ref refs/heads/topic "$(cat servers/repo/last)"
git update-server-info )

# step first
buildctl build \
  --progress=plain \
  --frontend=dockerfile.v0 \
  --local=context=context \
  --local=dockerfile=dockerfiles \
  --opt=filename=Dockerfile \
  '--opt=build-arg:SOURCE=http://127.0.0.1:5002/repo.git#f3e1498bdc136d37355f15d06d551e613dd7298b' 2>&1 | tee first.log
echo "${PIPESTATUS[0]}" > first.exit

# step added
( export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1
export GIT_DIR=servers/repo/files/repo.git
export GIT_AUTHOR_NAME=Reproducer GIT_AUTHOR_EMAIL=reproducer@example.org GIT_AUTHOR_DATE='1577836920 +0000'
export GIT_COMMITTER_NAME=Reproducer GIT_COMMITTER_EMAIL=reproducer@example.org GIT_COMMITTER_DATE='1577836920 +0000'
parent=$(git rev-parse -q --verify refs/heads/main || cat servers/repo/last)
git read-tree "${parent:---empty}"
printf %s '3
' > blob
git update-index --add --replace --cacheinfo "100644,$(git hash-object -w blob),"file
git commit-tree "$(git write-tree)" ${parent:+-p "$parent"} -m added > servers/repo/last
git update-ref refs/heads/main "$(cat servers/repo/last)"
git update-server-info )

# step second
buildctl build \
  --progress=plain \
  --frontend=dockerfile.v0 \
  --local=context=context \
  --local=dockerfile=dockerfiles \
  --opt=filename=Dockerfile \
  '--opt=build-arg:SOURCE=http://127.0.0.1:5002/repo.git#edd027c7bad005c5caaa2ac2c7dfbb70c7b30ca8' 2>&1 | tee second.log
echo "${PIPESTATUS[0]}" > second.exit

# step part
( export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1
export GIT_DIR=servers/repo/files/repo.git
export GIT_AUTHOR_NAME=Reproducer GIT_AUTHOR_EMAIL=reproducer@example.org GIT_AUTHOR_DATE='1577836980 +0000'
export GIT_COMMITTER_NAME=Reproducer GIT_COMMITTER_EMAIL=reproducer@example.org GIT_COMMITTER_DATE='1577836980 +0000'
git update-ref -d refs/heads/topic
parent=$(git rev-parse -q --verify refs/heads/topic/part || cat servers/repo/last)
git read-tree "${parent:---empty}"
printf %s '4
' > blob
git update-index --add --replace --cacheinfo "100644,$(git hash-object -w blob),"file
git commit-tree "$(git write-tree)" ${parent:+-p "$parent"} -m part > servers/repo/last
git update-ref refs/heads/topic/part "$(cat servers/repo/last)"
git update-server-info )

# step last
( export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1
export GIT_DIR=servers/repo/files/repo.git
export GIT_AUTHOR_NAME=Reproducer GIT_AUTHOR_EMAIL=reproducer@example.org GIT_AUTHOR_DATE='1577837040 +0000'
export GIT_COMMITTER_NAME=Reproducer GIT_COMMITTER_EMAIL=reproducer@example.org GIT_COMMITTER_DATE='1577837040 +0000'
parent=$(git rev-parse -q --verify refs/heads/main || cat servers/repo/last)
git read-tree "${parent:---empty}"
printf %s '5
' > blob
git update-index --add --replace --cacheinfo "100644,$(git hash-object -w blob),"file
git commit-tree "$(git write-tree)" ${parent:+-p "$parent"} -m last > servers/repo/last
git update-ref refs/heads/main "$(cat servers/repo/last)"
git update-server-info )

# step third
buildctl build \
  --progress=plain \
  --frontend=dockerfile.v0 \
  --local=context=context \
  --local=dockerfile=dockerfiles \
  --opt=filename=Dockerfile \
  '--opt=build-arg:SOURCE=http://127.0.0.1:5002/repo.git#f3371dd69a31f5434aaf685a200d241f36aa4b33' 2>&1 | tee third.log
echo "${PIPESTATUS[0]}" > third.exit

stop
echo
for step in first second third; do echo "$step: exit $(cat $step.exit)"; done
echo '-- third, lines with cannot lock ref'
grep -P -m 3 'cannot lock ref' third.log
echo '-- third, .'
vertex third.log '.*(?:.)'
echo '-- third, ., lines with cannot lock ref'
vertex third.log '.*(?:.)' | sed -nE 's/^#[0-9]+ [0-9]+\.[0-9]+ //p' | grep -P -m 3 'cannot lock ref'
cat <<'EOF'

The first that holds:
good (fetched): each new commit is fetched, also after the branch was replaced.
    first exits 0; second exits 0; third exits 0.
bad (not-fetched): after the branch was replaced, a new commit is not fetched.
    first exits 0; second exits 0; third fails; (third prints "cannot lock ref") or (in third, "." prints "cannot lock ref").
EOF
