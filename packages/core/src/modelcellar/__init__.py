"""modelcellar keeps each AI model file once, knows what it is, and finds it again.

The names below are loaded when they are first used: ``import modelcellar`` costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from modelcellar._version import __version__

if TYPE_CHECKING:
    from modelcellar.config import Settings, load_settings
    from modelcellar.formats import inspect_file
    from modelcellar.io.hashing import hash_file
    from modelcellar.library import ModelLibrary

_HOME = {
    "ModelLibrary": "modelcellar.library",
    "Settings": "modelcellar.config",
    "hash_file": "modelcellar.io.hashing",
    "inspect_file": "modelcellar.formats",
    "load_settings": "modelcellar.config",
}

__all__ = [
    "ModelLibrary",
    "Settings",
    "__version__",
    "hash_file",
    "inspect_file",
    "load_settings",
]


def __getattr__(name: str) -> object:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
