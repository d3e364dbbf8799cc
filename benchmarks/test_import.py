"""How fast a model comes in, against the slowest part that cannot be left out: SHA-256 itself."""

import hashlib
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from modelcellar import ModelLibrary, Settings

ROUNDS = 9
MAX_RATIO_TO_SHA256 = 1.3
MIN_FILES_PER_S = 200


def sha256_seconds(path: Path) -> float:
    """Reading the cached file and hashing it with OpenSSL's SHA-256, one thread."""
    began = time.perf_counter()
    with path.open("rb") as file:
        hashlib.file_digest(file, "sha256")
    return time.perf_counter() - began


def remove_library(root: Path) -> None:
    """Delete a library with its write-protected folders, and let the disk come to rest."""
    for folder in [root, *(path for path in root.rglob("*") if path.is_dir())]:
        folder.chmod(0o755)
    shutil.rmtree(root)
    os.sync()


def import_seconds(source: Path, root: Path) -> float:
    """Importing ``source`` into a new library at ``root``, durable when it returns."""
    with ModelLibrary.create(root, settings=Settings(root, min_free_bytes=0)) as library:
        began = time.perf_counter()
        report = library.import_paths([source], lookup=False)
        seconds = time.perf_counter() - began
    assert {result.status for result in report.results} == {"imported"}
    remove_library(root)
    return seconds


def command_seconds(source: Path, root: Path) -> float:
    """The same as a whole process: ``cellar import`` from start to exit."""
    cellar = Path(sys.executable).with_name("cellar")
    command = [cellar, "import", source, "--library", root, "--quiet", "--no-lookup"]
    environment = {**os.environ, "MODELCELLAR_MIN_FREE_BYTES": "0"}
    began = time.perf_counter()
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - began
    remove_library(root)
    return seconds


@pytest.mark.parametrize("importing", [import_seconds, command_seconds], ids=["api", "command"])
def test_one_big_cached_file(
    benchmark: BenchmarkFixture,
    big_file: Path,
    place: Path,
    importing: Callable[[Path, Path], float],
) -> None:
    """1 GiB from the page cache, with both digests, flushed and recorded."""
    ratios: list[float] = []

    def one_round() -> None:
        alone = sha256_seconds(big_file)
        ratios.append(importing(big_file, place / "library") / alone)

    benchmark.pedantic(one_round, rounds=ROUNDS, warmup_rounds=1)
    counted = sorted(round(ratio, 2) for ratio in ratios[1:])
    ratio = statistics.median(counted)
    benchmark.extra_info["ratio_to_sha256_alone"] = ratio
    benchmark.extra_info["ratios"] = counted
    print(f"\nimport of 1 GiB / SHA-256 alone: median {ratio:.2f} of {counted}")
    assert ratio <= MAX_RATIO_TO_SHA256


def test_many_small_files(benchmark: BenchmarkFixture, small_files: Path, place: Path) -> None:
    """1,000 files of 16 KiB, each a model of its own, durable."""
    seconds = []
    benchmark.pedantic(
        lambda: seconds.append(import_seconds(small_files, place / "library")), rounds=5
    )
    rate = 1000 / statistics.median(seconds)
    benchmark.extra_info["files_per_s"] = round(rate)
    print(f"\nimport of small files: {rate:.0f} files/s")
    assert rate >= MIN_FILES_PER_S
