"""Reads one large JSON object piece by piece, strictly and within bounds."""

import json
import re
from collections.abc import Iterator
from typing import Any

from modelcellar.formats.cursor import FormatError, damaged, too_large

MAX_VALUE_BYTES = 64 * 1024
MAX_KEY_BYTES = 16 * 1024
MAX_DEPTH = 8
"""Levels of the whole object, the outermost one counted."""

_STRING_BODY = rb'(?:[^"\\\x00-\x1f]++|\\.)*+'


def _nested_pattern(depth: int) -> bytes:
    """An object or array of at most ``depth`` levels; ``json`` checks the rest of the grammar."""
    inner = rb"(?!)" if depth == 1 else _nested_pattern(depth - 1)
    return rb'[{\[](?:[^"{}\[\]]++|"' + _STRING_BODY + rb'"|' + inner + rb")*+[}\]]"


_SPACE = re.compile(rb"[ \t\r\n]*+")
_STRING = re.compile(rb'"(' + _STRING_BODY + rb')"', re.DOTALL)
_VALUE = re.compile(_nested_pattern(MAX_DEPTH - 1), re.DOTALL)


class JsonScanner:
    """A position in the bytes of a JSON object. All methods raise ``FormatError`` only.

    Equal keys within a value are refused; those of ``members`` are for the caller to compare.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0
        self._member_at = 0

    def members(self) -> Iterator[str]:
        """The keys of the object at the position; the caller reads each value."""
        self._expect(b"{")
        self._space()
        if self._accept(b"}"):
            return
        while True:
            self._member_at = self._at
            yield self._key()
            self._space()
            if self._accept(b"}"):
                return
            self._expect(b",")

    def from_member(self) -> bytes:
        """All that is left, from the member on whose key was read last."""
        return self._data[self._member_at :]

    def _key(self) -> str:
        key = self.string(MAX_KEY_BYTES)
        if key is None:
            raise too_large(f"a name of more than {MAX_KEY_BYTES:,} bytes")
        self._expect(b":")
        self._space()
        return key

    def string(self, limit_bytes: int) -> str | None:
        """The string at the position; None, unread, if it is longer than ``limit_bytes``."""
        self._space()
        match = _STRING.match(self._data, self._at)
        if match is None:
            raise self._invalid("a string")
        self._at = match.end()
        if match.end(1) - match.start(1) > limit_bytes:
            return None
        try:
            if b"\\" not in match.group(1):
                return match.group(1).decode()
            text = str(_DECODER.decode(match.group().decode()))
            text.encode()  # An escaped half of a character decodes, but cannot be written.
        except ValueError as error:
            raise damaged(f"its header holds text that is not valid: {error}") from None
        return text

    def value(self) -> object:
        """The object or array at the position, at most ``MAX_VALUE_BYTES`` long."""
        match = _VALUE.match(self._data, self._at, self._at + MAX_VALUE_BYTES)
        if match is None:
            raise self._invalid("an object that is not nested too deep")
        try:
            value: object = _DECODER.decode(match.group().decode())
        except ValueError as error:
            raise damaged(
                f"its header is not valid JSON after byte {self._at:,}: {error}"
            ) from None
        self._at = match.end()
        return value

    def skip_null(self) -> bool:
        """Moves behind a ``null`` if one is at the position."""
        return self._accept(b"null")

    def finish(self) -> None:
        """Only spaces may be left."""
        self._space()
        if self._at != len(self._data):
            raise self._invalid("nothing but spaces")

    def _accept(self, mark: bytes) -> bool:
        if not self._data.startswith(mark, self._at):
            return False
        self._at += len(mark)
        return True

    def _expect(self, mark: bytes) -> None:
        self._space()
        if not self._accept(mark):
            raise self._invalid(repr(mark.decode()))

    def _space(self) -> None:
        match = _SPACE.match(self._data, self._at)
        self._at = match.end() if match else self._at

    def _invalid(self, expected: str) -> FormatError:
        return damaged(f"its header is not valid JSON: {expected} expected at byte {self._at:,}")


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("a key occurs twice")
    return values


def _whole(digits: str) -> int:
    # Sizes have no sign, not even "-0", and fit into 64 bits.
    return -1 if digits.startswith("-") or len(digits) > 20 else int(digits)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_pairs, parse_int=_whole, parse_constant=_no_constant)
