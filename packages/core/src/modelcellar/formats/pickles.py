"""Walks the opcodes of a pickle without ever running them.

Only what decides about the form of a file is followed: strings, numbers, names of classes, tuples
and the memo, enough to read torch's persistent ids. Everything else is an opaque value. The table
of opcodes, with what each takes from the stack and puts on it, is the standard library's
``pickletools``.
"""

import pickletools
from collections.abc import Callable
from dataclasses import dataclass

from modelcellar.formats.cursor import Cursor, other_format, truncated

MAX_OPCODES = 400_000
MAX_LINE_BYTES = 4096
MAX_KEPT_TEXT_BYTES = 256
MAX_KEPT_BYTES = 4 * 1024 * 1024
_MAX_INTEGER_BYTES = 16


@dataclass(frozen=True, slots=True)
class Global:
    """A class or function that the pickle names."""

    module: str
    name: str


class _Sentinel:
    __slots__ = ()


MARK = _Sentinel()
OPAQUE = _Sentinel()

Value = str | int | Global | tuple["Value", ...] | list["Value"] | None | _Sentinel


@dataclass(frozen=True, slots=True)
class PickleWalk:
    """One pickle from its first opcode to STOP; ``is_complete`` is False when it has too many."""

    protocol: int
    result: Value
    persistent_ids: tuple[Value, ...]
    opcode_count: int
    is_complete: bool = True


def walk(cursor: Cursor) -> PickleWalk:
    """The pickle at the position of ``cursor``, which is left behind its STOP.

    Raises ``FormatError``: no pickle of protocol 2 or later, opcodes that do not exist or do not
    fit the stack, or the file ends before STOP.
    """
    return _Walker(cursor).run()


