"""The tree of errors that callers can catch.

    CellarError                  base: a stable ``code``, a message, a ``hint`` with the next step
    +-- UsageError               the arguments cannot be meant that way
    |   +-- AmbiguousModelError  a prefix or name fits several models
    +-- ModelNotFoundError       nothing by that id, prefix, name or digest
    +-- NothingToUndoError       the journal holds no change that can be taken back
    +-- LibraryNotFoundError     the folder is no library
    +-- LibraryFormatError       made by a newer version, or its records cannot be read
    +-- LibraryBusyError         another process holds the library
    +-- SourceRefusedError       the file is not taken in, with the reason and the remedy
    +-- ContentDamagedError      a file of the library is missing or not what it was

A disk that fails is an ``OSError`` with errno and file name, as everywhere in Python.
"""

from collections.abc import Sequence

__all__ = [
    "AmbiguousModelError",
    "CellarError",
    "ContentDamagedError",
    "LibraryBusyError",
    "LibraryFormatError",
    "LibraryNotFoundError",
    "ModelNotFoundError",
    "NothingToUndoError",
    "SourceRefusedError",
    "UsageError",
]


class CellarError(Exception):
    """Base of every error that modelcellar raises itself."""

    code = "error"

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message


class UsageError(CellarError):
    """The arguments cannot be meant that way."""

    code = "usage"


class AmbiguousModelError(UsageError):
    """A prefix, name or digest fits several models."""

    code = "ambiguous_model"

    def __init__(self, text: str, model_ids: Sequence[str]) -> None:
        shown = ", ".join(model_ids[:5]) + (", ..." if len(model_ids) > 5 else "")
        super().__init__(
            f"{text!r} fits {len(model_ids)} models: {shown}", "Give the whole id of one of them."
        )
        self.text = text
        self.model_ids = tuple(model_ids)

    def __reduce__(self) -> tuple[object, ...]:
        return (type(self), (self.text, self.model_ids))


class ModelNotFoundError(CellarError):
    """Nothing by that id, prefix, name or digest."""

    code = "model_not_found"


class NothingToUndoError(CellarError):
    """The journal holds no change that can be taken back."""

    code = "nothing_to_undo"


class LibraryNotFoundError(CellarError):
    """The folder is no library."""

    code = "library_not_found"


class LibraryFormatError(CellarError):
    """Made by a newer version of modelcellar, or a record cannot be read."""

    code = "library_format"


class LibraryBusyError(CellarError):
    """Another process holds the library and did not let go in time."""

    code = "library_busy"


class SourceRefusedError(CellarError):
    """The source is not taken in; ``code`` says why in one word."""

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.code = code

    def __reduce__(self) -> tuple[object, ...]:
        return (type(self), (self.code, self.message, self.hint))


class ContentDamagedError(CellarError):
    """A file of the library is missing or is not what it was when it came in."""

    code = "content_damaged"
