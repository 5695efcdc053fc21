"""Files as zstd, also as a delta against another file; bounded while it unpacks. Pure.

`benchmarks/shared_store.py` measures sizes and times. Deltas pay only without DWARF, which Go
compresses.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable, Iterator

from buildkit_bisect.sharing.refused import Refused

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

#: 6 takes twice the time for 7 % less, and a delta is the same.
LEVEL = 3

#: Memory that a frame may ask of the reader, as a power of two; two large binaries fit.
_WINDOW = 28
_LEAST_WINDOW = 17

_CHUNK = 1 << 20


def pack(data: bytes, base: bytes | None = None, *, cut: int = 0) -> bytes:
    """Return *data* as one zstd frame; with *base* as the difference from it, a patch-from.

    A block of the frame ends after *cut* bytes: other cuts are other bytes with the same content.
    """
    options: dict[int, int] = {zstd.CompressionParameter.compression_level: LEVEL}
    prefix = None
    if base is not None:
        # All of the base has to be in the window, wherever the match is.
        window = (len(base) + len(data)).bit_length()
        options[zstd.CompressionParameter.window_log] = min(_WINDOW, max(_LEAST_WINDOW, window))
        options[zstd.CompressionParameter.enable_long_distance_matching] = 1
        prefix = zstd.ZstdDict(base, is_raw=True).as_prefix
    compressor = zstd.ZstdCompressor(options=options, zstd_dict=prefix)
    begun = compressor.compress(data[:cut], zstd.ZstdCompressor.FLUSH_BLOCK) if cut else b""
    return begun + compressor.compress(data[cut:], zstd.ZstdCompressor.FLUSH_FRAME)


def unpack(
    chunks: Iterable[bytes], *, size: int, sha256: str, base: bytes | None = None
) -> Iterator[bytes]:
    """Yield the content of a frame: *size* bytes with the digest *sha256*, at most 1 MiB at once.

    Never yields more than *size* bytes. Raises `Refused` if the frame is something else, which is
    known only at its end: what was yielded may not be used before.
    """
    prefix = None if base is None else zstd.ZstdDict(base, is_raw=True).as_prefix
    digest = hashlib.sha256()
    seen = 0
    try:
        for part in _parts(chunks, prefix):
            seen += len(part)
            if seen > size:
                raise Refused(f"a file unpacks to more than its {size} bytes")
            digest.update(part)
            yield part
    except zstd.ZstdError as error:
        raise Refused(f"a file is not valid zstd: {error}") from None
    if seen != size:
        raise Refused(f"a file unpacks to {seen} of {size} bytes")
    if digest.hexdigest() != sha256:
        raise Refused(f"a file has the digest {digest.hexdigest()} instead of {sha256}")


def _parts(chunks: Iterable[bytes], prefix: object) -> Iterator[bytes]:
    limit = {zstd.DecompressionParameter.window_log_max: _WINDOW}
    reader = zstd.ZstdDecompressor(zstd_dict=prefix, options=limit)  # type: ignore[arg-type]
    for chunk in chunks:
        if reader.eof:
            raise Refused("a file has bytes after its end")
        given = chunk
        while part := reader.decompress(given, _CHUNK):
            yield part
            if reader.eof or reader.needs_input:
                break
            given = b""
    if reader.unused_data:
        raise Refused("a file has bytes after its end")
    if not reader.eof:
        raise Refused("a file is truncated")
