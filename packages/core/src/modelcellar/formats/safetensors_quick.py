"""Reads the tensors of a safetensors header that is spelled the usual way, at a sixth of the cost.

What is the least unusual is left to the strict reader, which also says what is wrong: both give
the same for whatever this one accepts. A checkpoint has thousands of tensors, so nothing here is
done for each of them but by calls that do it for all.
"""

import math
import re
from collections.abc import Sequence
from itertools import chain, repeat
from operator import sub

from modelcellar.formats.safetensors_types import DTYPE_BITS, METADATA, TensorInfo

MAX_BYTES = 1 << 20
MAX_NAME_LENGTH = 4096
MAX_SHAPE_LENGTH = 16 * 20

_CONTROLS = bytes(range(32))
_SIZE = "(?:0|[1-9][0-9]{0,17})"
_KIND = re.compile(rf'"([A-Z0-9_]{{1,16}})", ?"shape": ?\[({_SIZE}(?:, ?{_SIZE}){{0,15}})?\]')
_END = "]}}"
"""Of the last tensor and of the header."""


class _Spelling:
    """How a writer puts tensors one after the other, with or without a space after , and :."""

    def __init__(self, space: str) -> None:
        comma, colon = f",{space}", f":{space}"
        # What runs to a bracket is bounded: it could be the end of the file, for each entry anew.
        kind = rf'"[^"]*"{comma}"shape"{colon}\[[^\]]{{0,{MAX_SHAPE_LENGTH}}}\]'
        start, end = "([0-9]{1,18})", "([0-9]{1,18})"
        self.entry = re.compile(
            rf'"([^"]*)"{colon}{{"dtype"{colon}({kind}){comma}'
            rf'"data_offsets"{colon}\[{start}{comma}{end}\]}}(?:{comma}|}}\Z)'
        )
        around = ('""', colon, '{"dtype"', colon, comma, '"data_offsets"', colon, "[", comma, "]}")
        self.around = len("".join(around))
        self.between = len(comma)

    def length(self, columns: Sequence[Sequence[str]]) -> int:
        """Of a text that is just these entries and the brace that closes the header."""
        texts = sum(map(len, chain.from_iterable(columns)))
        count = len(columns[0])
        return texts + count * self.around + (count - 1) * self.between + len("}")


_SPELLINGS = (_Spelling(""), _Spelling(" "))


def quick_tensors(data: bytes) -> tuple[TensorInfo, ...] | None:
    """The tensors of a header, from the first one's name to its end; ``None``: look closer."""
    # Where nothing is escaped, a quote begins or ends a text, and a text is what its bytes are.
    if len(data) > MAX_BYTES or b"\\" in data or len(data.translate(None, _CONTROLS)) != len(data):
        return None
    try:
        text = data.decode().rstrip(" ")
    except UnicodeDecodeError:
        return None
    if not text.endswith(_END):
        return None
    for spelling in _SPELLINGS:
        columns = tuple(zip(*spelling.entry.findall(text), strict=True))
        # Only if they are all of it there is nothing before, between and behind them.
        if columns and spelling.length(columns) == len(text):
            return _tensors(*columns)
    return None


def _tensors(
    names: Sequence[str], kinds: Sequence[str], starts: Sequence[str], ends: Sequence[str]
) -> tuple[TensorInfo, ...] | None:
    if (
        len(set(names)) != len(names)
        or METADATA in names
        or len(max(names, key=len)) > MAX_NAME_LENGTH
    ):
        return None
    if {number for number in chain(starts, ends) if number[0] == "0"} - {"0"}:
        return None
    known = {kind: _dtype_and_shape(kind) for kind in set(kinds)}
    sizes = {kind: found and _size_bytes(*found) for kind, found in known.items()}
    first, last = [*map(int, starts)], [*map(int, ends)]
    if not all(sizes.values()) or [*map(sub, last, first)] != [*map(sizes.get, kinds)]:
        return None
    dtypes, shapes = zip(*map(known.__getitem__, kinds), strict=True)
    rows = zip(names, dtypes, shapes, first, last, strict=True)
    # What TensorInfo._make does, without a call of Python code for each.
    return tuple(map(tuple.__new__, repeat(TensorInfo), rows))


def _dtype_and_shape(kind: str) -> tuple[str, tuple[int, ...]] | None:
    match = _KIND.fullmatch(kind)
    if match is None or match[1] not in DTYPE_BITS:
        return None
    return match[1], tuple(map(int, match[2].split(","))) if match[2] else ()


def _size_bytes(dtype: str, shape: tuple[int, ...]) -> int | None:
    """``None`` for nothing and for parts of a byte, which the strict reader judges."""
    size, rest = divmod(math.prod(shape) * DTYPE_BITS[dtype], 8)
    return None if rest else size
