"""How long it takes to adopt a collection of 2,000 models of 2 GiB each, 4 TiB in all.

The weights are holes, which nobody notices who reads headers only. Whoever reads more cannot do it
in time.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.test_import import remove_library

FILES = 2000
SIZE_BYTES = 2 << 30
MAX_SECONDS = 60.0
MAX_READ_BYTES_A_FILE = 512 * 1024


def write_model(path: Path, number: int) -> None:
    """A safetensors file of 300 tensors as a LoRA has them, with an end that is not all zero."""
    part = SIZE_BYTES // 300 // 4096 * 4096
    header: dict[str, object] = {
        f"lora_unet_block_{n}_to_q.lora_{'down' if n % 2 else 'up'}.weight": {
            "dtype": "F32",
            "shape": [part // 4096, 1024],
            "data_offsets": [n * part, (n + 1) * part],
        }
        for n in range(300)
    }
    header["__metadata__"] = {"ss_output_name": f"model {number}", "ss_network_dim": "16"}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(len(text).to_bytes(8, "little") + text)
    os.truncate(path, 8 + len(text) + 300 * part)
    with path.open("r+b") as file:
        file.seek(-8192, os.SEEK_END)
        file.write(number.to_bytes(4, "little") * 2048)


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """2,000 models in 20 folders."""
    folder = tmp_path_factory.mktemp("collection")
    for number in range(FILES):
        path = folder / f"folder-{number % 20}" / f"model-{number}.safetensors"
        path.parent.mkdir(exist_ok=True)
        write_model(path, number)
    return folder


def test_two_thousand_models(benchmark: BenchmarkFixture, collection: Path, tmp_path: Path) -> None:
    cellar = Path(sys.executable).with_name("cellar")
    root = tmp_path / "library"
    subprocess.run([cellar, "init", root], check=True)
    adopt = [cellar, "adopt", collection, "--library", root, "--json"]

    def run() -> dict[str, object]:
        done = subprocess.run(adopt, check=True, capture_output=True)
        document = json.loads(done.stdout)
        assert isinstance(document, dict)
        return document

    document = benchmark.pedantic(run, rounds=1)
    models = document["models"]
    assert isinstance(models, list)
    assert len(models) == FILES
    assert benchmark.stats.stats.max < MAX_SECONDS
    remove_library(root)


def test_bytes_read(collection: Path, tmp_path: Path) -> None:
    """By what the kernel counts for the process and its children."""
    cellar = Path(sys.executable).with_name("cellar")
    root = tmp_path / "library"
    subprocess.run([cellar, "init", root], check=True)
    script = (
        "import pathlib, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=-3);"
        "print(pathlib.Path('/proc/self/io').read_text().split()[1])"
    )
    adopt = [cellar, "adopt", collection, "--library", root, "--quiet"]
    done = subprocess.run(
        [sys.executable, "-c", script, *adopt], check=True, capture_output=True, text=True
    )
    read_bytes = int(done.stdout)
    print(f"{read_bytes:,} bytes read, {read_bytes / FILES:,.0f} a file")
    assert read_bytes < FILES * MAX_READ_BYTES_A_FILE
    remove_library(root)
