"""The few kinds of values that a walk over a pickle follows, and torch's way to spell tensors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeGuard

from modelcellar.records import Tensor

__all__ = [
    "ELEMENTS",
    "MARK",
    "OPAQUE",
    "Dict",
    "Global",
    "TensorValue",
    "Value",
    "called",
    "storage_of",
    "tensors_in",
]

MAX_DEPTH = 6
MAX_TENSORS = 65_536

ELEMENTS: Mapping[str, tuple[str, int]] = {
    "FloatStorage": ("F32", 4),
    "DoubleStorage": ("F64", 8),
    "HalfStorage": ("F16", 2),
    "BFloat16Storage": ("BF16", 2),
    "LongStorage": ("I64", 8),
    "IntStorage": ("I32", 4),
    "ShortStorage": ("I16", 2),
    "CharStorage": ("I8", 1),
    "ByteStorage": ("U8", 1),
    "BoolStorage": ("BOOL", 1),
    "ComplexFloatStorage": ("C64", 8),
    "ComplexDoubleStorage": ("C128", 16),
    "QInt8Storage": ("QI8", 1),
    "QUInt8Storage": ("QU8", 1),
    "QInt32Storage": ("QI32", 4),
    "UntypedStorage": ("U8", 1),
}
"""Class of a storage -> type and bytes of one element."""

_WRAPPERS = (
    *("state_dict", "model_state_dict", "params_ema", "params", "model", "module", "net"),
    *("generator", "weights"),
)
"""Keys under which training programs keep the model itself, most telling first."""


@dataclass(frozen=True, slots=True)
class Global:
    """A class or function that the pickle names."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


class _Sentinel:
    __slots__ = ()


MARK = _Sentinel()
OPAQUE = _Sentinel()


class TensorValue(NamedTuple):
    """A tensor that a call to torch would make."""

    dtype: str
    shape: tuple[int, ...]


class Dict(dict[str, "Value"]):
    """A dict whose keys are texts or numbers, spelled as texts; others are left out."""


class Storage(NamedTuple):
    """What a persistent id of torch says: class, key, and number of elements."""

    kind: str
    key: str
    elements: int


Value = (
    str | int | Global | tuple["Value", ...] | list["Value"] | Dict | TensorValue | None | _Sentinel
)


def storage_of(value: Value) -> Storage | None:
    """The storage that a persistent id ``("storage", type, key, location, elements)`` means."""
    if not isinstance(value, tuple) or len(value) < 5 or value[0] != "storage":
        return None
    _tag, kind, key, _location, elements = value[:5]
    if not isinstance(kind, Global) or not isinstance(key, str) or not isinstance(elements, int):
        return None
    return Storage(kind.name, key, elements)


def called(function: Value, arguments: Value) -> Value:
    """What a call makes, where it is one that state dicts are spelled with."""
    if not isinstance(function, Global) or not isinstance(arguments, tuple):
        return OPAQUE
    name = str(function)
    if name == "collections.OrderedDict":
        # Python 2 hands it a list of pairs, Python 3 nothing and sets the items later.
        pairs = arguments[0] if arguments and isinstance(arguments[0], list) else []
        return Dict((str(pair[0]), pair[1]) for pair in pairs if _is_pair(pair))
    if name == "torch.Size" and len(arguments) == 1:
        return arguments[0]
    if name in ("torch._utils._rebuild_tensor", "torch._utils._rebuild_tensor_v2"):
        return _tensor(arguments)
    if name.startswith("torch._utils._rebuild_parameter") and arguments:
        return arguments[0]
    return OPAQUE


def _is_pair(value: Value) -> TypeGuard[Sequence[Value]]:
    return isinstance(value, list | tuple) and len(value) == 2 and isinstance(value[0], str | int)


def tensors_in(value: Value) -> list[Tensor]:
    """The tensors of a state dict under their own names, those of other branches by their path."""
    found: list[Tensor] = []
    if not isinstance(value, Dict):
        return found
    model = next((key for key in _WRAPPERS if isinstance(value.get(key), Dict)), None)
    if model is not None:
        _collect(value[model], "", found, 0)
    for key, inner in value.items():
        if key != model:
            _add(inner, key, found, 0)
    return found


def _collect(value: Value, prefix: str, found: list[Tensor], depth: int) -> None:
    items: list[tuple[str, Value]] = []
    if isinstance(value, Dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = [(str(at), inner) for at, inner in enumerate(value)]
    for key, inner in items:
        _add(inner, f"{prefix}{key}", found, depth)


def _add(value: Value, name: str, found: list[Tensor], depth: int) -> None:
    if len(found) >= MAX_TENSORS:
        return
    if isinstance(value, TensorValue):
        found.append(Tensor(name, value.dtype, value.shape))
    elif depth < MAX_DEPTH:
        _collect(value, f"{name}.", found, depth + 1)


def _tensor(arguments: tuple[Value, ...]) -> Value:
    if len(arguments) < 4:
        return OPAQUE
    storage, size = storage_of(arguments[0]), arguments[2]
    if storage is None or not isinstance(size, tuple):
        return OPAQUE
    shape = tuple(one for one in size if type(one) is int and one >= 0)
    if len(shape) != len(size):
        return OPAQUE
    return TensorValue(ELEMENTS.get(storage.kind, (storage.kind, 0))[0], shape)
