"""What each pickle opcode does to the modelled stack and memo. Nothing is imported or called."""

import re
from collections.abc import Callable

from modelcellar.formats.cursor import Budget, other_format
from modelcellar.formats.pickle_values import MARK, OPAQUE, Dict, Global, Value, called

__all__ = ["ACTIONS", "Machine"]

MAX_TUPLE = 64
MAX_IMPORTS = 4096
_MAX_INTEGER_BYTES = 16
_NUMBER = re.compile(rb"[+-]?[0-9a-fA-FoOxX_]+")
"""Whatever base it is in; anything else ends the loading."""
_MISFIT = "its pickle opcodes do not fit together"


class Machine:
    """Stack, memo and findings of one walk.

    ``names`` counts what would be looked up by a name, also where the name is not known; ``calls``
    what would be called.
    """

    def __init__(self, budget: Budget) -> None:
        self.names = self.calls = 0
        self.persistent_ids: list[Value] = []
        self.problems: list[str] = []
        self._stack: list[Value] = []
        self._memo: dict[int, Value] = {}
        self._known: dict[tuple[str, str], Global] = {}
        self._budget = budget

    def push(self, value: Value) -> None:
        """Puts a value on the stack."""
        self._stack.append(value)

    def pop(self) -> Value:
        """Takes the value on top; a mark is none."""
        if not self._stack or self._stack[-1] is MARK:
            raise other_format(_MISFIT)
        return self._stack.pop()

    def pop_any(self) -> None:
        """Takes what is on top, also a mark."""
        if not self._stack:
            raise other_format(_MISFIT)
        self._stack.pop()

    def pop_mark(self) -> list[Value]:
        """Takes everything down to the topmost mark, and that too."""
        items: list[Value] = []
        while self._stack:
            value = self._stack.pop()
            if value is MARK:
                items.reverse()
                return items
            items.append(value)
        raise other_format(_MISFIT)

    def keep_text(self, text: str) -> Value:
        """The text, or something opaque where too many are kept already."""
        self._budget.kept_text_bytes -= len(text) + 64
        return text if self._budget.kept_text_bytes >= 0 else OPAQUE

    def may_keep(self, count: int) -> bool:
        """Whether so many values more may be held in lists and dicts."""
        self._budget.kept_values -= count
        return self._budget.kept_values >= 0

    def problem(self, text: str) -> None:
        """Notes something that could not be followed."""
        if text not in self.problems:
            self.problems.append(text)

    def import_(self, module: Value, name: Value) -> None:
        """Notes what would be imported, and puts it on the stack."""
        self.names += 1
        if not isinstance(module, str) or not isinstance(name, str):
            self.problem("the name of an import is computed, or too long")
            self.push(OPAQUE)
            return
        found = self._known.get((module, name))
        if found is None:
            found = Global(module, name)
            if len(self._known) < MAX_IMPORTS:
                self._known[module, name] = found
            else:
                self.problem("more imports than are listed")
        self._stack.append(found)

    @property
    def imports(self) -> list[Global]:
        """What would be imported, each once."""
        return list(self._known.values())

    def remember(self, index: int) -> None:
        """Copies the value on top into the memo."""
        value = self.pop()
        self.push(value)
        if self.may_keep(1):
            self._memo[index] = value
        else:
            self.problem("more values than are followed")

    def memoize(self) -> None:
        """The same under the next free number."""
        self.remember(len(self._memo))

    def recall(self, index: int) -> None:
        """Puts a value from the memo on the stack."""
        if index not in self._memo:
            self.problem("a value is used before it is made")
        self.push(self._memo.get(index, OPAQUE))


Action = Callable[[Machine, bytes | None], None]


def _text(machine: Machine, argument: bytes | None) -> None:
    if argument is None:
        machine.push(OPAQUE)
    else:
        machine.push(machine.keep_text(argument.decode(errors="replace")))


