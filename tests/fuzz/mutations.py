"""Ways to spoil a file a little, so that parsers get far before they meet what is wrong."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

_ODD_INTEGERS = (0, 1, 2, 7, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 1 << 24)
_ODD_INTEGERS += (0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1 << 62, (1 << 63) - 1, (1 << 64) - 1)
# Most of what is parsed stands at the beginning.
_HEAD = 256
_MAX_BYTES = 1 << 18
_MAX_CHANGES = 6

Spoil = Callable[[bytearray, Random, Sequence[bytes]], bytearray]

_ODD_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2**31, 2**63, 10**400, 1e308, -0.0, 0.5),
    *(float("nan"), float("inf"), "", "x", "../../x", "/etc/passwd", "\0", "\ud800", "CON"),
    *("a" * 5000, [], {}, [[]], {"a": 1}, [0] * 100),
)
_ODD_WORDS = (
    *("", "null", "true", "-1", "0", "1e400", "nan", ".inf", "1_0", "0x10", "[", "]", "{", "}"),
    *("&a", "*a", "!!python/object:os.system", "|", ">", "#", ":", ": ", "- ", "'", '"', "\t"),
    *("999999999999999999999", "2020-01-01", "~", "<<", "\u2028", "../..", "%", "@", "`"),
)


def mutate(data: bytes, rng: Random, others: Sequence[bytes] = ()) -> bytes:
    """Spoil bytes in one to six places.

    Parameters
    ----------
    data : bytes
        What is in order.
    rng : Random
        Decides everything.
    others : sequence of bytes, optional
        Whose parts may get into the result.

    Returns
    -------
    bytes
        At most 256 KiB.
    """
    spoiled = bytearray(data[:_MAX_BYTES])
    for _ in range(rng.randint(1, _MAX_CHANGES)):
        spoiled = rng.choice(_SPOILS)(spoiled, rng, others)
    return bytes(spoiled[:_MAX_BYTES])


def mutate_json(text: str, rng: Random) -> str:
    """Replace, drop or repeat values in a JSON text; what is no JSON stays as it is."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return text
    for _ in range(rng.randint(1, _MAX_CHANGES)):
        content = _changed(content, rng)
    return json.dumps(content)


def mutate_text(text: str, rng: Random) -> str:
    """Exchange words, numbers and signs of a text, and drop, repeat or indent lines."""
    lines = text.splitlines()
    for _ in range(rng.randint(1, _MAX_CHANGES)):
        at = rng.randrange(len(lines))
        words = re.findall(r"[\w.+-]+|\s+|.", lines[at]) or [""]
        kind = rng.random()
        if kind < 0.6:
            words[rng.randrange(len(words))] = str(rng.choice((*_ODD_WORDS, *words)))
            lines[at] = "".join(words)
        elif kind < 0.7 and len(lines) > 1:
            del lines[at]
        elif kind < 0.85:
            lines.insert(rng.randrange(len(lines)), lines[at])
        else:
            lines[at] = " " * rng.randint(1, 4) + lines[at]
    return "\n".join(lines) + "\n"


def _changed(value: Any, rng: Random) -> Any:
    if not isinstance(value, dict | list) or not value or rng.random() < 0.1:
        return rng.choice(_ODD_VALUES)
    if isinstance(value, list):
        at = rng.randrange(len(value))
        return [*value[:at], _changed(value[at], rng), *value[at + rng.randint(0, 1) :]]
    key = rng.choice(list(value))
    kept = {name: part for name, part in value.items() if name != key}
    kind = rng.random()
    if kind < 0.1:
        return kept
    if kind < 0.2:
        return {**kept, str(rng.choice(_ODD_VALUES))[:100]: value[key]}
    return {**value, key: _changed(value[key], rng)}


def _place(data: bytearray, rng: Random) -> int:
    limit = min(len(data), _HEAD) if rng.random() < 0.5 else len(data)
    return rng.randrange(limit) if limit else 0


def _flip(data: bytearray, rng: Random, others: Sequence[bytes]) -> bytearray:
    if data:
        data[_place(data, rng)] ^= 1 << rng.randrange(8)
    return data


def _random_bytes(data: bytearray, rng: Random, others: Sequence[bytes]) -> bytearray:
    at = _place(data, rng)
    count = rng.randint(1, 16)
    data[at : at + count] = rng.randbytes(count)
    return data


def _odd_integer(data: bytearray, rng: Random, others: Sequence[bytes]) -> bytearray:
    at, kind = _place(data, rng), rng.choice("BHIQ")
    order = rng.choice("<>")
    value = rng.choice(_ODD_INTEGERS) & ((1 << (8 * struct.calcsize(kind))) - 1)
    packed = struct.pack(order + kind, value)
    data[at : at + len(packed)] = packed
    return data


def _cut(data: bytearray, rng: Random, others: Sequence[bytes]) -> bytearray:
    return data[: _place(data, rng)]


def _without(data: bytearray, rng: Random, others: Sequence[bytes]) -> bytearray:
    at = _place(data, rng)
    del data[at : at + rng.choice((1, 2, 4, 8, 64, 1024))]
    return data


def _twice(data: bytearray, rng: Random, others: Sequence[bytes]) -> bytearray:
    at = _place(data, rng)
    part = data[at : at + rng.choice((1, 4, 16, 256, 4096))]
    data[at:at] = part * rng.choice((1, 2, 16))
    return data


def _zeros(data: bytearray, rng: Random, others: Sequence[bytes]) -> bytearray:
    at = _place(data, rng)
    count = rng.choice((1, 4, 64, 4096))
    data[at : at + count] = bytes([rng.choice((0, 255))]) * len(data[at : at + count])
    return data


def _spliced(data: bytearray, rng: Random, others: Sequence[bytes]) -> bytearray:
    if not others:
        return data
    other = rng.choice(others)
    at, start = _place(data, rng), rng.randrange(len(other) or 1)
    part = other[start : start + rng.choice((4, 16, 256, 8192))]
    data[at : at + rng.choice((0, len(part)))] = part
    return data


_SPOILS: tuple[Spoil, ...] = (
    *(_flip, _flip, _random_bytes, _odd_integer, _odd_integer, _cut),
    *(_without, _twice, _zeros, _spliced),
)
