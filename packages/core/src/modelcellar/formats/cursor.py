"""Reads a hostile file forward, never past its end and never more than a buffer at a time."""

import io
import re
import struct
from enum import StrEnum
from typing import Any, BinaryIO

from modelcellar.records import Security

BUFFER_BYTES = 64 * 1024
MAX_TAKE_BYTES = 32 * 1024 * 1024
MAX_LINE_BYTES = 16 * 1024 * 1024
MAX_OPCODES = 250_000


RUN_STRINGS = 64
_RUN = re.compile(
    b"(?:%s){%d}+"
    % (
        b"|".join(re.escape(bytes([n])) + rb"\x00" * 7 + b".{%d}" % n for n in range(1, 65)),
        RUN_STRINGS,
    ),
    re.DOTALL,
)
"""So many strings of 1 to 64 bytes, each after its length as 8 little-endian bytes.

Tokenizers have hundreds of thousands of them; this takes a quarter of the time of a loop.
"""


class Fault(StrEnum):
    """Why a reader gave up."""

    OTHER_FORMAT = "other_format"
    TRUNCATED = "truncated"
    DAMAGED = "damaged"
    TOO_LARGE = "too_large"


class FormatError(Exception):
    """The bytes are not what the reader expects; ``reason`` says it with numbers."""

    def __init__(self, fault: Fault, reason: str, security: Security | None = None) -> None:
        super().__init__(reason)
        self.fault = fault
        self.reason = reason
        self.security = security
        """What was found out about code before the reader gave up."""


def other_format(reason: str) -> FormatError:
    """The bytes belong to no file of this format."""
    return FormatError(Fault.OTHER_FORMAT, reason)


def truncated(reason: str) -> FormatError:
    """The file ends before its content does."""
    return FormatError(Fault.TRUNCATED, reason)


def damaged(reason: str) -> FormatError:
    """The file contradicts itself or its format."""
    return FormatError(Fault.DAMAGED, reason)


def too_large(reason: str) -> FormatError:
    """The file may be sound, but reading it would break the bounds on memory or time."""
    return FormatError(Fault.TOO_LARGE, reason)


class Budget:
    """What reading one file may cost in all, whichever readers look at it and however often."""

    def __init__(self) -> None:
        self.opcodes = MAX_OPCODES
        self.kept_text_bytes = 4 << 20
        self.kept_values = 300_000
        self.unpacked_bytes = 48 << 20

    def unpack(self, count: int) -> None:
        """Raises ``FormatError`` where so many bytes more are too many."""
        self.unpacked_bytes -= count
        if self.unpacked_bytes < 0:
            raise too_large("more packed data than is unpacked here")


class Cursor:
    """A position in a file of known size.

    Every read is compared with the bytes left before anything is allocated. All methods raise
    ``FormatError`` for what the bytes say and ``OSError`` for what the disk says, nothing else.
    """

    def __init__(self, file: BinaryIO, size_bytes: int, budget: Budget | None = None) -> None:
        self._file = file
        self.budget = budget or Budget()
        self._buffer = b""
        self._buffer_start = 0
        self.size_bytes = size_bytes
        self.position = 0

    def inside(self, data: bytes) -> "Cursor":
        """A cursor over a part that was unpacked, which costs the same file."""
        return Cursor(io.BytesIO(data), len(data), self.budget)

    @property
    def left(self) -> int:
        """Bytes between the position and the end of the file."""
        return self.size_bytes - self.position

    def seek(self, position: int) -> None:
        """Moves to ``position``, which may be the end of the file but not beyond it."""
        if not 0 <= position <= self.size_bytes:
            raise truncated(
                f"its content goes on at byte {position:,}, the file has {self.size_bytes:,}"
            )
        self.position = position

    def skip(self, count: int) -> None:
        """Moves ``count`` bytes ahead without reading them."""
        self._require(count)
        self.position += count

    def peek(self, count: int) -> bytes:
        """Up to ``count`` bytes from the position on, fewer at the end of the file."""
        start, available = self._fill(count)
        return self._buffer[start : start + available]

    def take(self, count: int) -> bytes:
        """Exactly ``count`` bytes, and moves behind them."""
        start = self.position - self._buffer_start
        if 0 <= start <= start + count <= len(self._buffer):
            self.position += count
            return self._buffer[start : start + count]
        self._require(count)
        if count > MAX_TAKE_BYTES:
            raise too_large(f"one piece of {count:,} bytes at byte {self.position:,}")
        data = self.peek(count)
        if len(data) < count:
            raise truncated(
                f"it could be read up to byte {self.position + len(data):,} only, "
                f"of {self.size_bytes:,}"
            )
        self.position += count
        return data

    def unpack(self, layout: struct.Struct) -> tuple[Any, ...]:
        """The next fields as ``layout`` describes them."""
        return layout.unpack(self.take(layout.size))

    def line(self, limit: int) -> bytes:
        """Up to ``limit`` bytes of the next line; all of it is passed over, with its newline."""
        began = self.position
        start = began - self._buffer_start
        end = self._buffer.find(b"\n", start, start + limit) if start >= 0 else -1
        if end >= 0:
            self.position += end - start + 1
            return self._buffer[start:end]
        kept = self.peek(limit)
        while available := self._fill(BUFFER_BYTES)[1]:
            start = self.position - self._buffer_start
            end = self._buffer.find(b"\n", start, start + available)
            if end >= 0:
                self.position += end - start + 1
                return kept[: self.position - began - 1]
            self.position += available
            if self.position - began > MAX_LINE_BYTES:
                raise too_large(f"a line of more than {MAX_LINE_BYTES:,} bytes at byte {began:,}")
        raise truncated(
            f"a line begins at byte {began:,} and the file ends at "
            f"byte {self.size_bytes:,} without ending it"
        )

    def skip_strings(self, count: int, length: struct.Struct) -> None:
        """Moves behind ``count`` byte strings, each after its own length."""
        width = length.size
        unpack = length.unpack_from
        has_runs = length.format == "<Q"
        while count:
            block = self.peek(BUFFER_BYTES)
            at = 0
            end = len(block) - width
            while count and at <= end:
                while has_runs and count >= RUN_STRINGS and (run := _RUN.match(block, at)):
                    at = run.end()
                    count -= RUN_STRINGS
                for _ in range(min(count, RUN_STRINGS)):
                    if at > end:
                        break
                    at += width + unpack(block, at)[0]
                    count -= 1
            if at == 0:
                self._require(width)
                raise truncated(f"the file could not be read at byte {self.position:,}")
            self.skip(at)

    def _fill(self, count: int) -> tuple[int, int]:
        """Where the position lies in the buffer, and how many of ``count`` bytes are there."""
        count = min(count, self.left, MAX_TAKE_BYTES)
        start = self.position - self._buffer_start
        if not 0 <= start <= start + count <= len(self._buffer):
            self._buffer = self._read(self.position, max(count, BUFFER_BYTES))
            self._buffer_start = self.position
            start = 0
        return start, min(count, len(self._buffer) - start)

    def _require(self, count: int) -> None:
        if not 0 <= count <= self.left:
            raise truncated(
                f"its content goes on for {count:,} bytes at byte {self.position:,}, "
                f"the file has {self.size_bytes:,}"
            )

    def _read(self, position: int, count: int) -> bytes:
        self._file.seek(position)
        pieces: list[bytes] = []
        while count > 0:
            piece = self._file.read(count)
            if not piece:
                break
            pieces.append(piece)
            count -= len(piece)
        return b"".join(pieces)
