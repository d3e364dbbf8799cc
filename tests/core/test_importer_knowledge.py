"""What an import remembers of a model: what it is, how other tools know it, and its companions."""

import hashlib
import json
import shutil
import struct
from collections.abc import Mapping
from pathlib import Path

import pytest

from modelcellar.library import ModelLibrary
from modelcellar.records import Confidence, EditChanges, ModelRecord, ModelType
from modelcellar.reports import ImportMode, ImportReport
from tests.support.imports import content, statuses
from tests.support.models import write_picture, write_safetensors
from tests.support.trees import tree

WIDTHS = {"attn1": 320, "attn2": 768}
RANK = 4
MIB = 1 << 20


def write_lora(path: Path, *, metadata: Mapping[str, str] | None = None, fill: int = 1) -> Path:
    """A kohya LoRA of SD 1.x for one attention block, its data ``fill`` throughout."""
    header: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    end = 0
    for attention, width in WIDTHS.items():
        block = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0"
        for name, shape in {
            f"{block}_{attention}_to_k.lora_down.weight": [RANK, width],
            f"{block}_{attention}_to_k.lora_up.weight": [320, RANK],
        }.items():
            size_bytes = 2 * shape[0] * shape[1]
            header[name] = {
                "dtype": "F16",
                "shape": shape,
                "data_offsets": [end, end + size_bytes],
            }
            end += size_bytes
    text = json.dumps(header).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes([fill]) * end)
    return path


def tensor_bytes(path: Path) -> bytes:
    data = path.read_bytes()
    return data[8 + struct.unpack_from("<Q", data)[0] :]


def the_model(report: ImportReport) -> ModelRecord:
    assert [result.error for result in report.results] == [None]
    [model] = report.models
    return model


class TestFindings:
    def test_are_in_the_manifest_with_evidence(
        self, library: ModelLibrary, source_folder: Path
    ) -> None:
        path = write_lora(source_folder / "a.safetensors")
        model = the_model(library.import_paths([path]))
        assert model.type is ModelType.LORA
        assert model.family == "SD 1.x"
        assert model.findings["rank"].value == RANK
        assert model.findings["type"].sure is Confidence.CERTAIN
        manifest = json.loads((library.path / "manifests" / f"{model.id}.json").read_bytes())
        fact = manifest["facts"]["type"]
        assert fact["value"] == "lora"
        assert fact["source"] == "file content"
        assert fact["sure"] == "certain"
        assert fact["evidence"]
        assert library.get(model.id).findings == model.findings

    def test_users_word_wins_and_the_guess_stays(
        self, library: ModelLibrary, source_folder: Path
    ) -> None:
        model = the_model(library.import_paths([write_lora(source_folder / "a.safetensors")]))
        edited = library.edit(model.id, EditChanges(model_type=ModelType.OTHER))
        assert edited.type is ModelType.OTHER
        assert edited.findings["type"].evidence == "user"
        library.undo()
        assert library.get(model.id).findings["type"] == model.findings["type"]

    def test_survive_a_rebuild(self, library: ModelLibrary, source_folder: Path) -> None:
        model = the_model(library.import_paths([write_lora(source_folder / "a.safetensors")]))
        library.rebuild()
        assert library.get(model.id) == model

    @pytest.mark.parametrize("query", ["lora", "sd 1.x lora", "surtr"])
    def test_are_found_by_search(
        self, library: ModelLibrary, source_folder: Path, query: str
    ) -> None:
        metadata = {
            "modelspec.title": "Surtr",
            "modelspec.architecture": "stable-diffusion-v1/lora",
        }
        path = write_lora(source_folder / "a.safetensors", metadata=metadata)
        model = the_model(library.import_paths([path]))
        write_safetensors(source_folder / "b.safetensors", seed=1)
        library.import_paths([source_folder / "b.safetensors"])
        assert [found.id for found in library.search(query).models] == [model.id]

    def test_can_be_listed_by_type(self, library: ModelLibrary, source_folder: Path) -> None:
        model = the_model(library.import_paths([write_lora(source_folder / "a.safetensors")]))
        listed = library.list_models(model_type=ModelType.LORA).models
        assert [found.id for found in listed] == [model.id]

    def test_dry_run_tells_the_same(self, library: ModelLibrary, source_folder: Path) -> None:
        path = write_lora(source_folder / "a.safetensors")
        [planned] = library.import_paths([path], dry_run=True).results
        [done] = library.import_paths([path]).results
        assert planned.findings == done.findings != {}
        assert planned.summary == done.summary


