"""Files are found by their digests, each is read once, and only those of the right size."""

import os
from pathlib import Path

import pytest

from modelcellar.io import hashing
from modelcellar.io.manager import IoManager
from modelcellar.model_set import SetModel
from modelcellar.records import FileRecord
from modelcellar.seeking import lay_out, missing_files, seek
from tests.support.models import write_gguf, write_safetensors


def wanted(*paths: Path, companions: frozenset[str] = frozenset()) -> SetModel:
    """A model of these files."""
    files = []
    for path in paths:
        found = hashing.hash_file(path)
        is_companion = path.name in companions
        files.append(
            FileRecord(path.name, found.size_bytes, found.digests, is_companion=is_companion)
        )
    return SetModel("0" * 64, "a model", "llm", "gguf", tuple(files))


def look(folders: list[Path], model: SetModel, without: Path) -> dict[str, Path]:
    found = seek(folders, [model], disks=IoManager(), without=without)
    return {file.path: found[file.digests] for file in model.files if file.digests in found}


def test_found_by_the_bytes(tmp_path: Path) -> None:
    model = wanted(
        write_gguf(tmp_path / "first" / "a.gguf", seed=1),
        write_gguf(tmp_path / "first" / "b.gguf", seed=2),
    )
    pile = tmp_path / "pile"
    write_gguf(pile / "deep" / "er" / "x.bin", seed=1)
    write_gguf(pile / "y.bin", seed=3)  # of the right size only
    (pile / "nowhere").symlink_to("/nowhere")
    (pile / "loop").symlink_to(pile)
    os.mkfifo(pile / "pipe")
    assert look([pile], model, tmp_path / "no") == {"a.gguf": pile / "deep" / "er" / "x.bin"}
    found = seek([pile], [model], disks=IoManager(), without=tmp_path / "no")
    assert missing_files(model, found) == ["b.gguf"]


def test_only_files_of_the_right_size_are_read_and_each_once(tmp_path: Path) -> None:
    model = wanted(write_safetensors(tmp_path / "first" / "a.safetensors", seed=1))
    pile = tmp_path / "pile"
    path = write_safetensors(pile / "one", seed=1)
    os.link(path, pile / "two")
    write_safetensors(pile / "large", seed=2, size_bytes=1 << 20)
    totals = []
    seek(
        [pile, path],
        [model],
        disks=IoManager(),
        without=tmp_path / "no",
        progress=lambda _, total: totals.append(total),
    )
    assert set(totals) == {path.stat().st_size}


def test_the_librarys_own_folder_is_not_looked_into(tmp_path: Path) -> None:
    model = wanted(write_gguf(tmp_path / "all" / "library" / "a.gguf", seed=1))
    assert look([tmp_path / "all"], model, tmp_path / "all" / "library") == {}
    assert look([tmp_path / "all"], model, tmp_path / "other")


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    model = wanted(write_gguf(tmp_path / "a.gguf", seed=1))
    with pytest.raises(FileNotFoundError):
        look([tmp_path / "none"], model, tmp_path)


def test_laid_out_under_the_old_names(tmp_path: Path) -> None:
    weights = write_gguf(tmp_path / "pile" / "x", seed=1)
    note = write_gguf(tmp_path / "pile" / "y", seed=2)
    model = wanted(note, weights, companions=frozenset({"y"}))
    found = seek([tmp_path / "pile"], [model], disks=IoManager(), without=tmp_path / "no")
    top, first = lay_out(model, found, tmp_path / "out")
    assert (top.name, first) == ("a model", top / "x")
    assert first.read_bytes() == weights.read_bytes()
    assert (top / "y").is_symlink()
