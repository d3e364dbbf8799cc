"""A transport that answers from a script, for what no loopback server can do without waiting."""

from collections.abc import Callable

from modelcellar.network.exchanges import Call, ExchangeError, Reason
from modelcellar.network.http import Response

Script = Callable[[Call], Response | ExchangeError]


class FakeTransport:
    """``sent`` is every call that was made."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.sent: list[Call] = []
        self.is_closed = False

    async def exchange(self, call: Call) -> Response:
        self.sent.append(call)
        found = self.script(call)
        if isinstance(found, ExchangeError):
            raise found
        return found

    async def aclose(self) -> None:
        self.is_closed = True


def status(number: int, **headers: str) -> Script:
    """Always this status; in names of headers ``_`` stands for ``-``."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda call: Response(number, call.url, named)


def broken(cause: str = "the connection broke") -> Script:
    return lambda _: ExchangeError(Reason.FAILED, cause)


def unreachable(_: Call) -> ExchangeError:
    return ExchangeError(Reason.UNREACHABLE, "its name was not found")