def _quoted(machine: Machine, argument: bytes | None) -> None:
    if argument is None:
        machine.push(OPAQUE)
        return
    text = argument.strip()
    is_quoted = len(text) >= 2 and text[:1] == text[-1:] and text[:1] in (b"'", b'"')
    if not is_quoted:
        raise other_format(_MISFIT)
    if b"\\" in text:
        # An escape may spell any name; it is not read here.
        machine.push(OPAQUE)
        return
    machine.push(machine.keep_text(text[1:-1].decode(errors="replace")))


def _escaped(machine: Machine, argument: bytes | None) -> None:
    if argument is None or b"\\" in argument:
        machine.push(OPAQUE)
    else:
        machine.push(machine.keep_text(argument.decode("latin-1")))


def _integer(machine: Machine, argument: bytes | None) -> None:
    if argument is None or len(argument) > _MAX_INTEGER_BYTES:
        machine.push(OPAQUE)
    else:
        machine.push(int.from_bytes(argument, "little", signed=True))


def _natural(machine: Machine, argument: bytes | None) -> None:
    machine.push(int.from_bytes(argument or b"", "little"))


def _decimal(machine: Machine, argument: bytes | None) -> None:
    if argument is None:
        machine.push(OPAQUE)
        return
    digits = argument.strip().rstrip(b"L")
    if not _NUMBER.fullmatch(digits):
        raise other_format(_MISFIT)
    if not digits.removeprefix(b"-").isdigit() or len(digits) > 40:
        machine.push(OPAQUE)
    else:
        machine.push(int(digits))


def _constant(value: Value) -> Action:
    return lambda machine, _argument: machine.push(value)


def _tuple_of(count: int) -> Action:
    def make(machine: Machine, _argument: bytes | None) -> None:
        items = [machine.pop() for _ in range(count)]
        machine.push(tuple(reversed(items)))

    return make


def _tuple(machine: Machine, _argument: bytes | None) -> None:
    items = machine.pop_mark()
    machine.push(tuple(items) if len(items) <= MAX_TUPLE else OPAQUE)


def _list(machine: Machine, _argument: bytes | None) -> None:
    items = machine.pop_mark()
    machine.push(items if machine.may_keep(len(items)) else OPAQUE)


def _append(machine: Machine, _argument: bytes | None) -> None:
    _extend(machine, [machine.pop()])


def _appends(machine: Machine, _argument: bytes | None) -> None:
    _extend(machine, machine.pop_mark())


def _extend(machine: Machine, items: list[Value]) -> None:
    target = machine.pop()
    if isinstance(target, list) and machine.may_keep(len(items)):
        target.extend(items)
    machine.push(target)


def _new_dict(machine: Machine, _argument: bytes | None) -> None:
    machine.push(Dict())


def _new_list(machine: Machine, _argument: bytes | None) -> None:
    machine.push([])


def _dict(machine: Machine, _argument: bytes | None) -> None:
    items = machine.pop_mark()
    machine.push(Dict())
    _set(machine, items)


def _setitem(machine: Machine, _argument: bytes | None) -> None:
    value = machine.pop()
    _set(machine, [machine.pop(), value])


def _setitems(machine: Machine, _argument: bytes | None) -> None:
    _set(machine, machine.pop_mark())


def _set(machine: Machine, items: list[Value]) -> None:
    target = machine.pop()
    if isinstance(target, Dict) and machine.may_keep(len(items)):
        for key, value in zip(items[::2], items[1::2], strict=False):
            if isinstance(key, str | int):
                target[str(key)] = value
    machine.push(target)


def _global(machine: Machine, argument: bytes | None) -> None:
    if argument is None:
        machine.import_(None, None)
        return
    module, _, name = argument.decode(errors="replace").partition("\n")
    machine.import_(module, name)


def _stack_global(machine: Machine, _argument: bytes | None) -> None:
    name, module = machine.pop(), machine.pop()
    machine.import_(module, name)


def _inst(machine: Machine, argument: bytes | None) -> None:
    _global(machine, argument)
    machine.pop()
    machine.pop_mark()
    machine.calls += 1
    machine.push(OPAQUE)


def _extension(machine: Machine, argument: bytes | None) -> None:
    machine.problem("an import by number from a registry that only the loading program has")
    machine.names += 1
    _natural(machine, argument)
    machine.pop()
    machine.push(OPAQUE)


