"""Downloads under anything that may go wrong, at random, and ``kill -9``: never a wrong byte.

Each run is one repository of three files of its own. Once it has ended, however that was, and all
is well again, the next run must bring the right bytes.
"""

import hashlib
import itertools
import os
import random
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from modelcellar.config import cache_folder, state_folder
from tests.support.download_worker import Forks, Order
from tests.support.downloads import ALLOWED_BYTES, FACTOR, SIGNED, Scene
from tests.support.fake_hub import FakeHub, FakeRepo
from tests.support.invariants import check_files, files_below
from tests.support.mishaps import MOST_BYTES, Mishap, mishaps
from tests.support.models import safetensors_bytes

PIECES = (64 << 10, 256 << 10, 1 << 20)
RUNS = int(os.environ.get("MODELCELLAR_CHAOS_RUNS", "150"))
"""``nox -s chaos`` makes 2,000."""
RATE = 40e6
"""Bytes a second of a connection of a process that is to be killed: little is on its way then."""
LONGEST_S = 20.0
RUNS_OF_A_LIBRARY = 40
_KIB = 1024


@dataclass(frozen=True, slots=True)
class Plan:
    """One run. ``kind`` is how the file of ``size_bytes`` is kept: in LFS or in git."""

    kind: str
    size_bytes: int
    connections: int
    piece_bytes: int
    mishaps: list[Mishap]
    kill_after_s: float | None


SIZES = st.one_of(
    st.integers(0, 200),
    st.integers(1, MOST_BYTES),
    st.integers(1, MOST_BYTES),
    st.builds(
        lambda piece, count, by: max(0, piece * count + by),
        st.sampled_from((*PIECES, 64 * _KIB)),
        st.integers(1, 3),
        st.integers(-1, 1),
    ),
)
PLANS = st.builds(
    Plan,
    st.sampled_from(["lfs", "lfs", "git"]),
    SIZES,
    st.integers(1, 4),
    st.sampled_from(PIECES),
    mishaps,
    st.one_of(st.none(), st.none(), st.none(), st.floats(0.0, 0.15)),
)


@dataclass(slots=True)
class Runs:
    """Plays one plan after the other, each with content that was never there before."""

    scene: Scene
    forks: Forks
    state: Path
    seeds: Iterator[int] = field(default_factory=partial(itertools.count, 1))
    played: int = 0
    ends: dict[str, int] = field(default_factory=dict)
    slowest_s: float = 0.0

    def play(self, plan: Plan) -> None:
        """One run with mishaps, and one without."""
        began = time.monotonic()
        fake, files = self.scene.fake, self._new_files(plan)
        self._make_well(plan, files)
        fake.log.clear()
        before = {path.name for path in (self.scene.root / "models").iterdir()}
        for mishap in plan.mishaps:
            mishap.add_to(fake)
        code = self._first_run(plan)
        self.ends[code] = self.ends.get(code, 0) + 1
        hits = sum(rule.hits for rule in fake.chaos.rules)
        self._check(before, files, must_be_there=code == "ok")
        self._make_well(plan, files)
        end = self.scene.download(connections=plan.connections)
        assert end.code == "ok", f"{end}\n{self.scene.told()}"
        self._check(before, files, must_be_there=True)
        assert list((self.scene.root / "staging").iterdir()) == []
        if all(one.is_honest for one in plan.mishaps):
            # Killing is an interruption, and so is giving up.
            allowed = sum(map(len, files.values())) * FACTOR + (hits + 1) * ALLOWED_BYTES
            assert fake.log.bytes_sent("cdn") <= allowed, self.scene.told()
        seconds = time.monotonic() - began
        self.slowest_s = max(self.slowest_s, seconds)
        assert seconds < LONGEST_S, f"took {seconds:.0f} s\n{self.scene.told()}"

    def _new_files(self, plan: Plan) -> Mapping[str, bytes]:
        """New content, and a library that is not too full."""
        seed = next(self.seeds)
        self.played += 1
        if self.played % RUNS_OF_A_LIBRARY == 0:
            self.scene.create()
        self.scene.piece_bytes = plan.piece_bytes
        return {
            "config.json": f'{{"model_type": "llama", "n": {seed}}}'.encode(),
            "data.blob": random.Random(seed).randbytes(plan.size_bytes),
            "model.safetensors": safetensors_bytes(seed=seed, size_bytes=400),
        }

    def _make_well(self, plan: Plan, files: Mapping[str, bytes]) -> None:
        """Nothing goes wrong any more, and time has passed; what is published is as it was."""
        fake = self.scene.fake
        fake.chaos.clear()
        self.scene.forget_hosts()
        shutil.rmtree(self.state, ignore_errors=True)
        lfs = frozenset({"data.blob"} if plan.kind == "lfs" else ())
        fake.add(FakeRepo("acme/toy", files, lfs=lfs))

    def _first_run(self, plan: Plan) -> str:
        if plan.kill_after_s is None:
            return self.scene.download(connections=plan.connections).code
        fake = self.scene.fake
        fake.settings.rate_bytes_per_s = RATE
        order = Order(
            str(self.scene.root),
            str(self.state),
            fake.hub_url,
            connections=plan.connections,
            piece_bytes=plan.piece_bytes,
        )
        running = self.forks.start(order)
        time.sleep(plan.kill_after_s)
        running.kill()
        status = running.wait()
        fake.settings.rate_bytes_per_s = None
        return {0: "ok", 1: "failed"}.get(status, "killed")

    def _check(self, before: set[str], files: Mapping[str, bytes], *, must_be_there: bool) -> None:
        right = {hashlib.sha256(data).digest(): path for path, data in files.items()}
        found: dict[str, bytes] = {}
        for folder in (self.scene.root / "models").iterdir():
            if folder.name not in before:
                found |= {
                    path.relative_to(folder).as_posix(): path.read_bytes()
                    for path in files_below(folder)
                }
        for path, data in found.items():
            assert right.get(hashlib.sha256(data).digest()) == path, f"wrong bytes in {path}"
        if must_be_there:
            assert found.keys() == files.keys(), self.scene.told()
        else:
            assert not found or found.keys() == files.keys()
        assert self.scene.fake.log.leaks == ()
        self._check_secrets()

    def _check_secrets(self) -> None:
        root = self.scene.root
        places = (root / "staging", root / "journal", state_folder(), cache_folder(), self.state)
        for path in (path for place in places if place.exists() for path in files_below(place)):
            data = path.read_bytes()
            assert not any(secret in data for secret in SIGNED), path


@pytest.mark.slow
def test_wrong_bytes_are_never_published(memory: Path, fake_hub: FakeHub) -> None:
    count = RUNS
    scene = Scene(fake_hub, memory / "library")
    scene.create()
    with Forks() as forks:
        runs = Runs(scene, forks, memory / "state")

        @hypothesis_settings(
            max_examples=count,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(plan=PLANS)
        def play(plan: Plan) -> None:
            runs.play(plan)

        play()
    check_files(scene.root)
    print(f"\n{runs.played} runs, {runs.ends}, slowest {runs.slowest_s:.1f} s")  # noqa: T201
    assert runs.played >= count
    assert runs.ends["ok"] > count / 5
    assert runs.ends["killed"] > count / 20
    assert (
        sum(count for code, count in runs.ends.items() if code not in ("ok", "killed"))
        > count / 200
    )
