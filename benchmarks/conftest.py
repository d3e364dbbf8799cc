"""Options of the benchmarks, the places they run in, and their data."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmarks import drives, results
from benchmarks.drives import Place
from benchmarks.quiet import describe_machine

GIB = 1 << 30
MIB = 1 << 20
ROUNDS = 15
RESULTS = Path(__file__).parents[1] / "build" / "bench"


@dataclass(frozen=True, slots=True)
class ContestOptions:
    """How large, how often, where to."""

    scale: float
    rounds: int
    results: Path

    @property
    def smoke(self) -> bool:
        """Whether this is a trial of the machinery, whose figures mean nothing."""
        return self.scale < 1


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("contest")
    group.addoption(
        "--drive",
        action="append",
        default=[],
        metavar="LABEL=PATH",
        help="run the contest in this folder, under this name (repeatable)",
    )
    group.addoption(
        "--scale",
        type=float,
        default=float(os.environ.get("MODELCELLAR_BENCH_SCALE", "1")),
        help="sizes by this factor; below 1 it is a trial and no bar is judged",
    )
    group.addoption(
        "--contest-rounds",
        type=int,
        default=int(os.environ.get("MODELCELLAR_BENCH_ROUNDS", str(ROUNDS))),
        help=f"rounds that must count (default {ROUNDS})",
    )
    group.addoption("--contest-results", type=Path, default=RESULTS, help="folder for the results")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Tests that take ``drive`` run once for each place."""
    if "drive" not in metafunc.fixturenames:
        return
    try:
        places = drives.labels(metafunc.config.getoption("--drive"))
    except ValueError as error:
        raise pytest.UsageError(str(error)) from None
    metafunc.parametrize("drive", places, indirect=True, scope="module")


@pytest.fixture(scope="session")
def contest_options(pytestconfig: pytest.Config) -> ContestOptions:
    """The options of this run; the machine is noted beside its results."""
    folder: Path = pytestconfig.getoption("--contest-results")
    results.save_machine(folder, describe_machine())
    return ContestOptions(
        pytestconfig.getoption("--scale"), pytestconfig.getoption("--contest-rounds"), folder
    )


@pytest.fixture(scope="module")
def drive(
    request: pytest.FixtureRequest, pytestconfig: pytest.Config, contest_options: ContestOptions
) -> Iterator[Place]:
    """A place to run in, large enough for what the module calls ``NEEDED_BYTES``."""
    needed = max(64 * MIB, int(request.module.NEEDED_BYTES * contest_options.scale))
    with drives.open_place(request.param, pytestconfig.getoption("--drive"), needed) as place:
        yield place


def write_model(path: Path, size_bytes: int) -> None:
    """A valid safetensors file of about ``size_bytes`` of random data."""
    data_bytes = max(1, size_bytes - 128)
    tensor = {"dtype": "U8", "shape": [data_bytes], "data_offsets": [0, data_bytes]}
    header = json.dumps({"weight": tensor}).encode().ljust(120)
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        for start in range(0, data_bytes, MIB):
            file.write(os.urandom(min(MIB, data_bytes - start)))


@pytest.fixture(autouse=True)
def _own_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No benchmark may touch the user's own library or settings."""
    for name in [name for name in os.environ if name.startswith(("MODELCELLAR_", "XDG_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where benchmarks write: ``MODELCELLAR_BENCH_DIR``, or the system's temporary folder."""
    chosen = os.environ.get("MODELCELLAR_BENCH_DIR")
    return Path(chosen) if chosen else tmp_path_factory.mktemp("bench")


@pytest.fixture(scope="session")
def big_file(place: Path) -> Path:
    """One file of 1 GiB, written out and then read into the page cache."""
    folder = place / "big"
    folder.mkdir()
    path = folder / "big.safetensors"
    write_model(path, GIB)
    os.sync()
    path.read_bytes()
    return path


@pytest.fixture(scope="session")
def small_files(place: Path) -> Path:
    """A folder of 1,000 model files of 16 KiB."""
    folder = place / "small"
    folder.mkdir()
    for number in range(1000):
        write_model(folder / f"model-{number:04}.safetensors", 16384)
    os.sync()
    return folder