class TestHashesOfOtherTools:
    def test_tensors_are_hashed_in_the_same_read(
        self, library: ModelLibrary, source_folder: Path
    ) -> None:
        path = write_lora(source_folder / "a.safetensors")
        report = library.import_paths([path])
        [file] = the_model(report).files
        assert file.tensor_sha256 == hashlib.sha256(tensor_bytes(path)).hexdigest()
        assert report.bytes_read == path.stat().st_size
        assert file.autov1 is None

    @pytest.mark.parametrize("size_bytes", [MIB + 65536, 6 * MIB])
    def test_first_short_hash_of_a1111(
        self, library: ModelLibrary, source_folder: Path, size_bytes: int
    ) -> None:
        path = write_safetensors(source_folder / "a.safetensors", seed=1, size_bytes=size_bytes)
        [file] = the_model(library.import_paths([path])).files
        window = path.read_bytes()[MIB : MIB + 65536]
        assert file.autov1 == hashlib.sha256(window).hexdigest()[:8]
        assert file.tensor_sha256 == hashlib.sha256(tensor_bytes(path)).hexdigest()

    def test_find_the_model(self, library: ModelLibrary, source_folder: Path) -> None:
        path = write_safetensors(source_folder / "a.safetensors", seed=1, size_bytes=2 * MIB)
        model = the_model(library.import_paths([path]))
        [file] = model.files
        assert file.tensor_sha256 is not None
        assert file.autov1 is not None
        for text in (file.tensor_sha256, file.tensor_sha256[:12], file.autov1):
            assert library.get(text).id == model.id

    def test_edited_header_is_recognised(self, library: ModelLibrary, source_folder: Path) -> None:
        first = the_model(library.import_paths([write_lora(source_folder / "a.safetensors")]))
        edited = write_lora(source_folder / "b.safetensors", metadata={"note": "mine"})
        report = library.import_paths([edited])
        assert statuses(report) == {"b.safetensors": "imported"}
        [result] = report.results
        assert result.same_tensors == (first.id,)
        assert library.same_tensors(the_model(report)) == [first.id]
        other = write_lora(source_folder / "c.safetensors", fill=2)
        [result] = library.import_paths([other]).results
        assert result.same_tensors == ()

    @pytest.mark.parametrize("key", ["sshs_model_hash", "modelspec.hash_sha256"])
    @pytest.mark.parametrize("is_right", [True, False])
    def test_recorded_hash_is_checked(
        self, library: ModelLibrary, source_folder: Path, key: str, is_right: bool
    ) -> None:
        path = write_lora(source_folder / "a.safetensors")
        recorded = hashlib.sha256(tensor_bytes(path) + (b"" if is_right else b"x")).hexdigest()
        if key == "modelspec.hash_sha256":
            recorded = f"0x{recorded}"
        write_lora(path, metadata={key: recorded})
        model = the_model(library.import_paths([path]))
        finding = model.findings["header_hash"]
        assert finding.value == ("matches" if is_right else "differs")
        assert recorded.removeprefix("0x")[:12] in finding.evidence

    def test_manifest_of_before_has_none(self, library: ModelLibrary, source_folder: Path) -> None:
        model = the_model(library.import_paths([write_lora(source_folder / "a.safetensors")]))
        path = library.path / "manifests" / f"{model.id}.json"
        document = json.loads(path.read_bytes())
        document["files"][0].pop("tensor_sha256")
        path.unlink()
        path.write_text(json.dumps(document))
        assert library.get(model.id).files[0].tensor_sha256 is None


def write_with_companions(folder: Path) -> Path:
    path = write_lora(folder / "a.safetensors")
    write_picture(folder / "a.preview.png")
    (folder / "a.civitai.info").write_text('{"modelId": 1}')
    return path


