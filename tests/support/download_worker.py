"""Downloads in processes of their own, so that they can be killed.

``python -P download_worker.py ORDER`` is one download, ``ORDER`` an object of JSON. With
``--serve`` one is forked for each such line on standard input, which is faster by far.
"""

import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from modelcellar import ModelLibrary
from modelcellar.config import Settings
from modelcellar.download_records import Patience
from modelcellar.downloads.downloader import Downloader, DownloadOptions
from modelcellar.errors import CellarError

__all__ = ["Forked", "Forks", "Order"]


@dataclass(frozen=True, slots=True)
class Order:
    """One download. ``state`` is where the user's state, cache and configuration are."""

    root: str
    state: str
    hub_url: str
    target: str = "acme/toy"
    connections: int = 1
    piece_bytes: int = 256 << 10
    silence_s: float = 0.4

    @property
    def command(self) -> list[str]:
        """The command line that does it."""
        return [sys.executable, "-P", __file__, json.dumps(asdict(self))]

    def run(self) -> str:
        """Do it, in this process; ``ok`` or the code of what went wrong."""
        for name in ("STATE", "CACHE", "CONFIG", "DATA"):
            os.environ[f"XDG_{name}_HOME"] = f"{self.state}/{name.lower()}"
        root = Path(self.root)
        settings = Settings(
            root,
            min_free_bytes=0,
            lookup=False,
            hub_endpoint=self.hub_url,
            hub_home=Path(self.state, "huggingface"),
        )
        patience = Patience(self.silence_s, 64 * 1024, 0.5, 4, 0.01, 0.05)
        options = DownloadOptions(
            connections=self.connections, patience=patience, piece_bytes=self.piece_bytes
        )
        with ModelLibrary(root, settings=settings) as library, library._changing():
            try:
                Downloader(library._books, settings, options=options).run(self.target)
            except CellarError as error:
                return error.code
        return "ok"


class Forked:
    """A download under way in a process of its own."""

    def __init__(self, pid: int, orders: IO[str], answers: IO[str]) -> None:
        self.pid = pid
        self._orders = orders
        self._answers = answers

    def kill(self) -> None:
        """As ``kill -9`` does, before :meth:`wait`; the process may be over already."""
        os.kill(self.pid, signal.SIGKILL)

    def wait(self) -> int:
        """How it ended: 0, or minus the signal that killed it, or 1 for an error."""
        self._orders.write("wait\n")
        self._orders.flush()
        found: int = json.loads(self._answers.readline())
        return found


class Forks:
    """Starts downloads, one at a time, each a copy of a process that has imported everything."""

    def __enter__(self) -> Self:
        self._server = subprocess.Popen(
            [sys.executable, "-P", __file__, "--serve"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.close()
        self._server.stdout.close()
        self._server.wait()

    def start(self, order: Order) -> Forked:
        """Begin a download. :meth:`Forked.wait` for it before the next one."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps(asdict(order)) + "\n")
        self._server.stdin.flush()
        child = int(self._server.stdout.readline())
        return Forked(child, self._server.stdin, self._server.stdout)


def _serve() -> None:
    # What downloads need is imported here, once for all of them.
    import asyncio  # noqa: F401
    import http.client  # noqa: F401

    import httpx  # noqa: F401

    import modelcellar.downloads.publishing
    import modelcellar.hosts  # noqa: F401

    for line in sys.stdin:
        order = Order(**json.loads(line))
        child = os.fork()
        if child == 0:
            nowhere = os.open(os.devnull, os.O_RDWR)
            os.dup2(nowhere, 0)
            os.dup2(nowhere, 1)
            code = 1
            try:
                code = 0 if order.run() == "ok" else 1
            finally:
                os._exit(code)
        sys.stdout.write(f"{child}\n")
        sys.stdout.flush()
        # Until then its number cannot be another's, however soon it ends.
        sys.stdin.readline()
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        sys.stdout.write(f"{status}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    if sys.argv[1] == "--serve":
        _serve()
    else:
        told = Order(**json.loads(sys.argv[1])).run()
        sys.stdout.write(json.dumps(told) + "\n")
        sys.exit(0 if told == "ok" else 1)
