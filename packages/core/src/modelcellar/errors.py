"""The tree of errors that callers can catch.

    CellarError                  base: a stable ``code``, a message, a ``hint`` with the next step
    +-- UsageError               the arguments cannot be meant that way
    |   +-- AmbiguousModelError  a prefix or name fits several models
    +-- ModelNotFoundError       nothing by that id, prefix, name or digest
    +-- NothingToUndoError       the journal holds no change that can be taken back
    +-- LibraryNotFoundError     the folder is no library
    +-- LibraryMovedError        the folder was a library that is elsewhere now
    +-- LibraryFormatError       made by a newer version, or its records cannot be read
    |   +-- NewerLibraryError    the whole library is of a newer version
    +-- LibraryBusyError         another process holds the library
    +-- SourceRefusedError       the file is not taken in, with the reason and the remedy
    +-- ContentDamagedError      a file of the library is missing or not what it was
    +-- NetworkError             a host could not be asked; base of the following
    |   +-- OfflineError         the network is not to be used, or no host can be reached
    |   +-- HostUnavailableError one host does not answer, or its circuit is open
    |   +-- RateLimitedError     the host's quota is used up for longer than may be waited
    |   +-- AnswerRefusedError   a redirect, size or answer that is not accepted
    |   +-- TransferBrokenError  the bytes of a file ended early, stopped or came too slowly
    +-- NotPublishedError        a host has nothing of that name
    +-- WrongContentError        what came is not what was published
    +-- SignInNeededError        the host wants a token, or one that may see this

A disk that fails is an ``OSError`` with errno and file name, as everywhere in Python.
"""

from collections.abc import Sequence

__all__ = [
    "AmbiguousModelError",
    "AnswerRefusedError",
    "CellarError",
    "ContentDamagedError",
    "HostUnavailableError",
    "LibraryBusyError",
    "LibraryFormatError",
    "LibraryMovedError",
    "LibraryNotFoundError",
    "ModelNotFoundError",
    "NetworkError",
    "NewerLibraryError",
    "NotPublishedError",
    "NothingToUndoError",
    "OfflineError",
    "RateLimitedError",
    "SignInNeededError",
    "SourceRefusedError",
    "TransferBrokenError",
    "UsageError",
    "WrongContentError",
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


class LibraryMovedError(CellarError):
    """The folder was a library; its models and its id are at another place now."""

    code = "library_moved"


class LibraryFormatError(CellarError):
    """Made by a newer version of modelcellar, or a record cannot be read."""

    code = "library_format"


class NewerLibraryError(LibraryFormatError):
    """The library as a whole was made by a newer version of modelcellar."""


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


class NetworkError(CellarError):
    """A host could not be asked. ``origin`` is which (``https://huggingface.co``)."""

    code = "network"

    def __init__(self, message: str, hint: str = "", *, origin: str = "") -> None:
        super().__init__(message, hint)
        self.origin = origin

    def __reduce__(self) -> tuple[object, ...]:
        return (_with_state, (type(self), self.message, self.hint, self.__dict__))


class OfflineError(NetworkError):
    """The network is not to be used, or no host at all can be reached."""

    code = "offline"


class HostUnavailableError(NetworkError):
    """A host does not answer, or did not so often that it is left alone until ``retry_at``.

    ``since`` and ``retry_at`` are seconds since 1970; ``cause`` is the last failure in words.
    """

    code = "host_unavailable"

    def __init__(
        self,
        message: str,
        hint: str = "",
        *,
        origin: str = "",
        cause: str = "",
        since: float | None = None,
        retry_at: float | None = None,
    ) -> None:
        super().__init__(message, hint, origin=origin)
        self.cause = cause
        self.since = since
        self.retry_at = retry_at


class RateLimitedError(NetworkError):
    """The host's quota is used up until ``retry_at``, seconds since 1970."""

    code = "rate_limited"

    def __init__(
        self, message: str, hint: str = "", *, origin: str = "", retry_at: float | None = None
    ) -> None:
        super().__init__(message, hint, origin=origin)
        self.retry_at = retry_at


class AnswerRefusedError(NetworkError):
    """The host answered with something that is not accepted: a redirect, a size, a content."""

    code = "answer_refused"


class TransferBrokenError(NetworkError):
    """The bytes of a file ended early, stopped coming or came too slowly; ``cause`` in words."""

    code = "transfer_broken"

    def __init__(self, message: str, hint: str = "", *, origin: str = "", cause: str = "") -> None:
        super().__init__(message, hint, origin=origin)
        self.cause = cause


class NotPublishedError(CellarError):
    """A host has no repository, version, revision or file of that name."""

    code = "not_published"


class WrongContentError(CellarError):
    """What came is not what was published; ``expected`` and ``actual`` are digests."""

    code = "wrong_content"

    def __init__(
        self, message: str, hint: str = "", *, expected: str = "", actual: str = ""
    ) -> None:
        super().__init__(message, hint)
        self.expected = expected
        self.actual = actual

    def __reduce__(self) -> tuple[object, ...]:
        return (_with_state, (type(self), self.message, self.hint, self.__dict__))


class SignInNeededError(CellarError):
    """The host wants a token, or one of somebody who may see this."""

    code = "sign_in_needed"


def _with_state(
    kind: type[CellarError], message: str, hint: str, state: dict[str, object]
) -> CellarError:
    error = kind(message, hint)
    error.__dict__.update(state)
    return error
