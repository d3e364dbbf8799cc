"""What holds for every test: a home folder of its own, and no network but the loopback."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.support.command import CommandResult, run_cellar
from tests.support.fake_hub import FakeHub
from tests.support.filesystems import Mounts, require_mounts

# Tests run beside others, so how long one example took says nothing about the code.
settings.register_profile(
    "beside others", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("beside others")

LOOPBACK = ("127.", "::1", "localhost", "::ffff:127.")
CLEARED_PREFIXES = ("MODELCELLAR_", "HF_", "HUGGINGFACE_", "HUGGING_FACE_", "CIVITAI_", "XDG_")
CLEARED = ("NO_COLOR", "FORCE_COLOR", "CLICOLOR", "CLICOLOR_FORCE")


def _refuse_other_hosts(event: str, args: tuple[Any, ...]) -> None:
    """An audit hook: the interpreter asks it before every connection and every name look-up."""
    if event in {"socket.connect", "socket.sendto"}:
        address = args[1]
        host = address[0] if isinstance(address, tuple) else None
    elif event in {"socket.getaddrinfo", "socket.gethostbyname"}:
        host = args[0]
    else:
        return
    name = os.fsdecode(host) if isinstance(host, str | bytes) else ""
    if name and not name.startswith(LOOPBACK):
        pytest.fail(f"a test wanted to reach {name!r}: no test may use the network")


sys.addaudithook(_refuse_other_hosts)


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home folder, and none of the variables that change what the command does."""
    folder = tmp_path_factory.mktemp("home")
    for name in list(os.environ):
        if name.startswith(CLEARED_PREFIXES) or name in CLEARED:
            monkeypatch.delenv(name)
    # Tests of look-ups take it away; no other import may try to reach anybody.
    monkeypatch.setenv("MODELCELLAR_LOOKUP", "0")
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("USERPROFILE", str(folder))
    for name in ("CONFIG", "DATA", "STATE", "CACHE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(folder / name.lower()))
    monkeypatch.setenv("HF_HOME", str(folder / "huggingface"))
    return folder


@pytest.fixture
def cellar(home: Path) -> Callable[..., CommandResult]:
    """The installed command: ``cellar("list", "--json").json()``."""
    assert home.is_dir()
    return run_cellar


@pytest.fixture
def mounts(tmp_path: Path) -> Iterator[Mounts]:
    """File systems made for this test and unmounted after it; skips where mounts are impossible."""
    require_mounts()
    with Mounts(tmp_path / "mounts") as made:
        yield made


@pytest.fixture
def fake_hub() -> Iterator[FakeHub]:
    """A Hub without repositories; no credential may have gone where it must not go."""
    with FakeHub() as running:
        yield running
    assert running.log.leaks == ()
