"""Data of the benchmarks: incompressible bytes, made once, in the page cache when they are used."""

import json
import os
from pathlib import Path

import pytest

GIB = 1 << 30
MIB = 1 << 20


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
