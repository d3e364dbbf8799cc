"""Walks the opcodes of a pickle without ever running them.

What it would import is listed, and as much of the value is modelled as a state dict needs: texts,
numbers, tuples, lists, dicts, and torch's tensors with their shapes. Everything else is opaque. The
table of opcodes, with what each takes from the stack and puts on it, is the standard library's
``pickletools``; ``pickle_opcodes`` holds what each does here.
"""

import pickletools
from dataclasses import dataclass, field

from modelcellar.formats.cursor import Cursor, other_format, truncated
from modelcellar.formats.pickle_opcodes import ACTIONS, Machine
from modelcellar.formats.pickle_values import OPAQUE, Global, Value

__all__ = ["Global", "PickleWalk", "walk"]

MAX_OPCODES = 250_000
MAX_LINE_BYTES = 4096
MAX_KEPT_TEXT_BYTES = 256


@dataclass(frozen=True, slots=True)
class PickleWalk:
    """One pickle from its first opcode to STOP.

    ``problems`` say what could not be followed: a walk with any of them tells nothing about what
    loading would do.
    """

    protocol: int
    result: Value
    imports: tuple[Global, ...]
    persistent_ids: tuple[Value, ...]
    opcode_count: int
    problems: tuple[str, ...] = field(default=())

    @property
    def is_complete(self) -> bool:
        """Whether the walk reached STOP."""
        return TOO_LONG not in self.problems


TOO_LONG = "more opcodes than are walked"


def walk(cursor: Cursor, *, needs_protocol: bool = True) -> PickleWalk:
    """The pickle at the position of ``cursor``, which is left behind its STOP.

    Args:
        cursor: where it begins.
        needs_protocol: it must say protocol 2 or later; without, older ones are walked too, which
            begin with any opcode.

    Raises ``FormatError``: no pickle, opcodes that do not exist or do not fit the stack, or the
    file ends before STOP.
    """
    head = cursor.peek(2)
    has_protocol = len(head) == 2 and head[:1] == b"\x80" and head[1] <= _HIGHEST_PROTOCOL
    if needs_protocol and not (has_protocol and head[1] >= 2):
        raise other_format("no pickle begins here")
    machine = Machine()
    count = 0
    while True:
        at = cursor.position
        if not cursor.left:
            raise truncated(f"it is a pickle that goes on where the file ends, at byte {at:,}")
        opcode = _OPCODES.get(cursor.take(1)[0])
        if opcode is None:
            raise other_format(f"no pickle opcode stands at byte {at:,}")
        count += 1
        if count > MAX_OPCODES:
            machine.problems.append(TOO_LONG)
        if opcode.name == "STOP" or count > MAX_OPCODES:
            result = machine.pop() if opcode.name == "STOP" else OPAQUE
            return PickleWalk(
                protocol=head[1] if has_protocol else 0,
                result=result,
                imports=tuple(sorted(machine.imports, key=str)),
                persistent_ids=tuple(machine.persistent_ids),
                opcode_count=count,
                problems=tuple(machine.problems),
            )
        _step(machine, opcode, _argument(cursor, opcode))


def _argument(cursor: Cursor, opcode: pickletools.OpcodeInfo) -> bytes | None:
    """The raw argument; None where it is too long to be of interest and was passed over."""
    argument = opcode.arg
    if argument is None:
        return b""
    if argument.n >= 0:
        return cursor.take(argument.n)
    if argument.n == pickletools.UP_TO_NEWLINE:
        lines = 2 if argument.name == "stringnl_noescape_pair" else 1
        return b"\n".join(cursor.line(MAX_LINE_BYTES) for _ in range(lines))
    length = int.from_bytes(cursor.take(_LENGTH_BYTES[argument.n]), "little")
    if length > MAX_KEPT_TEXT_BYTES:
        cursor.skip(length)
        return None
    return cursor.take(length)


def _step(machine: Machine, opcode: pickletools.OpcodeInfo, argument: bytes | None) -> None:
    action = ACTIONS.get(opcode.name)
    if action is not None:
        action(machine, argument)
        return
    taken = opcode.stack_before
    if pickletools.stackslice in taken or pickletools.markobject in taken:
        machine.pop_mark()
        taken = taken[: taken.index(pickletools.markobject)]
    for _ in taken:
        machine.pop()
    for _ in opcode.stack_after:
        machine.push(OPAQUE)


_OPCODES = {ord(opcode.code): opcode for opcode in pickletools.opcodes}
_HIGHEST_PROTOCOL = max(opcode.proto for opcode in pickletools.opcodes)
_LENGTH_BYTES = {
    pickletools.TAKEN_FROM_ARGUMENT1: 1,
    pickletools.TAKEN_FROM_ARGUMENT4: 4,
    pickletools.TAKEN_FROM_ARGUMENT4U: 4,
    pickletools.TAKEN_FROM_ARGUMENT8U: 8,
}