def _reduce(machine: Machine, _argument: bytes | None) -> None:
    arguments = machine.pop()
    function = machine.pop()
    machine.calls += 1
    # A dict made of a list is a copy, and one list can be copied again and again.
    is_kept = not isinstance(arguments, tuple) or machine.may_keep(
        sum(len(one) for one in arguments if isinstance(one, list))
    )
    machine.push(called(function, arguments) if is_kept else OPAQUE)


def _new_object(count: int) -> Action:
    def make(machine: Machine, _argument: bytes | None) -> None:
        for _ in range(count):
            machine.pop()
        machine.calls += 1
        machine.push(OPAQUE)

    return make


def _object(machine: Machine, _argument: bytes | None) -> None:
    if not machine.pop_mark():
        raise other_format(_MISFIT)
    machine.calls += 1
    machine.push(OPAQUE)


def _build(machine: Machine, _argument: bytes | None) -> None:
    machine.pop()
    machine.calls += 1
    machine.push(machine.pop())


def _put(machine: Machine, argument: bytes | None) -> None:
    machine.remember(int.from_bytes(argument or b"", "little"))


def _put_text(machine: Machine, argument: bytes | None) -> None:
    machine.remember(_number(argument))


def _memoize(machine: Machine, _argument: bytes | None) -> None:
    machine.memoize()


def _get(machine: Machine, argument: bytes | None) -> None:
    machine.recall(int.from_bytes(argument or b"", "little"))


def _get_text(machine: Machine, argument: bytes | None) -> None:
    machine.recall(_number(argument))


def _number(argument: bytes | None) -> int:
    digits = (argument or b"").strip()
    if not digits.isdigit() or len(digits) > 18:
        raise other_format(_MISFIT)
    return int(digits)


def _duplicate(machine: Machine, _argument: bytes | None) -> None:
    value = machine.pop()
    machine.push(value)
    machine.push(value)


def _pop(machine: Machine, _argument: bytes | None) -> None:
    machine.pop_any()


def _persistent_id(machine: Machine, _argument: bytes | None) -> None:
    value = machine.pop()
    if isinstance(value, tuple) and machine.may_keep(1):
        machine.persistent_ids.append(value)
    machine.push(value if isinstance(value, tuple) else OPAQUE)


ACTIONS: dict[str, Action] = {
    **dict.fromkeys(
        ("SHORT_BINSTRING", "BINSTRING", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"), _text
    ),
    "STRING": _quoted,
    "UNICODE": _escaped,
    **dict.fromkeys(("BININT1", "BININT2"), _natural),
    **dict.fromkeys(("BININT", "LONG1", "LONG4"), _integer),
    **dict.fromkeys(("INT", "LONG"), _decimal),
    "NONE": _constant(None),
    "MARK": _constant(MARK),
    "EMPTY_TUPLE": _constant(()),
    "TUPLE1": _tuple_of(1),
    "TUPLE2": _tuple_of(2),
    "TUPLE3": _tuple_of(3),
    "TUPLE": _tuple,
    "EMPTY_LIST": _new_list,
    "LIST": _list,
    "APPEND": _append,
    "APPENDS": _appends,
    "EMPTY_DICT": _new_dict,
    "DICT": _dict,
    "SETITEM": _setitem,
    "SETITEMS": _setitems,
    "GLOBAL": _global,
    "STACK_GLOBAL": _stack_global,
    "INST": _inst,
    **dict.fromkeys(("EXT1", "EXT2", "EXT4"), _extension),
    "REDUCE": _reduce,
    "NEWOBJ": _new_object(2),
    "NEWOBJ_EX": _new_object(3),
    "OBJ": _object,
    "BUILD": _build,
    "DUP": _duplicate,
    "POP": _pop,
    **dict.fromkeys(("BINPUT", "LONG_BINPUT"), _put),
    "PUT": _put_text,
    "MEMOIZE": _memoize,
    **dict.fromkeys(("BINGET", "LONG_BINGET"), _get),
    "GET": _get_text,
    "BINPERSID": _persistent_id,
}
"""By the opcode's name; those that are not here take and put opaque values only."""