class TestCompanions:
    def test_come_along_and_do_not_count(self, library: ModelLibrary, source_folder: Path) -> None:
        path = write_with_companions(source_folder)
        model = the_model(library.import_paths([path]))
        companions = {file.path for file in model.files if file.is_companion}
        assert companions == {"a.preview.png", "a.civitai.info"}
        assert set(content(library, model.id)) == {
            *(b"a.preview.png", b"a.civitai.info", b"a.safetensors")
        }
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        assert model.id.endswith(digest[:8])

    def test_same_weights_without_them_are_a_duplicate(
        self, library: ModelLibrary, source_folder: Path
    ) -> None:
        model = the_model(library.import_paths([write_with_companions(source_folder)]))
        alone = source_folder / "sub" / "b.safetensors"
        alone.parent.mkdir()
        shutil.copy(source_folder / "a.safetensors", alone)
        for mode in (ImportMode.COPY, ImportMode.MOVE):
            report = library.import_paths([alone], mode=mode)
            assert statuses(report) == {"b.safetensors": "duplicate"}
            assert report.results[0].model_id == model.id
            assert report.bytes_written == 0
        assert alone.exists()

    def test_of_a_duplicate_are_not_deleted_by_move(
        self, library: ModelLibrary, source_folder: Path
    ) -> None:
        path = write_with_companions(source_folder)
        alone = source_folder / "sub" / "b.safetensors"
        alone.parent.mkdir()
        shutil.copy(path, alone)
        library.import_paths([alone])
        before = tree(source_folder)
        report = library.import_paths([path], mode=ImportMode.MOVE)
        assert statuses(report) == {"a.safetensors": "duplicate"}
        assert tree(source_folder) == before

    def test_move_takes_all_and_undo_leaves_all(
        self, library: ModelLibrary, source_folder: Path
    ) -> None:
        path = write_with_companions(source_folder)
        before = tree(source_folder)
        model = the_model(library.import_paths([path], mode=ImportMode.MOVE))
        assert not [entry for entry in source_folder.rglob("*") if entry.is_file()]
        assert content(library, model.id) == {
            name: data for name, (kind, _, data) in before.items() if kind == "file"
        }

    @pytest.mark.parametrize("lost", ["a.safetensors", "a.civitai.info"])
    def test_import_of_the_weights_alone_mends(
        self, library: ModelLibrary, source_folder: Path, lost: str
    ) -> None:
        model = the_model(library.import_paths([write_with_companions(source_folder)]))
        folder = library.path / "models" / model.id
        folder.chmod(0o755)
        (folder / lost).unlink()
        other = source_folder / "sub" / "renamed.safetensors"
        other.parent.mkdir()
        shutil.copy(source_folder / "a.safetensors", other)
        assert statuses(library.import_paths([other])) == {"renamed.safetensors": "imported"}
        mended = library.get(model.id)
        names = {file.path for file in mended.files}
        # What is lost and did not come back is no longer promised; all else is kept.
        gone = {lost} - {"a.safetensors"}
        assert names == {"a.safetensors", "a.preview.png", "a.civitai.info"} - gone
        assert library.verify([model.id]).ok == 1
        assert set(content(library, model.id)) == {name.encode() for name in names}

    def test_damaged_companion_is_not_kept(
        self, library: ModelLibrary, source_folder: Path
    ) -> None:
        path = write_with_companions(source_folder)
        model = the_model(library.import_paths([path]))
        damaged = library.path / "models" / model.id / "a.civitai.info"
        damaged.chmod(0o644)
        damaged.write_text('{"modelId": 2}')
        assert library.verify([model.id]).ok == 0
        (source_folder / "a.civitai.info").unlink()
        assert statuses(library.import_paths([path])) == {"a.safetensors": "imported"}
        assert library.verify([model.id]).ok == 1
        assert {file.path for file in library.get(model.id).files} == {
            *("a.safetensors", "a.preview.png")
        }


class TestRecordsOfOtherTools:
    """Where nobody is asked, what they say is kept as a claim; the bytes are believed first."""

    def imported(self, library: ModelLibrary, folder: Path, sha256: str | None) -> ModelRecord:
        path = write_safetensors(folder / "thing.safetensors", seed=5)
        record: dict[str, object] = {"id": 1, "modelId": 2, "model": {"name": "Thing"}}
        if sha256 is not None:
            record["files"] = [{"name": path.name, "hashes": {"SHA256": sha256.upper()}}]
        path.with_suffix(".civitai.info").write_text(json.dumps(record))
        (model,) = library.import_paths([path], lookup=False).models
        return model

    def test_a_claim_is_kept(self, library: ModelLibrary, source_folder: Path) -> None:
        model = self.imported(library, source_folder, None)
        assert (model.identity.status, model.identity.provider) == ("claimed", "civitai")
        assert [one.id for one in library.search("source:civitai").models] == [model.id]

    def test_a_record_of_another_file_is_none(
        self, library: ModelLibrary, source_folder: Path
    ) -> None:
        assert self.imported(library, source_folder, "0" * 64).identity.status == "unknown"
