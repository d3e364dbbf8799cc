"""What a person waits for at the prompt: whole processes, and a catalog of 10,000 models."""

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.conftest import write_model
from modelcellar import ModelLibrary, Settings

MODELS = 10_000
ROUNDS = 21
MAX_HELP_S = 0.120
MAX_SEARCH_S = 0.200
MAX_REBUILD_S = 30.0
FAMILIES = ("flux.1-dev", "sd_xl_base_1.0", "Qwen2.5", "llama-3.1", "Mistral", "juggernautXL")
TAILS = ("Q4_K_M", "fp8_e4m3fn", "bf16", "lora", "inpainting", "instruct")


@pytest.fixture(scope="module")
def library(place: Path) -> Path:
    """A library of 10,000 tiny models under realistic names."""
    source = place / "many"
    source.mkdir()
    for number in range(MODELS):
        family, tail = FAMILIES[number % 6], TAILS[number // 6 % 6]
        write_model(source / f"{family}-{tail}-v{number}.safetensors", 256)
    root = place / "library-10k"
    with ModelLibrary.create(root, settings=Settings(root, min_free_bytes=0)) as made:
        made.import_paths([source], lookup=False)
        assert made.list_models(limit=1).total == MODELS
    return root


def command_seconds(*arguments: str, library: Path | None = None) -> float:
    """One run of the installed command as a process of its own."""
    cellar = Path(sys.executable).with_name("cellar")
    environment = dict(os.environ)
    if library is not None:
        environment["MODELCELLAR_LIBRARY"] = str(library)
    began = time.perf_counter()
    subprocess.run([cellar, *arguments], env=environment, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def bare_python_seconds() -> float:
    """The same interpreter doing nothing, for the ratio."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "pass"], check=True)
    return time.perf_counter() - began


def median_of(benchmark: BenchmarkFixture, *arguments: str, library: Path | None = None) -> float:
    """The median time of the command; records its ratio to a bare interpreter."""
    seconds, bare = [], []

    def one_round() -> None:
        bare.append(bare_python_seconds())
        seconds.append(command_seconds(*arguments, library=library))

    benchmark.pedantic(one_round, rounds=ROUNDS, warmup_rounds=2)
    median = statistics.median(seconds)
    ratio = median / statistics.median(bare)
    benchmark.extra_info["median_ms"] = round(median * 1000)
    benchmark.extra_info["ratio_to_bare_python"] = round(ratio, 1)
    print(f"\ncellar {arguments[0]}: median {median * 1000:.0f} ms, {ratio:.1f} x bare Python")
    return median


def test_help(benchmark: BenchmarkFixture) -> None:
    """``cellar --help`` as a whole process."""
    assert median_of(benchmark, "--help") <= MAX_HELP_S


def test_search(benchmark: BenchmarkFixture, library: Path) -> None:
    """``cellar search`` on 10,000 models as a whole process."""
    assert median_of(benchmark, "search", "flux", "lora", library=library) <= MAX_SEARCH_S


def test_rebuild(benchmark: BenchmarkFixture, library: Path) -> None:
    """The catalog of 10,000 models made anew from the manifests."""
    with ModelLibrary(library, settings=Settings(library)) as opened:
        report = benchmark.pedantic(opened.rebuild, rounds=3)
    assert report.models == MODELS
    benchmark.extra_info["seconds"] = round(report.seconds, 2)
    print(f"\nrebuild of {MODELS} models: {report.seconds:.1f} s")
    assert report.seconds <= MAX_REBUILD_S