class _Walker:
    def __init__(self, cursor: Cursor) -> None:
        self._cursor = cursor
        self._stack: list[Value] = []
        self._memo: dict[int, Value] = {}
        self._memoized = 0
        self._persistent_ids: list[Value] = []
        self._kept_left = MAX_KEPT_BYTES

    def run(self) -> PickleWalk:
        head = self._cursor.peek(2)
        if len(head) < 2 or head[:1] != b"\x80" or not 2 <= head[1] <= _HIGHEST_PROTOCOL:
            raise other_format("no pickle begins here")
        count = 0
        while True:
            at = self._cursor.position
            if not self._cursor.left:
                raise truncated(f"it is a pickle that goes on where the file ends, at byte {at:,}")
            opcode = _OPCODES.get(self._cursor.take(1)[0])
            if opcode is None:
                raise other_format(f"no pickle opcode stands at byte {at:,}")
            count += 1
            if opcode.name == "STOP":
                return PickleWalk(head[1], self._pop(), tuple(self._persistent_ids), count)
            if count >= MAX_OPCODES:
                return PickleWalk(head[1], OPAQUE, (), count, is_complete=False)
            self._step(opcode, self._argument(opcode))

    def _argument(self, opcode: pickletools.OpcodeInfo) -> bytes | None:
        """The raw argument; None where it is too long to be of interest and was passed over."""
        argument = opcode.arg
        if argument is None:
            return b""
        if argument.n >= 0:
            return self._cursor.take(argument.n)
        if argument.n == pickletools.UP_TO_NEWLINE:
            lines = 2 if argument.name == "stringnl_noescape_pair" else 1
            return b"\n".join(self._cursor.line(MAX_LINE_BYTES) for _ in range(lines))
        length = int.from_bytes(self._cursor.take(_LENGTH_BYTES[argument.n]), "little")
        if length > MAX_KEPT_TEXT_BYTES:
            self._cursor.skip(length)
            return None
        return self._cursor.take(length)

    def _step(self, opcode: pickletools.OpcodeInfo, argument: bytes | None) -> None:
        action = _ACTIONS.get(opcode.name)
        if action is not None:
            action(self, argument)
            return
        taken = opcode.stack_before
        if pickletools.stackslice in taken or pickletools.markobject in taken:
            self._pop_mark()
            taken = taken[: taken.index(pickletools.markobject)]
        for _ in taken:
            self._pop()
        self._stack.extend(OPAQUE for _ in opcode.stack_after)

    def _pop(self) -> Value:
        if not self._stack or self._stack[-1] is MARK:
            raise other_format("its pickle opcodes do not fit together")
        return self._stack.pop()

    def _pop_mark(self) -> list[Value]:
        items: list[Value] = []
        while self._stack:
            value = self._stack.pop()
            if value is MARK:
                items.reverse()
                return items
            items.append(value)
        raise other_format("its pickle opcodes do not fit together")

    def _push_text(self, argument: bytes | None) -> None:
        if argument is None or self._kept_left < len(argument):
            self._stack.append(OPAQUE)
            return
        self._kept_left -= len(argument)
        self._stack.append(argument.decode(errors="replace"))

    def _push_integer(self, argument: bytes | None) -> None:
        if argument is None or len(argument) > _MAX_INTEGER_BYTES:
            self._stack.append(OPAQUE)
        else:
            self._stack.append(int.from_bytes(argument, "little", signed=True))

    def _push_natural(self, argument: bytes | None) -> None:
        self._stack.append(int.from_bytes(argument or b"", "little"))

    def _push_global(self, argument: bytes | None) -> None:
        text = (argument or b"").decode(errors="replace")
        self._kept_left -= len(text)
        if self._kept_left < 0:
            self._stack.append(OPAQUE)
            return
        module, _, name = text.partition("\n")
        self._stack.append(Global(module, name))

    def _push_stack_global(self, _argument: bytes | None) -> None:
        name, module = self._pop(), self._pop()
        known = isinstance(name, str) and isinstance(module, str)
        self._stack.append(Global(str(module), str(name)) if known else OPAQUE)

    def _push_none(self, _argument: bytes | None) -> None:
        self._stack.append(None)

    def _push_mark(self, _argument: bytes | None) -> None:
        self._stack.append(MARK)

    def _pop_any(self, _argument: bytes | None) -> None:
        # Unlike every other opcode POP may take a mark.
        if not self._stack:
            raise other_format("its pickle opcodes do not fit together")
        self._stack.pop()

    def _push_tuple(self, _argument: bytes | None) -> None:
        items = self._pop_mark()
        self._stack.append(tuple(items) if len(items) <= 8 else OPAQUE)

    def _push_list(self, _argument: bytes | None) -> None:
        self._stack.append([])

    def _append(self, _argument: bytes | None) -> None:
        self._extend([self._pop()])

    def _append_all(self, _argument: bytes | None) -> None:
        self._extend(self._pop_mark())

    def _extend(self, items: list[Value]) -> None:
        # Kept for torch's flat list of storage keys; a list in a list stays opaque.
        target = self._pop()
        if isinstance(target, list):
            target.extend(item if isinstance(item, str) else OPAQUE for item in items)
        self._stack.append(target)

    def _put(self, argument: bytes | None) -> None:
        value = self._pop()
        self._stack.append(value)
        if value is not OPAQUE:
            self._memo[int.from_bytes(argument or b"", "little")] = value

    def _memoize(self, _argument: bytes | None) -> None:
        self._put(self._memoized.to_bytes(8, "little"))
        self._memoized += 1

    def _get(self, argument: bytes | None) -> None:
        index = int.from_bytes(argument or b"", "little")
        self._stack.append(self._memo.get(index, OPAQUE))

    def _persistent_id(self, _argument: bytes | None) -> None:
        value = self._pop()
        self._persistent_ids.append(value if isinstance(value, tuple) else OPAQUE)
        self._stack.append(OPAQUE)


_OPCODES = {ord(opcode.code): opcode for opcode in pickletools.opcodes}
_HIGHEST_PROTOCOL = max(opcode.proto for opcode in pickletools.opcodes)
_LENGTH_BYTES = {
    pickletools.TAKEN_FROM_ARGUMENT1: 1,
    pickletools.TAKEN_FROM_ARGUMENT4: 4,
    pickletools.TAKEN_FROM_ARGUMENT4U: 4,
    pickletools.TAKEN_FROM_ARGUMENT8U: 8,
}
_ACTIONS: dict[str, Callable[[_Walker, bytes | None], None]] = {
    **dict.fromkeys(
        ("SHORT_BINSTRING", "BINSTRING", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
        _Walker._push_text,
    ),
    **dict.fromkeys(("BININT1", "BININT2"), _Walker._push_natural),
    **dict.fromkeys(("BININT", "LONG1", "LONG4"), _Walker._push_integer),
    **dict.fromkeys(("BINPUT", "LONG_BINPUT"), _Walker._put),
    **dict.fromkeys(("BINGET", "LONG_BINGET"), _Walker._get),
    "GLOBAL": _Walker._push_global,
    "STACK_GLOBAL": _Walker._push_stack_global,
    "NONE": _Walker._push_none,
    "MARK": _Walker._push_mark,
    "POP": _Walker._pop_any,
    "TUPLE": _Walker._push_tuple,
    "EMPTY_LIST": _Walker._push_list,
    "APPEND": _Walker._append,
    "APPENDS": _Walker._append_all,
    "MEMOIZE": _Walker._memoize,
    "BINPERSID": _Walker._persistent_id,
}
