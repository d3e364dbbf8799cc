"""What in the given paths becomes a model, without a library."""

import os
import shutil
import sys
from pathlib import Path

import pytest

from modelcellar.sources import NotTaken, Source, find_sources
from tests.support.models import (
    write_gguf,
    write_hub_cache,
    write_safetensors,
    write_transformers_folder,
)


def names(*paths: Path, as_one: bool = False) -> list[str]:
    """What is found, in order: names of sources, and kinds of what is not taken."""
    found = find_sources(paths, as_one=as_one)
    return [
        item.name if isinstance(item, Source) else f"{item.kind}: {item.path.name}"
        for item in found
    ]


def test_order_is_stable_and_depth_first(source_folder: Path) -> None:
    for seed, name in enumerate(("b/2.gguf", "a/3.gguf", "c.gguf", "a/1.gguf", "B/0.gguf")):
        write_gguf(source_folder / name, seed=seed)
    assert names(source_folder) == ["0", "1", "3", "2", "c"]


def test_each_folder_is_walked_once(source_folder: Path) -> None:
    write_gguf(source_folder / "a" / "1.gguf", seed=1)
    (source_folder / "b").symlink_to("a")
    assert names(source_folder, source_folder / "a", source_folder) == ["1"]


def test_other_weights_below_a_model_folder_are_models(source_folder: Path) -> None:
    folder = write_transformers_folder(source_folder / "llm", seed=1)
    write_gguf(folder / "gguf" / "q4.gguf", seed=2)
    assert names(source_folder) == ["llm", "q4"]


def test_adapter_folder_is_one_model(source_folder: Path) -> None:
    folder = write_transformers_folder(source_folder / "lora", seed=1)
    (folder / "config.json").rename(folder / "adapter_config.json")
    assert names(source_folder) == ["lora"]


def test_name_of_a_shared_folder_is_not_a_marker(source_folder: Path) -> None:
    folder = write_transformers_folder(source_folder / "llm", seed=1)
    (folder / "config.json").rename(folder / "Config.json.txt")
    assert [name for name in names(source_folder) if not name.startswith("skipped")] == [
        "model",
    ]


def test_two_revisions_in_a_hub_cache_are_two_sources(source_folder: Path) -> None:
    snapshot = write_hub_cache(source_folder, "org/name", seed=1)
    other = snapshot.parent / ("f" * 40)
    shutil.copytree(snapshot, other, symlinks=True)
    (other / "README.md").write_text("It is another one.")
    assert names(source_folder) == ["name", "name"]


def test_a_revision_with_the_same_files_is_told_of(source_folder: Path) -> None:
    snapshot = write_hub_cache(source_folder, "org/name", seed=1)
    for other in ("0" * 40, "f" * 40):
        shutil.copytree(snapshot, snapshot.parent / other, symlinks=True)
    # That of refs/main is the one that is taken.
    [source, *others] = find_sources([source_folder])
    assert isinstance(source, Source)
    assert source.path == snapshot
    assert [one.error.code for one in others if isinstance(one, NotTaken)] == ["same_files"] * 2


@pytest.mark.parametrize("folder", ["shared", "models--mine"])
def test_file_beside_blobs_and_snapshots_is_found(source_folder: Path, folder: str) -> None:
    for name in ("blobs", "snapshots"):
        (source_folder / folder / name).mkdir(parents=True)
    write_gguf(source_folder / folder / "mine.gguf", seed=1)
    assert names(source_folder) == ["mine"]


def test_folders_called_blobs_and_snapshots_make_no_cache(source_folder: Path) -> None:
    write_gguf(source_folder / "blobs" / "a.gguf", seed=1)
    write_gguf(source_folder / "snapshots" / "b.gguf", seed=2)
    assert names(source_folder) == ["a", "b"]


def test_hub_cache_under_another_name(source_folder: Path) -> None:
    snapshot = write_hub_cache(source_folder, "org/name", seed=1)
    snapshot.parents[1].rename(source_folder / "copy")
    assert len(names(source_folder)) == 1


def test_stamp_changes_with_everything_that_matters(source_folder: Path) -> None:
    path = write_gguf(source_folder / "a.gguf", seed=1)

    def look() -> object:
        [source] = find_sources([path])
        assert isinstance(source, Source)
        return source.files[0].stamp

    seen = [look()]
    status = path.stat()
    os.utime(path, ns=(1, 1))
    seen.append(look())
    path.chmod(0o600)
    seen.append(look())
    other = path.with_name("b")
    shutil.copyfile(path, other)
    other.replace(path)
    seen.append(look())
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    seen.append(look())
    assert len(set(seen)) == len(seen)


@pytest.mark.parametrize("name", [".DS_Store", "._a.gguf", "Thumbs.db", ".gitattributes"])
def test_litter_is_not_even_counted(source_folder: Path, name: str) -> None:
    write_gguf(source_folder / name, seed=1)
    assert names(source_folder) == []


@pytest.mark.parametrize("ending", [".part", ".incomplete", ".crdownload", ".aria2", ".tmp"])
def test_unfinished_downloads_are_skipped(source_folder: Path, ending: str) -> None:
    write_gguf(source_folder / f"a.gguf{ending}", seed=1)
    assert names(source_folder) == [f"skipped: a.gguf{ending}"]


def test_reasons_are_for_people(source_folder: Path) -> None:
    (source_folder / "notes.txt").write_text("words\n")
    [item] = find_sources([source_folder])
    assert isinstance(item, NotTaken)
    assert item.error.message == "not a model (text)"


def test_depth_is_no_limit(source_folder: Path) -> None:
    deep = source_folder
    for _ in range(40):
        deep /= "d"
    write_gguf(deep / "bottom.gguf", seed=1)
    limit = sys.getrecursionlimit()
    try:
        sys.setrecursionlimit(_depth() + 60)
        assert names(source_folder) == ["bottom"]
    finally:
        sys.setrecursionlimit(limit)


def test_config_of_another_program_makes_no_model(source_folder: Path) -> None:
    write_gguf(source_folder / "a.gguf", seed=1)
    write_safetensors(source_folder / "b.safetensors", seed=2)
    (source_folder / "diary.txt").write_text("dear diary")
    (source_folder / "config.json").write_text('{"sd_model_checkpoint": "b.safetensors"}')
    assert names(source_folder) == ["a", "b", "skipped: config.json", "skipped: diary.txt"]


def test_a_pipe_called_config_is_not_waited_for(source_folder: Path) -> None:
    write_gguf(source_folder / "a.gguf", seed=1)
    os.mkfifo(source_folder / "config.json")
    assert names(source_folder) == ["a", "skipped: config.json"]


def _depth() -> int:
    frame, depth = sys._getframe(), 0
    while frame.f_back is not None:
        frame, depth = frame.f_back, depth + 1
    return depth
