"""Walks the opcodes of a pickle without ever running them.

What it would import is listed, and as much of the value is modelled as a state dict needs: texts,
numbers, tuples, lists, dicts, and torch's tensors with their shapes. Everything else is opaque. The
table of opcodes, with what each takes from the stack and puts on it, is the standard library's
``pickletools``; ``pickle_opcodes`` holds what each does here.
"""

import pickletools
from dataclasses import dataclass

from modelcellar.formats.cursor import (
    MAX_OPCODES,
    Cursor,
    Fault,
    FormatError,
    other_format,
    too_large,
    truncated,
)
from modelcellar.formats.pickle_opcodes import ACTIONS, Machine
from modelcellar.formats.pickle_values import OPAQUE, Global, Value

__all__ = [
    "MAX_OPCODES",
    "BrokenPickleError",
    "Global",
    "PickleWalk",
    "begins",
    "walk",
    "walk_rest",
]

MAX_LINE_BYTES = 4096
MAX_PICKLES = 16
MAX_KEPT_TEXT_BYTES = 256


@dataclass(frozen=True, slots=True)
class PickleWalk:
    """One pickle from its first opcode to STOP.

    ``problems`` say what could not be followed: a walk with any of them tells nothing about what
    loading would do. ``name_count`` is how often something is looked up by a name, known or not,
    and ``call_count`` how often something is called.
    """

    protocol: int
    result: Value
    imports: tuple[Global, ...]
    persistent_ids: tuple[Value, ...]
    opcode_count: int
    name_count: int = 0
    call_count: int = 0
    problems: tuple[str, ...] = ()
    is_complete: bool = True
    """Whether the walk reached STOP."""


class BrokenPickleError(FormatError):
    """No pickle, or one that breaks off; ``walked`` is what loading would do until then."""

    def __init__(self, error: FormatError, walked: PickleWalk) -> None:
        super().__init__(error.fault, error.reason)
        self.walked = walked


def walk(cursor: Cursor, *, needs_protocol: bool = True) -> PickleWalk:
    """The pickle at the position of ``cursor``, which is left behind its STOP.

    Args:
        cursor: where it begins.
        needs_protocol: it must say protocol 2 or later; without, older ones are walked too, which
            begin with any opcode.

    Raises ``BrokenPickleError``: no pickle, opcodes that do not exist or do not fit the stack, or
    the file ends before STOP.
    """
    head = cursor.peek(2)
    has_protocol = len(head) == 2 and head[:1] == b"\x80" and head[1] <= _HIGHEST_PROTOCOL
    machine = Machine(cursor.budget)
    steps = _Steps(head[1] if has_protocol else 0, machine)
    try:
        if needs_protocol and not (has_protocol and head[1] >= 2):
            raise other_format("no pickle begins here")
        steps.run(cursor)
    except FormatError as error:
        if error.fault is Fault.TOO_LARGE:
            machine.problem(error.reason)
            return steps.walked(is_complete=False)
        raise BrokenPickleError(error, steps.walked(is_complete=False)) from None
    return steps.walked(is_complete=True)


def walk_rest(cursor: Cursor, walks: list[PickleWalk]) -> list[str]:
    """Adds the pickles from the position on, whatever their protocol, and says what is in the way.

    A program may read as many as there are. Where what follows is no pickle, nothing would be
    run; where it breaks off later, what it names until then counts.
    """
    while cursor.left:
        if len(walks) >= MAX_PICKLES:
            return [f"more than {MAX_PICKLES} pickles"]
        try:
            walks.append(walk(cursor, needs_protocol=False))
        except BrokenPickleError as error:
            if not error.walked.name_count:
                return []
            walks.append(error.walked)
            return [error.reason]
        if not walks[-1].is_complete:
            break
    return []


def begins(head: bytes) -> bool:
    """Whether the first byte is an opcode that a pickle of any protocol can begin with."""
    opcode = _OPCODES.get(head[0]) if head else None
    return opcode is not None and not opcode.stack_before


class _Steps:
    """Opcodes one after the other, as many as the file may still cost."""

    def __init__(self, protocol: int, machine: Machine) -> None:
        self._protocol = protocol
        self._machine = machine
        self._count = 0
        self._result: Value = OPAQUE

    def run(self, cursor: Cursor) -> None:
        """Up to and with STOP."""
        budget, size_bytes = cursor.budget, cursor.size_bytes
        while True:
            at = cursor.position
            if at >= size_bytes:
                raise truncated(f"it is a pickle that goes on where the file ends, at byte {at:,}")
            opcode = _OPCODES.get(cursor.take(1)[0])
            if opcode is None:
                raise other_format(f"no pickle opcode stands at byte {at:,}")
            self._count += 1
            budget.opcodes -= 1
            if budget.opcodes < 0:
                raise too_large("more opcodes than are walked")
            if opcode.name == "STOP":
                self._result = self._machine.pop()
                return
            _step(self._machine, opcode, _argument(cursor, opcode))

    def walked(self, *, is_complete: bool) -> PickleWalk:
        """What is known by now."""
        machine = self._machine
        return PickleWalk(
            protocol=self._protocol,
            result=self._result,
            imports=tuple(sorted(machine.imports, key=str)),
            persistent_ids=tuple(machine.persistent_ids),
            opcode_count=self._count,
            name_count=machine.names,
            call_count=machine.calls,
            problems=tuple(machine.problems),
            is_complete=is_complete,
        )


def _argument(cursor: Cursor, opcode: pickletools.OpcodeInfo) -> bytes | None:
    """The raw argument; None where it is too long to be of interest and was passed over."""
    argument = opcode.arg
    if argument is None:
        return b""
    if argument.n >= 0:
        return cursor.take(argument.n)
    if argument.n == pickletools.UP_TO_NEWLINE:
        line = cursor.line(MAX_LINE_BYTES)
        is_long = len(line) == MAX_LINE_BYTES
        if argument is pickletools.stringnl_noescape_pair:
            second = cursor.line(MAX_LINE_BYTES)
            is_long = is_long or len(second) == MAX_LINE_BYTES
            line = b"%b\n%b" % (line, second)
        return None if is_long else line
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
