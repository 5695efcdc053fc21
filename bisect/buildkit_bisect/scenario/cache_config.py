"""Parse ``vnd.buildkit.cacheconfig.v0`` down to records and layers; pure."""

from __future__ import annotations

from typing import Any

from buildkit_bisect.model import CacheConfig, CacheRecord

MEDIA_TYPE = "application/vnd.buildkit.cacheconfig.v0"


def text(value: Any) -> str:
    """*value*, which must be a string. Raises ValueError."""
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not a string")  # noqa: TRY004 - like all invalid content
    return value


def parse(raw: dict[str, Any], form: str) -> CacheConfig:
    """Parse *raw*; layer indices become blob chains, and links become record digests."""
    layers = raw.get("layers") or []
    records = raw.get("records") or []

    def chain(index: int) -> tuple[str, ...]:
        blobs: list[str] = []
        while 0 <= index < len(layers) and len(blobs) <= len(layers):
            blobs.append(text(layers[index]["blob"]))
            index = layers[index].get("parent", 0)  # -1 none; a 0 is omitted by Go
        return tuple(reversed(blobs))

    def chains(record: dict[str, Any]) -> tuple[str, ...]:
        # `layers` names the last layer of a chain, `chains` lists each layer of one.
        for entry in record.get("layers") or []:
            return chain(entry.get("layer", 0))
        for entry in record.get("chains") or []:
            return tuple(text(layers[i]["blob"]) for i in entry.get("layers") or [])
        return ()

    return CacheConfig(
        records=tuple(
            CacheRecord(
                digest=text(record["digest"]),
                layers=chains(record),
                inputs=tuple(
                    dict.fromkeys(
                        text(records[link.get("link", 0)]["digest"])
                        for group in record.get("inputs") or []
                        for link in group
                    )
                ),
            )
            for record in records
        ),
        layers=tuple(text(layer["blob"]) for layer in layers),
        form=form,
    )


def inner_with_layers(config: CacheConfig) -> frozenset[str]:
    """Digests of records that have layers and that another record depends on.

    In a multi-stage build these are the steps of the earlier stages; the record that
    nothing depends on is the final result, whose handlers every exporter installs.
    """
    depended = {digest for record in config.records for digest in record.inputs}
    return frozenset(r.digest for r in config.records if r.layers and r.digest in depended)


def kept(config: CacheConfig, control: CacheConfig) -> tuple[int, int]:
    """How many of the control's inner records with layers have layers here, and their total.

    Record digests depend on operations and base contents, not on the snapshotter or the
    registry's address, so the same build has the same records in both.
    """
    wanted = inner_with_layers(control)
    here = {r.digest for r in config.records if r.layers}
    return len(wanted & here), len(wanted)
