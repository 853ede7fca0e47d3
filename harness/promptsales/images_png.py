"""PNG written by ourselves: the bytes depend on the picture alone, not on which zlib a machine has.

Compression is LZ77 with a few distances only (the pixel before, the row above and beside it), as flat pictures repeat
there, and the fixed Huffman codes. Source: PNG specification, third edition; RFC 1950 and 1951.
"""

from __future__ import annotations

import functools
import struct
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_MOST = 86  # pixels of one match: 258 bytes

# RFC 1951, 3.2.5: first length and extra bits of the codes from 257 on; then the same for distances.
_LENGTHS = [(3, 0), (4, 0), (5, 0), (6, 0), (7, 0), (8, 0), (9, 0), (10, 0)]
_LENGTHS += [(11 + 2 * n, 1) for n in range(4)] + [(19 + 4 * n, 2) for n in range(4)]
_LENGTHS += [(35 + 8 * n, 3) for n in range(4)] + [(67 + 16 * n, 4) for n in range(4)]
_LENGTHS += [(131 + 32 * n, 5) for n in range(4)] + [(258, 0)]
_DISTANCES = [(1, 0), (2, 0)] + [(1 + ((2 + half) << bits), bits) for bits in range(14) for half in (0, 1)]

_Numbers = npt.NDArray[np.signedinteger[Any]]
_Code = tuple[int, int]  # bits in the order in which they are sent, the first one lowest; how many


def png(pixels: npt.NDArray[np.uint8], texts: Mapping[str, str] | None = None) -> bytes:
    """A PNG of RGB pixels, (height, width, 3), with ``texts`` as its textual chunks (ASCII keywords, any text)."""
    height, width, _ = pixels.shape
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))]
    for keyword, text in (texts or {}).items():
        chunks.append((b"iTXt", keyword.encode("ascii") + b"\0\0\0\0\0" + text.encode("utf-8")))
    chunks += [(b"IDAT", _zlib(pixels)), (b"IEND", b"")]
    return _SIGNATURE + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )


def _zlib(pixels: npt.NDArray[np.uint8]) -> bytes:
    """The rows, each with filter 0, as a zlib stream of one block with fixed codes."""
    height, width, _ = pixels.shape
    rows = np.zeros((height, 1 + 3 * width), np.uint8)
    rows[:, 1:] = pixels.reshape(height, 3 * width)
    values, counts = _LITERALS[0][rows].ravel(), _LITERALS[1][rows].ravel()
    # A match's code stands at its first byte; all its others have no bits.
    matches = _matches(pixels)
    at = np.array([begin for begin, _, _ in matches], np.int32)
    sizes = np.array([size for _, size, _ in matches], np.int32)
    counts[_spans(at, sizes)] = 0
    values[at], counts[at] = np.array([_match(size, back) for _, size, back in matches], np.int32).reshape(-1, 2).T
    # The last block, fixed codes; end of block.
    packed = _packed(np.concatenate([[0b011], values, [0]]), np.concatenate([[3], counts, [7]]))
    return b"\x78\x01" + packed + struct.pack(">I", zlib.adler32(rows.tobytes()))


def _matches(pixels: npt.NDArray[np.uint8]) -> list[tuple[int, int, int]]:
    """Matches from first to last: where, how long, how far back; in bytes of the rows with their filters."""
    height, width, _ = pixels.shape
    values = (pixels.astype(np.int32) << np.array([16, 8, 0], np.int32)).sum(axis=2, dtype=np.int32)
    stride = 1 + 3 * width
    best = np.zeros((height, width), np.int32)
    distance = np.zeros((height, width), np.int32)
    for up, left in ((0, 1), (1, 0), (1, 1), (1, -1), (2, 0)):
        same = np.zeros((height, width), bool)
        if left >= 0:
            same[up:, left:] = values[up:, left:] == values[: height - up, : width - left]
        else:
            same[up:, :left] = values[up:, :left] == values[: height - up, -left:]
        lengths = _runs(same)
        better = lengths > best
        best[better] = lengths[better]
        distance[better] = up * stride + 3 * left
    found = []
    for row, (row_lengths, row_distances) in enumerate(zip(best.tolist(), distance.tolist(), strict=True)):
        column = 0
        while column < width:
            if length := row_lengths[column]:
                length = min(length, _MOST)
                found.append((row * stride + 1 + 3 * column, 3 * length, row_distances[column]))
            column += length or 1
    return found


def _runs(same: npt.NDArray[np.bool_]) -> npt.NDArray[np.int32]:
    """At each place how many true ones follow in its row, itself included."""
    columns = np.arange(same.shape[1], dtype=np.int32)
    ends = np.where(same, np.int32(columns.size), columns)
    runs: npt.NDArray[np.int32] = np.minimum.accumulate(ends[:, ::-1], axis=1)[:, ::-1] - columns
    return runs


def _spans(starts: _Numbers, sizes: _Numbers) -> _Numbers:
    """All places of spans: start, start + 1, … of each of them."""
    before = np.cumsum(sizes) - sizes
    places: _Numbers = np.repeat(starts - before, sizes) + np.arange(int(sizes.sum()))
    return places


def _packed(values: _Numbers, counts: _Numbers) -> bytes:
    """Codes one after the other, the lowest bit first; ``counts`` are of bits, and may be 0."""
    place = _spans(np.zeros_like(counts), counts)
    bits = (np.repeat(values, counts) >> place) & 1
    return np.packbits(bits.astype(np.uint8), bitorder="little").tobytes()


def _turned(code: int, bits: int) -> int:
    """Huffman codes are sent with their highest bit first."""
    return int(f"{code:0{bits}b}"[::-1], 2)


def _literal(symbol: int) -> _Code:
    """RFC 1951, 3.2.6: the fixed code of a literal, or of a length."""
    if symbol < 144:
        return _turned(0b00110000 + symbol, 8), 8
    if symbol < 256:
        return _turned(0b110010000 + symbol - 144, 9), 9
    if symbol < 280:
        return _turned(symbol - 256, 7), 7
    return _turned(0b11000000 + symbol - 280, 8), 8


@functools.cache
def _match(length: int, distance: int) -> _Code:
    """Length and distance with their extra bits, as one code."""
    number = max(n for n, (first, _) in enumerate(_LENGTHS) if first <= length)
    codes = [_literal(257 + number), (length - _LENGTHS[number][0], _LENGTHS[number][1])]
    number = max(n for n, (first, _) in enumerate(_DISTANCES) if first <= distance)
    codes += [(_turned(number, 5), 5), (distance - _DISTANCES[number][0], _DISTANCES[number][1])]
    value = count = 0
    for bits, many in codes:
        value |= bits << count
        count += many
    return value, count


_LITERALS = np.array([_literal(symbol) for symbol in range(256)], np.int32).T
