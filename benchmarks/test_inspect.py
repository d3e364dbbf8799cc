"""How long it takes to say what 1,000 files are: headers read, checked and classified."""

import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks import headers
from modelcellar import inspect_file

FILES = 1_000
ROUNDS = 5
MAX_SECONDS = 5.0
KOHYA = {
    "ss_base_model_version": "sdxl_base_v1-0",
    "ss_network_module": "networks.lora",
    "ss_network_dim": "32",
    "ss_network_alpha": "16",
    "ss_tag_frequency": json.dumps({"10_name": {f"tag {n}": 400 - n for n in range(400)}}),
}
# Of a hundred files in a collection of both worlds: what there is how often.
SAFETENSORS: dict[str, tuple[int, Callable[[], headers.Shapes], dict[str, str]]] = {
    "lora-xl": (30, lambda: headers.kohya_lora(70, 1280, 2048), KOHYA),
    "lora-sd1": (20, lambda: headers.kohya_lora(16, 320, 768), KOHYA),
    "sdxl": (10, headers.sdxl_checkpoint, {}),
    "flux": (6, headers.flux, {}),
    "vae": (6, headers.vae, {}),
    "clip": (6, headers.clip_l, {}),
    "llm": (12, lambda: headers.llama(32), {}),
}
GGUF_SHARE = 10
EXPECTED = {
    **{"lora-xl": "lora", "lora-sd1": "lora", "sdxl": "checkpoint", "flux": "diffusion_model"},
    **{"vae": "vae", "clip": "text_encoder", "llm": "llm", "gguf": "llm"},
}


@pytest.fixture(scope="module")
def collection(place: Path) -> list[tuple[str, Path]]:
    """The kind and the path of 1,000 files in the page cache."""
    folder = place / "headers"
    folder.mkdir()
    files = []
    for kind, (share, tensors, metadata) in SAFETENSORS.items():
        for number in range(share * FILES // 100):
            path = folder / f"{kind}-{number}"
            headers.write_safetensors_header(path, tensors(), metadata)
            files.append((kind, path))
    for number in range(GGUF_SHARE * FILES // 100):
        path = folder / f"gguf-{number}"
        headers.write_gguf_header(path, layers=32, tokens=64_000)
        files.append(("gguf", path))
    return files


def test_a_thousand_headers(
    benchmark: BenchmarkFixture, collection: list[tuple[str, Path]]
) -> None:
    """The bar: read and classified in 5 s."""
    assert len(collection) == FILES
    for kind, path in collection[:: FILES // 100]:
        assert inspect_file(path).findings["type"].value == EXPECTED[kind], path
    seconds = []

    def inspect_all() -> None:
        began = time.perf_counter()
        for _, path in collection:
            inspect_file(path)
        seconds.append(time.perf_counter() - began)

    benchmark.pedantic(inspect_all, rounds=ROUNDS, warmup_rounds=1)
    print(f"\n{FILES} headers: {statistics.median(seconds):.2f} s")
    assert statistics.median(seconds) <= MAX_SECONDS
