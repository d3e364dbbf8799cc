"""One task on one drive: runs a contender in a clean state, checks what it did, and measures it."""

import filecmp
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks import data
from benchmarks.contenders import Contender, Task
from benchmarks.contest import Entry, Sample

ROOT = Path(__file__).parents[1]
DIGEST = re.compile(r"\b[0-9a-f]{64}\b")
LONGEST_RUN_S = 1800


class WrongResultError(Exception):
    """A contender did not do what it was asked for, so its time means nothing."""


class Arena:
    """Makes entries of a contest from contenders for one task."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._expected = self._digests()
        self._compared: set[str] = set()

    def entry(self, contender: Contender) -> Entry:
        """The contender, ready to run as often as wanted."""
        return Entry(contender.name, lambda: self.run(contender), contender.every)

    def run(self, contender: Contender) -> Sample:
        """One run: old copies gone, all dirty pages written, sources cached; then the work.

        Raises:
            WrongResultError: a digest or a copy is missing or wrong.
        """
        task = self._task
        self.clean()
        if task.target is not None:
            task.target.mkdir()
        os.sync()
        data.warm(task.sources)
        answer = run_worker(contender, task)
        self._check(contender, answer.pop("found"))
        return Sample(**answer)

    def clean(self) -> None:
        """Remove what the last contender wrote."""
        if self._task.target is not None:
            data.remove_tree(self._task.target)

    def _digests(self) -> tuple[frozenset[str], frozenset[str]]:
        """The digests that everybody must find, by Python's own means."""
        from benchmarks.calls import python_loop

        found = python_loop([(str(path), "") for path in self._task.sources])
        return frozenset(pair[0] for pair in found), frozenset(pair[1] for pair in found)

    def _check(self, contender: Contender, texts: list[str]) -> None:
        digests = set(DIGEST.findall("\n".join(texts)))
        for wanted, expected in zip(
            (contender.sha256, contender.blake3), self._expected, strict=True
        ):
            if wanted and not expected <= digests:
                raise WrongResultError(
                    f"{contender.name}: {len(expected - digests)} digests missing"
                )
        target = self._task.target
        if target is None or not contender.copies:
            return
        if contender.library:
            copies = sum(1 for _ in target.glob("library/models/*/*.safetensors"))
        else:
            copies = sum(self._is_copy(contender.name, path, target) for path in self._task.sources)
        if copies != len(self._task.sources):
            raise WrongResultError(
                f"{contender.name}: {copies} of {len(self._task.sources)} copied"
            )

    def _is_copy(self, name: str, source: Path, target: Path) -> bool:
        """Compared byte for byte in the first round, by size later."""
        copy = target / source.name
        if not copy.is_file() or copy.stat().st_size != source.stat().st_size:
            return False
        seen = f"{name} {source}"
        if seen in self._compared:
            return True
        self._compared.add(seen)
        return filecmp.cmp(source, copy, shallow=False)


def run_worker(contender: Contender, task: Task) -> dict[str, Any]:
    """The answer of ``benchmarks.worker`` to one request.

    Raises:
        WrongResultError: the worker failed.
    """
    request = {
        "steps": contender.steps,
        "jobs": task.jobs,
        "folder": str(task.folder),
        "durable": task.durable,
    }
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.worker"],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=LONGEST_RUN_S,
        check=False,
    )
    if done.returncode != 0:
        raise WrongResultError(f"{contender.name}: {done.stderr[-2000:]}")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer
