"""The fake Hub in a process of its own, so that who is measured shares nothing with it."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

__all__ = ["ROOT", "FakeServer", "fake_server"]

ROOT = Path(__file__).parents[2]
END_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class FakeServer:
    """Where the hosts are, and what they have sent."""

    hub_url: str
    cdn_url: str
    elsewhere_url: str
    _questions: IO[str]
    _answers: IO[str]

    def sent_bytes(self) -> Mapping[str, int]:
        """Bytes of bodies that each host has sent since this was asked the last time."""
        self._questions.write("sent\n")
        self._questions.flush()
        found: dict[str, int] = json.loads(self._answers.readline())
        return found


@contextmanager
def fake_server(folder: Path, *options: str) -> Iterator[FakeServer]:
    """A Hub with every ``namespace/name`` folder below ``folder`` as a repository.

    ``options`` are those of ``tests.support.fake_hub.__main__``.
    """
    command = [sys.executable, "-m", "tests.support.fake_hub", str(folder), *options]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            urls = json.loads(process.stdout.readline())
            yield FakeServer(
                urls["hub"], urls["cdn"], urls["elsewhere"], process.stdin, process.stdout
            )
        finally:
            process.stdin.close()
            try:
                process.wait(END_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
