"""Commands that show the outputs that a scenario's rules are about. Pure.

They are bash, for the script of `reproduction`, and extract nothing: an image may have links that
lead out of a directory.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Sequence

from buildkit_bisect.scenario import document_path, outputs
from buildkit_bisect.scenario.definition import Condition, Scenario, Step

#: Prints a blob, a manifest and all documents of an image: of an OCI layout in a directory or an
#: archive, or of a name in a registry.
_DOCUMENTS = """
blob() {
  local rest=${1#*/}
  if [ -d "$1" ]; then cat "$1/blobs/${2/://}"
  elif [ -f "$1" ]; then tar -xOf "$1" "blobs/${2/://}"
  else curl -sf "http://${1%%/*}/v2/${rest%:*}/blobs/$2"; fi
}
manifest() {
  local rest=${1#*/} oci=application/vnd.oci.image docker=application/vnd.docker.distribution
  if [ -e "$1" ]; then blob "$1" "$2"
  else
    curl -sf -H "Accept: $oci.index.v1+json, $oci.manifest.v1+json" \\
      -H "Accept: $docker.manifest.list.v2+json, $docker.manifest.v2+json" \\
      "http://${1%%/*}/v2/${rest%:*}/manifests/${2:-${rest##*:}}"
  fi
}
documents() {
  local layout=null index=null top image digest
  if [ -d "$1" ]; then layout=$(cat "$1/index.json")
  elif [ -f "$1" ]; then layout=$(tar -xOf "$1" index.json); fi
  digest=$(jq -r '.manifests[0].digest // ""' <<< "$layout")
  top=$(manifest "$1" "$digest")
  image=$top index=$layout
  if jq -e .manifests > /dev/null <<< "$top"; then
    index=$top
    digest=$(jq -r 'first(.manifests[] | select(
      .annotations["vnd.docker.reference.type"] != "attestation-manifest")).digest' <<< "$top")
    image=$(manifest "$1" "$digest")
  fi
  jq -n --argjson layout "$layout" --argjson index "$index" --argjson manifest "$image" \\
    --argjson config "$(blob "$1" "$(jq -r .config.digest <<< "$image")")" \\
    --slurpfile attestations <(attestations "$1" "$index" "$digest") \\
    '{$layout, $index, $manifest, $config, $attestations, layers: [$manifest.layers,
      [$config.rootfs.diff_ids[]? | {diff_id: .}]] | transpose | map(add)}'
}
attestations() {
  local one layer type
  for one in $(jq -r --arg of "$3" '.manifests[]? | select(
    .annotations["vnd.docker.reference.digest"] == $of).digest' <<< "$2"); do
    manifest "$1" "$one" | jq -r '.layers[] | [.digest, .annotations["in-toto.io/predicate-type"]]
      | @tsv' | while read -r layer type; do
      blob "$1" "$layer" | jq --arg predicate_type "$type" '{$predicate_type, statement: .}'
    done
  done
}"""

#: Shows a file of a directory or a tar archive: its mode and time, its digest, its first lines.
_FILE = """
entry() { tar -tf "$1" | grep -xF -m 1 -e "$2" -e "$2/" -e "./$2" -e "./$2/"; }
in_tar() {
  local name
  name=$(entry "$1" "$2") || return 1
  tar -tvf "$1" --full-time --no-recursion -- "$name"
  tar -xOf "$1" -- "$name" | sha256sum
  tar -xOf "$1" -- "$name" | head -c 1000
  echo
}
file() {
  if [ -f "$1" ]; then in_tar "$1" "$2" || echo "there is no $2"
  elif [ -e "$1/$2" ] || [ -L "$1/$2" ]; then
    stat -c '%A %a %s bytes, modified at %Y (%y)' "$1/$2"
    [ ! -f "$1/$2" ] || { sha256sum < "$1/$2" && head -c 1000 "$1/$2" && echo; }
  else echo "there is no $2"; fi
}"""

#: The same for a file of an image, in the uppermost layer that has or deletes it.
_IMAGE_FILE = """
deleted() {
  local at=$2 folder
  while [ -n "$at" ]; do
    folder=${at%"${at##*/}"}
    entry "$1" "$folder.wh.${at##*/}" || entry "$1" "$folder.wh..wh..opq" && return
    at=${folder%/}
  done
  return 1
}
image_file() {
  local digest layer
  layer=$(mktemp)
  for digest in $(documents "$1" | jq -r '.manifest.layers | reverse | .[].digest'); do
    blob "$1" "$digest" > "$layer"
    in_tar "$layer" "$2" && return
    ! deleted "$layer" "$2" > /dev/null || break
  done
  echo "there is no $2"
}"""


def reads_image(scenario: Scenario, steps: Sequence[Step]) -> bool:
    """Return whether the script reads an image."""
    asked = (one for step in steps for one in _asked(scenario, step))
    return any(kind not in ("local", "tar") for kind, _, _ in asked)


def functions(scenario: Scenario, steps: Sequence[Step]) -> list[str]:
    """Return the bash functions that `facts` uses."""
    asked = [one for step in steps for one in _asked(scenario, step)]
    files = [_FILE] if any(condition.file for _, _, condition in asked) else []
    image = reads_image(scenario, steps)
    return [*([_DOCUMENTS] if image else []), *files, *([_IMAGE_FILE] if image and files else [])]


def after(scenario: Scenario, step: Step, text: Callable[[str], str]) -> str:
    """Return a command that keeps what *step* wrote for `facts`; a later step may replace it.

    *step* is one run; *text* fills in placeholders. "" if no rule is about its outputs.
    """
    lines = list(dict.fromkeys(_commands(scenario, step, text)))
    return (
        "\n".join([f'[ "$(cat {step.id}.exit)" != 0 ] || {{', *lines, f"}} > {step.id}.outputs"])
        if lines
        else ""
    )


def facts(scenario: Scenario, steps: Sequence[Step]) -> Iterator[str]:
    """Yield commands that show what `after` kept."""
    for step in steps:
        if any(_asked(scenario, step)):
            yield f"[ ! -f {step.id}.outputs ] || cat {step.id}.outputs"


def _commands(scenario: Scenario, step: Step, text: Callable[[str], str]) -> Iterator[str]:
    for kind, name, condition in _asked(scenario, step):
        what = condition.file or condition.image
        source = shlex.quote(text(name))
        title = f"echo {shlex.quote(f'-- {step.id}, {what} of {text(name)}')}"
        if condition.image:
            query = shlex.quote(document_path.jq(condition.image))
            yield f"{title}\ndocuments {source} | jq {query}"
        else:
            function = "file" if kind in ("local", "tar") else "image_file"
            yield f"{title}\n{function} {source} {shlex.quote(_plain(condition.file))}"


def _plain(path: str) -> str:
    return "/".join(part for part in path.split("/") if part not in ("", "."))


def _asked(scenario: Scenario, step: Step) -> Iterator[tuple[str, str, Condition]]:
    """Yield the outputs of *step*, one run, that conditions are about: type, name, condition."""
    owner = next((one.id for one in scenario.steps if step.id in one.runs), "")
    for rule in scenario.outcomes:
        for condition, _ in rule.leaves():
            if owner not in (condition.step, condition.same_as):
                continue
            of = "file" if condition.file else "image"
            for one in outputs.readable(step, of) if condition.file or condition.image else ():
                if condition.output in ("", one.name) or owner == condition.same_as:
                    yield one.kind, one.name, condition
