"""The few kinds of values that a walk over a pickle follows, and torch's way to spell tensors."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeGuard

from modelcellar.formats.reading import MAX_ELEMENTS, is_shape
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
MAX_VISITS = 300_000
MAX_NAME_BYTES = 4 << 20

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
    if not 0 <= elements <= MAX_ELEMENTS:
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
    """The tensors of a state dict under their own names, those of other branches by their path.

    One dict can stand in another any number of times, so what is gone through is bounded.
    """
    collector = _Collector()
    if isinstance(value, Dict):
        model = next((key for key in _WRAPPERS if isinstance(value.get(key), Dict)), None)
        if model is not None:
            collector.collect(value[model], "", 0)
        for key, inner in value.items():
            if key != model:
                collector.add(inner, key, 0)
    return collector.found


class _Collector:
    def __init__(self) -> None:
        self.found: list[Tensor] = []
        self._visits_left = MAX_VISITS
        self._name_bytes_left = MAX_NAME_BYTES

    def collect(self, value: Value, prefix: str, depth: int) -> None:
        """The tensors in a dict or a list."""
        items: Iterable[tuple[object, Value]] = ()
        if isinstance(value, Dict):
            items = value.items()
        elif isinstance(value, list):
            items = enumerate(value)
        for key, inner in items:
            if self._visits_left < 0 or self._name_bytes_left < 0:
                return
            self.add(inner, f"{prefix}{key}", depth)

    def add(self, value: Value, name: str, depth: int) -> None:
        """The value, if it is a tensor, or those in it."""
        self._visits_left -= 1
        if isinstance(value, TensorValue):
            self._name_bytes_left -= len(name)
            if len(self.found) < MAX_TENSORS and self._name_bytes_left >= 0:
                self.found.append(Tensor(name, value.dtype, value.shape))
        elif depth < MAX_DEPTH:
            self.collect(value, f"{name}.", depth + 1)


def _tensor(arguments: tuple[Value, ...]) -> Value:
    if len(arguments) < 4:
        return OPAQUE
    storage, size = storage_of(arguments[0]), arguments[2]
    if storage is None or not isinstance(size, tuple):
        return OPAQUE
    if not is_shape(size):
        return OPAQUE
    return TensorValue(ELEMENTS.get(storage.kind, (storage.kind, 0))[0], size)
