"""What tells that two models are the same."""

import hashlib
import os
import subprocess
from pathlib import Path

import pytest

from modelcellar.content import content_digest
from modelcellar.library import ModelLibrary
from modelcellar.records import Digests, FileFormat, FileRecord
from tests.support.models import write_diffusers_folder, write_gguf, write_safetensors


def record(path: str, digit: str = "a") -> FileRecord:
    return FileRecord(path, 1, Digests(blake3="0" * 64, sha256=digit * 64))


def test_one_file_counts_by_its_bytes_only() -> None:
    assert content_digest([record("a")]) == content_digest([record("b/c")]) == "a" * 64


def test_names_and_bytes_count_in_a_folder() -> None:
    sets = [
        [record("a", "1"), record("b", "2")],
        [record("a", "2"), record("b", "1")],
        [record("a", "1"), record("c", "2")],
        [record("a", "1"), record("b", "2"), record("c", "2")],
    ]
    assert len({content_digest(files) for files in sets}) == 4


def test_as_sha256sum_prints_it(library: ModelLibrary, source_folder: Path) -> None:
    folder = write_diffusers_folder(source_folder / "pipe", seed=1)
    [model] = library.import_paths([folder]).models
    try:
        printed = subprocess.run(
            ["sha256sum", "--", *(os.fsencode(file.path) for file in model.files)],
            cwd=folder,
            env={"LC_ALL": "C", "PATH": os.environ["PATH"]},
            capture_output=True,
            check=True,
        ).stdout
    except FileNotFoundError:
        pytest.skip("there is no sha256sum")
    assert model.id.endswith(hashlib.sha256(printed).hexdigest()[:8])


def test_digests_are_those_of_the_bytes(library: ModelLibrary, source_folder: Path) -> None:
    path = write_gguf(source_folder / "a.gguf", seed=1, size_bytes=1 << 20)
    [model] = library.import_paths([path]).models
    assert model.files[0].digests.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert model.files[0].size_bytes == path.stat().st_size == model.size_bytes


def test_text_that_is_a_pickle_counts_for_the_folder(
    library: ModelLibrary, source_folder: Path
) -> None:
    write_safetensors(source_folder / "model.safetensors", seed=3, size_bytes=64)
    (source_folder / "config.json").write_text('{"model_type": "llama"}')
    (source_folder / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'echo owned'\ntR.")
    [model] = library.import_paths([source_folder]).models
    assert model.security.verdict == "dangerous_imports"
    assert model.security.details == ("pytorch_model.bin: imports os.system",)


def test_biggest_known_file_stands_for_the_model(
    library: ModelLibrary, source_folder: Path
) -> None:
    write_gguf(source_folder / "small.gguf", seed=1, size_bytes=64)
    write_safetensors(source_folder / "big.safetensors", seed=2, size_bytes=8192)
    (source_folder / "bigger.txt").write_text("words\n" * 9999)
    [model] = library.import_paths([source_folder], as_one=True).models
    assert model.format is FileFormat.SAFETENSORS
    assert model.summary.startswith("3 files; ")
    assert model.security.verdict == "no_pickle"
