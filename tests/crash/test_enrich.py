"""``kill -9`` and Ctrl-C in the middle of look-ups: what was found stays, the rest comes later."""

import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from modelcellar import ModelLibrary
from tests.support.command import NO_NETWORK, CommandResult, cellar_command
from tests.support.fake_hub import FakeHub, FakeRepo, Stall
from tests.support.invariants import check_catalog, check_files
from tests.support.models import safetensors_bytes
from tests.support.origins import environment
from tests.support.worker import settings

MODELS = 24
KILLS = 10


@pytest.fixture
def library(cellar: Callable[..., CommandResult], fake_hub: FakeHub, tmp_path: Path) -> Path:
    """Models that all are on the fake Hub, which is slow enough to be interrupted."""
    root, folder = tmp_path / "library", tmp_path / "files"
    folder.mkdir()
    for number in range(MODELS):
        data = safetensors_bytes(seed=number, size_bytes=64)
        name = f"somemodel{number:03}.safetensors"
        (folder / name).write_bytes(data)
        fake_hub.add(FakeRepo(f"acme/somemodel{number:03}", {name: data}))
    fake_hub.chaos.add(Stall(0.05), host="hub", times=None)
    cellar("import", "--no-lookup", "--library", root, folder)
    return root


@pytest.fixture
def env(fake_hub: FakeHub) -> Mapping[str, str]:
    return {**os.environ, **NO_NETWORK, **environment(fake_hub)}


def start(library: Path, env: Mapping[str, str], *arguments: str) -> "subprocess.Popen[str]":
    command = [*cellar_command(), "enrich", "--library", str(library), *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=env, stdout=pipe, stderr=pipe, text=True)


def check(library: Path) -> int:
    """Everything is whole; how many models are identified."""
    check_files(library)
    check_catalog(library)
    with ModelLibrary(library, settings=settings(library)) as opened:
        models = opened.list_models().models
    assert len(models) == MODELS
    return sum(model.identity.status == "verified" for model in models)


def test_killed_at_any_moment(library: Path, env: Mapping[str, str]) -> None:
    chance = random.Random(5)
    found = 0
    for _ in range(KILLS):
        process = start(library, env)
        time.sleep(chance.uniform(0.2, 2.0))
        process.kill()
        process.communicate()
        now = check(library)
        assert now >= found
        found = now
    done = start(library, env)
    out, err = done.communicate(timeout=120)
    assert done.returncode == 0, out + err
    assert check(library) == MODELS


def test_ctrl_c_keeps_what_was_found(
    library: Path, env: Mapping[str, str], fake_hub: FakeHub
) -> None:
    # The last ones never answer in time, so there is a moment when some are found and some not.
    for number in range(MODELS // 2, MODELS):
        path = f"/api/models/acme/somemodel{number:03}"
        fake_hub.chaos.add(Stall(60.0, None), host="hub", path=path, times=None)
    process = start(library, env, "--json")
    deadline = time.monotonic() + 60
    while len(fake_hub.log.of("hub", containing="/api/models/acme/")) < MODELS // 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 130, out + err
    assert json.loads(err.strip().splitlines()[-1])["error"]["code"] == "cancelled"
    assert "Traceback" not in err
    assert 0 < check(library) < MODELS
