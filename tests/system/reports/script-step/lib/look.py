"""Compares a label of an image in an OCI layout with a value, and prints both and its time."""

import json
import pathlib
import sys
from typing import Any

layout = pathlib.Path(sys.argv[1])


def read(descriptor: dict[str, str]) -> Any:
    blob = layout / "blobs" / descriptor["digest"].replace(":", "/")
    return json.loads(blob.read_text())


config = read(read(json.loads((layout / "index.json").read_text())["manifests"][0])["config"])
label = config["config"].get("Labels", {}).get("org.example.of")
print(f"label {label}, created {config['created']}")
sys.exit(0 if label == sys.argv[2] else 3)
