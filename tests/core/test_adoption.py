"""Collections taken in where they lie: nothing of them changes, and nothing is read but headers."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from modelcellar.config import Settings
from modelcellar.library import ModelLibrary
from modelcellar.link_records import LinkKind
from modelcellar.records import EditChanges, ModelType
from modelcellar.reports import AdoptReport, ImportStatus
from tests.support.filesystems import JOURNALLING, MIB, Mounts
from tests.support.installations import LORAS, write_comfyui
from tests.support.models import (
    write_hub_cache,
    write_picture,
    write_safetensors,
    write_transformers_folder,
)
from tests.support.trees import tree

GIB = 1 << 30
CLONES = {"ext4": LinkKind.HARDLINK, "xfs": LinkKind.REFLINK, "btrfs": LinkKind.REFLINK}


@pytest.fixture
def on_disk(mounts: Mounts) -> Iterator[Callable[[str], ModelLibrary]]:
    """Makes a library on a new file system of some kind."""
    opened: list[ModelLibrary] = []

    def make(kind: str) -> ModelLibrary:
        root = mounts.make(kind).path / "library"
        settings = Settings(library=root, min_free_bytes=0, lock_timeout_s=5.0)
        opened.append(ModelLibrary.create(root, settings=settings))
        return opened[-1]

    yield make
    for library in opened:
        library.close()


def collection(folder: Path) -> Path:
    """A LoRA with a preview and permissions of its own, a folder model, and notes."""
    lora = write_safetensors(folder / "loras" / "lora.safetensors", seed=1)
    lora.chmod(0o640)
    write_picture(folder / "loras" / "lora.png")
    write_transformers_folder(folder / "text", seed=2)
    (folder / "notes.txt").write_text("not a model\n")
    return folder


def states(report: AdoptReport) -> dict[str, str]:
    return {Path(one.source).name: one.status.value for one in report.results}


def library_file(library: ModelLibrary, name: str) -> Path:
    model = library.get(name)
    return library.file_path(model, model.files[0])


@pytest.mark.parametrize("kind", JOURNALLING)
def test_a_collection_comes_in_and_goes_out_and_is_what_it_was(
    kind: str, on_disk: Callable[[str], ModelLibrary]
) -> None:
    library = on_disk(kind)
    folder = collection(library.path.parent / "collection")
    before = tree(folder)
    report = library.adopt([folder])
    assert states(report) == {"lora.safetensors": "imported", "text": "imported"}
    assert {one.link for one in report.results} == {CLONES[kind]}
    assert tree(folder) == before
    for model in report.models:
        assert not model.is_read
        assert all(library.file_path(model, file).is_file() for file in model.files)
    assert states(library.adopt([folder])) == {"lora.safetensors": "duplicate", "text": "duplicate"}
    library.undo()
    assert library.list_models().total == 0
    assert tree(folder) == before
    if kind == "ext4":
        assert list((library.path / "trash").iterdir()) == []
        assert (folder / "loras" / "lora.safetensors").stat().st_nlink == 1


@pytest.mark.parametrize("kind", JOURNALLING)
def test_what_was_adopted_in_an_application_is_there_already(
    kind: str, on_disk: Callable[[str], ModelLibrary]
) -> None:
    library = on_disk(kind)
    comfyui = write_comfyui(library.path.parent / "ComfyUI")
    for seed, name in enumerate(("one", "two")):
        write_safetensors(comfyui / LORAS / f"{name}.safetensors", seed=seed, size_bytes=MIB)
    before = tree(comfyui)
    for model in library.adopt([comfyui]).models:
        library.edit(model.id, EditChanges(model_type=ModelType.LORA))
    library.applications.add("comfyui", comfyui)
    report = library.sync()
    assert [one.action.value for one in report.actions] == ["keep", "keep"]
    library.applications.remove("comfyui")
    assert tree(comfyui) == before


@pytest.mark.parametrize("kind", JOURNALLING)
def test_no_space_is_taken_and_the_digests_are_made_later(
    kind: str, on_disk: Callable[[str], ModelLibrary]
) -> None:
    library = on_disk(kind)
    path = write_safetensors(library.path.parent / "big.safetensors", seed=3, size_bytes=40 * MIB)
    os.sync()
    free = shutil.disk_usage(library.path).free
    (model,) = library.adopt([path]).models
    os.sync()
    assert free - shutil.disk_usage(library.path).free < 4 * MIB
    assert library.verify(unread=True).first_read == (model.id,)
    digests = library.get(model.id).files[0].digests
    assert digests is not None
    assert digests.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_hard_link_keeps_the_permissions_that_it_has(
    library: ModelLibrary, source_folder: Path
) -> None:
    path = write_safetensors(source_folder / "a.safetensors", seed=1)
    path.chmod(0o664)
    library.adopt([path], link=LinkKind.HARDLINK)
    ours = library_file(library, "a")
    assert ours.samefile(path)
    library.remove("a")
    library.undo()
    assert path.stat().st_mode & 0o777 == 0o664
    assert ours.parent.stat().st_mode & 0o777 == 0o555


def test_notes_that_a_program_rewrites_damage_no_model(
    library: ModelLibrary, source_folder: Path
) -> None:
    """As extensions of A1111 do, in place, with the notes beside a LoRA."""
    path = write_safetensors(source_folder / "a.safetensors", seed=1)
    note = source_folder / "a.json"
    note.write_text('{"a": 1}')
    (model,) = library.adopt([source_folder], link=LinkKind.HARDLINK).models
    assert [file.path for file in model.files] == ["a.json", "a.safetensors"]
    assert path.stat().st_nlink == 2
    note.write_text('{"a": "another note"}')
    assert library.verify(unread=True).first_read == (model.id,)
    assert library.verify().ok == 1
    # The old note is all that is there of it.
    entry = library.undo()
    kept = library.path / "trash" / entry.id / model.id / "a.json"
    assert kept.read_text() == '{"a": 1}'
    assert note.read_text() == '{"a": "another note"}'


def test_a_model_whose_original_is_gone_goes_to_the_trash(
    library: ModelLibrary, source_folder: Path
) -> None:
    path = write_safetensors(source_folder / "a.safetensors", seed=1)
    data = path.read_bytes()
    (model,) = library.adopt([path], link=LinkKind.HARDLINK).models
    path.unlink()
    entry = library.undo()
    assert (library.path / "trash" / entry.id / model.id / "a.safetensors").read_bytes() == data


def test_a_model_whose_original_was_replaced_goes_to_the_trash(
    library: ModelLibrary, source_folder: Path
) -> None:
    path = write_safetensors(source_folder / "a.safetensors", seed=1)
    data = path.read_bytes()
    os.link(path, source_folder / "other-name")
    (model,) = library.adopt([path], link=LinkKind.HARDLINK).models
    path.unlink()
    write_safetensors(path, seed=2)
    entry = library.undo()
    assert (library.path / "trash" / entry.id / model.id / "a.safetensors").read_bytes() == data


def test_only_headers_are_read(library: ModelLibrary, source_folder: Path) -> None:
    for number in range(20):
        path = write_safetensors(source_folder / f"{number}.safetensors", seed=number)
        sparse_model(path, number)
    before = read_bytes()
    report = library.adopt([source_folder])
    assert len(report.models) == 20
    assert sum(model.size_bytes for model in report.models) > 20 * 40 * GIB
    assert read_bytes() - before < 20 * 256 * 1024


def sparse_model(path: Path, number: int) -> None:
    """40 GiB of weights that take no space; nobody reads them in a test's time."""
    size_bytes = 40 * GIB + 4 * number
    tensor = {"dtype": "F32", "shape": [size_bytes // 4], "data_offsets": [0, size_bytes]}
    header = json.dumps({"weight": tensor}).encode()
    header += b" " * (-len(header) % 8)
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    os.truncate(path, 8 + len(header) + size_bytes)
    with path.open("r+b") as file:
        file.seek(-4096, os.SEEK_END)
        file.write(bytes(range(256)) * 16)  # all zero would be refused


def read_bytes() -> int:
    """Bytes that this process has asked files for."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(lines[0].removeprefix("rchar: "))


def test_what_other_tools_say_is_a_claim(library: ModelLibrary, source_folder: Path) -> None:
    path = write_safetensors(source_folder / "blobs" / "x", seed=1)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    snapshot = write_hub_cache(source_folder / "hub", "org/name", seed=1)
    blob = (snapshot / "model.safetensors").resolve()
    named = blob.rename(blob.with_name(digest))
    (snapshot / "model.safetensors").unlink()
    (snapshot / "model.safetensors").symlink_to(os.path.relpath(named, snapshot))
    report = library.adopt([source_folder / "hub"])
    (model,) = report.models
    weights = next(file for file in model.files if file.path == "model.safetensors")
    assert (weights.claimed_sha256, weights.digests) == (digest, None)
    assert (model.identity.status, model.identity.repo_id) == ("claimed", "org/name")
    assert report.results[0].claims == 1
    assert library.verify().false_claims == ()
    assert library.get(model.id).is_read


def test_files_with_one_inode_are_one_model(library: ModelLibrary, source_folder: Path) -> None:
    path = write_safetensors(source_folder / "a.safetensors", seed=1)
    os.link(path, source_folder / "b.safetensors")
    (source_folder / "c.safetensors").symlink_to("a.safetensors")
    dry = library.adopt([source_folder], dry_run=True)
    report = library.adopt([source_folder])
    wanted = {
        "a.safetensors": "imported",
        "b.safetensors": "duplicate",
        "c.safetensors": "duplicate",
    }
    assert states(dry) == states(report) == wanted
    assert {one.model_id for one in report.results} == {report.models[0].id}


def test_equal_files_that_are_two_stay_two_until_they_are_read(
    library: ModelLibrary, source_folder: Path
) -> None:
    path = write_safetensors(source_folder / "a.safetensors", seed=1, size_bytes=1 << 16)
    shutil.copy(path, source_folder / "b.safetensors")
    assert len(library.adopt([source_folder], link=LinkKind.HARDLINK).models) == 2
    assert len(library.verify().twins) == 1


@pytest.mark.parametrize("kind", ["ext4", "btrfs"])
def test_another_disk_is_refused_with_the_next_step(
    kind: str, library: ModelLibrary, mounts: Mounts
) -> None:
    path = write_safetensors(mounts.make(kind).path / "a.safetensors", seed=1)
    for dry_run in (True, False):
        (result,) = library.adopt([path], dry_run=dry_run).results
        assert result.error is not None
        assert (result.status, result.error.code) == (ImportStatus.REFUSED, "other_disk")
        assert "cellar import" in result.error.hint
        assert "cellar init" in result.error.hint
    assert library.list_models().total == 0


def test_clones_only_are_refused_where_there_are_none(
    on_disk: Callable[[str], ModelLibrary],
) -> None:
    library = on_disk("ext4")
    path = write_safetensors(library.path.parent / "a.safetensors", seed=1)
    (result,) = library.adopt([path], link=LinkKind.REFLINK).results
    assert result.error is not None
    assert result.error.code == "no_clones"


def test_a_dry_run_changes_nothing(library: ModelLibrary, source_folder: Path) -> None:
    collection(source_folder)
    library.list_models()
    before = tree(library.path, without=frozenset({"catalog"})), tree(source_folder)
    report = library.adopt([source_folder], dry_run=True)
    assert states(report) == {"lora.safetensors": "imported", "text": "imported"}
    assert report.models == ()
    assert (tree(library.path, without=frozenset({"catalog"})), tree(source_folder)) == before


def test_a_file_that_is_linked_from_the_library_is_there_already(
    library: ModelLibrary, source_folder: Path, tmp_path: Path
) -> None:
    write_safetensors(source_folder / "a.safetensors", seed=1)
    (model,) = library.import_paths([source_folder]).models
    app = tmp_path / "app"
    app.mkdir()
    os.link(library.file_path(model, model.files[0]), app / "renamed.safetensors")
    (result,) = library.adopt([app]).results
    assert (result.status, result.model_id) == (ImportStatus.DUPLICATE, model.id)


def test_the_library_itself_is_refused(library: ModelLibrary) -> None:
    (result,) = library.adopt([library.path / "models"]).results
    assert result.error is not None
    assert result.error.code == "inside_library"


def test_a_sidecar_of_another_tool_is_a_claim(library: ModelLibrary, source_folder: Path) -> None:
    path = write_safetensors(source_folder / "a.safetensors", seed=1)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    sidecar = {
        "id": 1,
        "modelId": 2,
        "files": [{"name": "a.safetensors", "hashes": {"SHA256": digest.upper()}}],
    }
    path.with_suffix(".civitai.info").write_text(json.dumps(sidecar))
    (model,) = library.adopt([source_folder]).models
    assert (model.identity.status, model.identity.provider) == ("claimed", "civitai")
    assert [file.claimed_sha256 for file in model.files if not file.is_companion] == [digest]


def test_no_clones_where_the_settings_want_none(mounts: Mounts) -> None:
    place = mounts.make("btrfs").path
    settings = Settings(library=place / "library", min_free_bytes=0, reflink="never")
    path = write_safetensors(place / "a.safetensors", seed=1)
    with ModelLibrary.create(settings.library, settings=settings) as library:
        (result,) = library.adopt([path]).results
        assert result.link is LinkKind.HARDLINK


def test_results_come_as_found(library: ModelLibrary, source_folder: Path) -> None:
    for name in ("a", "c"):
        write_safetensors(source_folder / f"{name}.safetensors", seed=ord(name))
    os.link(source_folder / "a.safetensors", source_folder / "b.safetensors")
    library.adopt([source_folder / "c.safetensors"])
    report = library.adopt([source_folder])
    assert list(states(report).values()) == ["imported", "duplicate", "duplicate"]
