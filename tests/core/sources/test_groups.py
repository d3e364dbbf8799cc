"""Files of one folder that are parts of one model, and files that only look like it."""

import json
import os
import shutil
import struct
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelcellar.sources import NotTaken, Source, find_sources
from tests.core.formats.builders import gguf_file, gguf_pair, gguf_tensor, gguf_text_pair
from tests.support.models import (
    write_diffusers_folder,
    write_gguf,
    write_lfs_pointer,
    write_picture,
    write_safetensors,
    write_transformers_folder,
)
from tests.support.sources import found, refusal


def write_shards(folder: Path, stem: str, numbers: Sequence[int], total: int, ending: str) -> None:
    for number in numbers:
        path = folder / f"{stem}-{number:05}-of-{total:05}{ending}"
        if ending == ".gguf":
            write_gguf(path, seed=number)
        else:
            write_safetensors(path, seed=number)


def write_index(path: Path, names: Sequence[str]) -> None:
    tensors = {f"tensor {number}": name for number, name in enumerate(names)}
    path.write_text(json.dumps({"metadata": {}, "weight_map": tensors}))


class TestShards:
    @pytest.mark.parametrize("ending", [".gguf", ".safetensors"])
    def test_are_one_model(self, source_folder: Path, ending: str) -> None:
        write_shards(source_folder, "big", [1, 2, 3], 3, ending)
        assert found(source_folder) == {
            "big": [f"big-{number:05}-of-00003{ending}" for number in (1, 2, 3)]
        }

    def test_of_thousands_none_is_compared_with_each_other(self, source_folder: Path) -> None:
        """Four times as many take four times as long; compared in pairs it would be sixteen."""
        seconds = []
        for count in (250, 1000):
            folder = source_folder / str(count)
            folder.mkdir()
            write_shards(folder, "big", range(1, count + 1), count, ".safetensors")
            best = float("inf")
            for _ in range(3):
                began = time.process_time()
                assert len(found(folder)) == 1
                best = min(best, time.process_time() - began)
            seconds.append(best)
        assert seconds[1] < 8 * seconds[0]

    def test_with_their_index(self, source_folder: Path) -> None:
        write_shards(source_folder, "model", [1, 2], 2, ".safetensors")
        names = [f"model-{number:05}-of-00002.safetensors" for number in (1, 2)]
        write_index(source_folder / "model.safetensors.index.json", names)
        assert found(source_folder) == {"model": [*names, "model.safetensors.index.json"]}

    def test_naming_one_takes_all(self, source_folder: Path) -> None:
        write_shards(source_folder, "big", [1, 2, 3], 3, ".gguf")
        second = source_folder / "big-00002-of-00003.gguf"
        assert [len(files) for files in found(second).values()] == [3]
        all_of_them = sorted(source_folder.iterdir())
        assert [len(files) for files in found(*all_of_them).values()] == [3]

    @pytest.mark.parametrize(
        ("present", "missing"), [([1, 3], "00002"), ([2, 3], "00001"), ([1], "2-of")]
    )
    def test_gap_is_said(self, source_folder: Path, present: list[int], missing: str) -> None:
        write_shards(source_folder, "big", present, 3, ".gguf")
        [item] = find_sources([source_folder])
        assert isinstance(item, NotTaken)
        assert (item.kind, item.error.code) == ("refused", "incomplete")
        assert f"{len(present)} of 3 parts" in item.error.message
        assert missing in item.error.message

    def test_index_that_lists_more_is_believed(self, source_folder: Path) -> None:
        write_shards(source_folder, "model", [1, 2], 2, ".safetensors")
        more = "model-00001-of-00002.safetensors", "model-00003-of-00003.safetensors"
        write_index(source_folder / "model.safetensors.index.json", more)
        [item] = find_sources([source_folder])
        assert isinstance(item, NotTaken)
        assert "model-00003-of-00003" in item.error.message

    @pytest.mark.parametrize("total", [10_002, 99_999])
    def test_number_of_very_many_parts(self, source_folder: Path, total: int) -> None:
        write_shards(source_folder, "x", [1], total, ".gguf")
        for path in (source_folder, source_folder / f"x-00001-of-{total}.gguf"):
            message = refusal(path).error.message
            assert f"1 of {total:,} parts" in message
            assert f"and {total - 6:,} more" in message

    @pytest.mark.parametrize(
        "text", ["", "[]", "{}", '{"weight_map": 3}', '{"weight_map": {"a": 1}}', "[" * 9999]
    )
    def test_broken_index_is_only_a_file(self, source_folder: Path, text: str) -> None:
        write_shards(source_folder, "model", [1, 2], 2, ".safetensors")
        (source_folder / "model.safetensors.index.json").write_text(text)
        assert found(source_folder)["model"][2:] == ["model.safetensors.index.json"]

    @pytest.mark.parametrize(
        "names",
        [
            ("epoch_00001.safetensors", "epoch_00002.safetensors"),
            ("lora-000010.safetensors", "lora-000020.safetensors"),
            ("model-v1.gguf", "model-v2.gguf"),
            ("a-1-of-2.gguf", "a-2-of-2.gguf"),
            ("a-00000-of-00002.gguf", "a-00003-of-00002.gguf"),
        ],
    )
    def test_numbers_alone_make_no_parts(self, source_folder: Path, names: tuple[str, str]) -> None:
        for seed, name in enumerate(names):
            write = write_gguf if name.endswith("gguf") else write_safetensors
            write(source_folder / name, seed=seed)
        assert found(source_folder) == {Path(name).stem: [name] for name in names}

    def test_two_sets_are_two_models(self, source_folder: Path) -> None:
        write_shards(source_folder, "a", [1, 2], 2, ".gguf")
        write_shards(source_folder, "b", [1, 2], 2, ".gguf")
        write_shards(source_folder, "a", [1, 2], 2, ".safetensors")
        with pytest.raises(AssertionError):
            found(source_folder)  # Two of one name ...
        sources = [item for item in find_sources([source_folder]) if isinstance(item, Source)]
        assert [len(source.files) for source in sources] == [2, 2, 2]  # ... and three models.

    def test_a_part_that_was_cut_off_refuses_the_set(self, source_folder: Path) -> None:
        write_shards(source_folder, "big", [1, 2], 2, ".gguf")
        path = source_folder / "big-00002-of-00002.gguf"
        path.write_bytes(path.read_bytes()[:-100])
        [item] = find_sources([source_folder])
        assert isinstance(item, NotTaken)
        assert item.error.code == "truncated"
        assert "big-00002-of-00002" in item.error.message


class TestCompanions:
    @pytest.mark.parametrize(
        "name",
        [
            *("m.png", "m.preview.png", "m.civitai.info", "m.metadata.json", "m.json", "m.yaml"),
            *("m.txt", "m.safetensors.sha256", "m.preview.mp4", "m.PNG", "m.swarm.json"),
        ],
    )
    def test_go_with_the_weights(self, source_folder: Path, name: str) -> None:
        write_safetensors(source_folder / "m.safetensors", seed=1)
        (source_folder / name).write_bytes(b"plain words\n")
        assert found(source_folder) == {"m": ["m.safetensors", f"[{name}]"]}
        assert found(source_folder / "m.safetensors") == {"m": ["m.safetensors", f"[{name}]"]}

    @pytest.mark.parametrize(
        "name", ["n.png", "m2.png", "notes.txt", "M.png", "m.html", "m.zip.part"]
    )
    def test_of_no_model_are_left_alone(self, source_folder: Path, name: str) -> None:
        write_safetensors(source_folder / "m.safetensors", seed=1)
        (source_folder / name).write_bytes(b"plain words\n")
        shown = found(source_folder)
        assert shown.pop("m") == ["m.safetensors"]
        assert list(shown.values()) == [[name]]

    def test_belong_to_the_longest_stem(self, source_folder: Path) -> None:
        for seed, name in enumerate(("foo", "foo.bar")):
            write_safetensors(source_folder / f"{name}.safetensors", seed=seed)
            (source_folder / f"{name}.json").write_text("{}")
        assert found(source_folder) == {
            "foo": ["foo.safetensors", "[foo.json]"],
            "foo.bar": ["foo.bar.safetensors", "[foo.bar.json]"],
        }

    @pytest.mark.parametrize(
        "name", ["big.png", "big.yaml", "big.civitai.info", "big.metadata.json", "big.gguf.sha256"]
    )
    def test_go_with_a_split_model(self, source_folder: Path, name: str) -> None:
        write_shards(source_folder, "big", [1, 2], 2, ".gguf")
        (source_folder / name).write_text("plain words")
        [files] = found(source_folder).values()
        assert files[2:] == [f"[{name}]"]
        assert found(source_folder / "big-00002-of-00002.gguf") == {"big": files}

    def test_of_a_split_model_and_a_single_one_go_to_one(self, source_folder: Path) -> None:
        write_shards(source_folder, "big", [1, 2], 2, ".safetensors")
        write_safetensors(source_folder / "big.safetensors", seed=9)
        write_picture(source_folder / "big.png")
        sources = [item for item in find_sources([source_folder]) if isinstance(item, Source)]
        assert [[f.relative for f in source.files if f.is_companion] for source in sources] == [
            [],
            ["big.png"],
        ]

    def test_do_not_depend_on_how_one_asks(self, source_folder: Path) -> None:
        for seed, name in enumerate(("a.safetensors", "a.sft", "a.preview.safetensors")):
            write_safetensors(source_folder / name, seed=seed)
        for name in ("a.png", "a.json", "a.preview.png", "a.sft.sha256"):
            write_picture(source_folder / name)
        by_folder = [item for item in find_sources([source_folder]) if isinstance(item, Source)]
        assert {item.path.name: sorted(f.relative for f in item.files) for item in by_folder} == {
            "a.safetensors": ["a.json", "a.png", "a.safetensors"],
            "a.preview.safetensors": ["a.preview.png", "a.preview.safetensors"],
            "a.sft": ["a.sft", "a.sft.sha256"],
        }
        for item in by_folder:
            [alone] = find_sources([item.path])
            assert isinstance(alone, Source)
            assert {file.path for file in alone.files} == {file.path for file in item.files}

    def test_name_that_leaves_no_room_for_one(self, source_folder: Path) -> None:
        name = "n" * 240 + ".safetensors"
        write_safetensors(source_folder / name, seed=1)
        assert found(source_folder / name) == found(source_folder) == {"n" * 240: [name]}

    def test_two_models_of_one_stem_are_never_mixed(self, source_folder: Path) -> None:
        write_safetensors(source_folder / "foo.safetensors", seed=1)
        write_gguf(source_folder / "foo.gguf", seed=2)
        write_picture(source_folder / "foo.png")
        sources = [item for item in find_sources([source_folder]) if isinstance(item, Source)]
        files = sorted([one.relative for one in source.files] for source in sources)
        assert files == [["foo.gguf"], ["foo.safetensors", "foo.png"]]

    def test_vae_of_the_same_stem_is_a_model(self, source_folder: Path) -> None:
        write_safetensors(source_folder / "foo.safetensors", seed=1)
        write_safetensors(source_folder / "foo.vae.safetensors", seed=2)
        assert found(source_folder) == {
            "foo": ["foo.safetensors"],
            "foo.vae": ["foo.vae.safetensors"],
        }

    def test_too_large_ones_stay(self, source_folder: Path) -> None:
        write_safetensors(source_folder / "m.safetensors", seed=1)
        with (source_folder / "m.mp4").open("wb") as file:
            file.write(b"\x1aE\xdf\xa3")
            file.truncate(33 << 20)
        assert found(source_folder)["m"] == ["m.safetensors"]

    def test_named_beside_their_weights_are_no_error(self, source_folder: Path) -> None:
        write_safetensors(source_folder / "m.safetensors", seed=1)
        write_picture(source_folder / "m.png")
        assert found(*sorted(source_folder.iterdir())) == {"m": ["m.safetensors", "[m.png]"]}
        assert found(source_folder / "m.png") == {"refused not_a_model": ["m.png"]}

    def test_names_that_are_not_utf8(self, source_folder: Path) -> None:
        folder = os.fsencode(source_folder)
        write_safetensors(Path(os.fsdecode(folder + b"/m\xff.safetensors")), seed=1)
        write_picture(Path(os.fsdecode(folder + b"/m\xff.png")))
        [files] = found(source_folder).values()
        assert files == ["m\udcff.safetensors", "[m\udcff.png]"]


class TestProjector:
    def write(self, path: Path, width: int | None, **names: str) -> None:
        pairs = [gguf_text_pair("general.architecture", "llama")]
        pairs += [gguf_text_pair(f"general.{key}", value) for key, value in names.items()]
        if width is not None:
            pairs.append(gguf_pair("llama.embedding_length", 4, struct.pack("<I", width)))
        path.write_bytes(
            gguf_file(pairs, [gguf_tensor("token_embd.weight", (32,), 0, 0)], bytes(128))
        )

    def write_mmproj(self, path: Path, width: int | None, **names: str) -> None:
        pairs = [gguf_text_pair("general.architecture", "clip")]
        pairs += [gguf_text_pair(f"general.{key}", value) for key, value in names.items()]
        if width is not None:
            pairs.append(gguf_pair("clip.vision.projection_dim", 4, struct.pack("<I", width)))
        path.write_bytes(gguf_file(pairs, [gguf_tensor("v.patch", (32,), 0, 0)], bytes(128)))

    def test_goes_with_the_one_model_that_it_fits(self, source_folder: Path) -> None:
        self.write(source_folder / "vlm.gguf", 4096)
        self.write(source_folder / "other.gguf", 2048)
        self.write_mmproj(source_folder / "any-name.gguf", 4096)
        write_picture(source_folder / "vlm.png")
        files = ["vlm.gguf", "any-name.gguf", "[vlm.png]"]
        assert found(source_folder) == {"vlm": files, "other": ["other.gguf"]}
        assert found(source_folder / "vlm.gguf") == {"vlm": files}
        assert found(*sorted(source_folder.glob("*.gguf"))) == found(source_folder)

    def test_each_goes_with_its_own(self, source_folder: Path) -> None:
        for name, width in (("gemma", 2560), ("qwen", 3584)):
            self.write(source_folder / f"{name}.gguf", width)
            self.write_mmproj(source_folder / f"mmproj-{name}.gguf", width)
        assert found(source_folder) == {
            "gemma": ["gemma.gguf", "mmproj-gemma.gguf"],
            "qwen": ["qwen.gguf", "mmproj-qwen.gguf"],
        }

    def test_of_other_models_stay_by_themselves(self, source_folder: Path) -> None:
        self.write(source_folder / "llama-8b.gguf", 4096)
        self.write_mmproj(source_folder / "mmproj-qwen.gguf", 3584)
        self.write_mmproj(source_folder / "mmproj-gemma.gguf", 2560)
        assert len(found(source_folder)) == 3

    @pytest.mark.parametrize(
        ("model", "projector", "is_one"),
        [
            ({"name": "Qwen2.5 7B"}, {"name": "Qwen2 VL 7B"}, False),
            ({"basename": "Qwen2.5"}, {"basename": "Qwen2.5-VL"}, False),
            ({"name": "Gemma 3 4b It Uncensored"}, {"name": "gemma-3-4b-it"}, True),
            ({"basename": "gemma-3", "name": "A Tune"}, {"basename": "Gemma-3"}, True),
            ({"name": "Tune"}, {}, True),
        ],
    )
    def test_names_must_not_contradict(
        self,
        source_folder: Path,
        model: dict[str, str],
        projector: dict[str, str],
        is_one: bool,
    ) -> None:
        self.write(source_folder / "m.gguf", 3584, **model)
        self.write_mmproj(source_folder / "p.gguf", 3584, **projector)
        assert len(found(source_folder)) == (1 if is_one else 2)

    @pytest.mark.parametrize(
        ("name", "is_one"), [("Some VLM", True), ("Other", False), ("", False)]
    )
    def test_without_a_width_the_names_must_agree(
        self, source_folder: Path, name: str, is_one: bool
    ) -> None:
        self.write(source_folder / "m.gguf", 3584, name="Some VLM")
        self.write_mmproj(source_folder / "p.gguf", None, name=name)
        assert len(found(source_folder)) == (1 if is_one else 2)

    def test_goes_with_a_split_model(self, source_folder: Path) -> None:
        self.write(source_folder / "big-00001-of-00002.gguf", 4096)
        write_gguf(source_folder / "big-00002-of-00002.gguf", seed=2)
        self.write_mmproj(source_folder / "mmproj.gguf", 4096)
        assert [len(files) for files in found(source_folder).values()] == [3]

    def test_stays_by_itself_among_several(self, source_folder: Path) -> None:
        self.write(source_folder / "q4.gguf", 4096)
        self.write(source_folder / "q8.gguf", 4096)
        self.write_mmproj(source_folder / "mmproj.gguf", 4096)
        assert found(source_folder) == {
            "mmproj": ["mmproj.gguf"],
            "q4": ["q4.gguf"],
            "q8": ["q8.gguf"],
        }

    def test_one_of_two_is_not_chosen(self, source_folder: Path) -> None:
        self.write(source_folder / "m.gguf", 4096)
        for precision in ("f16", "f32"):
            self.write_mmproj(source_folder / f"mmproj-{precision}.gguf", 4096)
        assert len(found(source_folder)) == 3

    def test_name_alone_makes_none(self, source_folder: Path) -> None:
        write_gguf(source_folder / "mmproj-x.gguf", seed=1)
        write_gguf(source_folder / "y.gguf", seed=2)
        assert len(found(source_folder)) == 2


class TestFolders:
    def test_checkpoints_in_a_folder_of_a_model_are_models_of_their_own(
        self, source_folder: Path
    ) -> None:
        folder = write_transformers_folder(source_folder / "llm", seed=1)
        write_transformers_folder(folder / "checkpoint-500", seed=2)
        shown = found(source_folder)
        assert set(shown) == {"llm", "checkpoint-500"}
        assert not any("checkpoint" in name for name in shown["llm"])

    def test_findings_come_from_the_configuration(self, source_folder: Path) -> None:
        write_transformers_folder(source_folder / "llm", seed=1)
        [item] = find_sources([source_folder])
        assert isinstance(item, Source)
        assert item.findings["type"].value == "llm"
        write_diffusers_folder(source_folder / "pipe", seed=2)
        [_, pipe] = find_sources([source_folder])
        assert isinstance(pipe, Source)
        assert pipe.findings["type"].value == "checkpoint"


def test_a_mixed_download_folder(source_folder: Path) -> None:
    write_safetensors(source_folder / "Char.safetensors", seed=1)
    write_picture(source_folder / "Char.preview.png")
    (source_folder / "Char.civitai.info").write_text("{}")
    write_safetensors(source_folder / "base.safetensors", seed=2)
    write_gguf(source_folder / "base.gguf", seed=3)
    write_picture(source_folder / "base.png")
    write_shards(source_folder, "big", [1, 2], 2, ".gguf")
    write_diffusers_folder(source_folder / "pipe", seed=4)
    write_transformers_folder(source_folder / "llm", seed=5)
    for number in (1, 2):
        write_safetensors(source_folder / f"epoch_0000{number}.safetensors", seed=10 + number)
    (source_folder / "stuff.zip").write_bytes(b"PK\x05\x06" + bytes(18))
    write_picture(source_folder / "holiday.png")
    write_gguf(source_folder / "half.gguf.crdownload", seed=6)
    write_lfs_pointer(source_folder / "pointer.safetensors")
    shown: list[tuple[str, list[str]]] = []
    for item in find_sources([source_folder]):
        if isinstance(item, Source) and item.path.is_file():
            shown.append((item.path.name, [one.relative for one in item.files]))
        elif isinstance(item, NotTaken):
            shown.append((item.path.name, [item.kind]))
        else:
            shown.append((item.path.name, ["folder"]))
    assert sorted(shown) == [
        ("Char.safetensors", ["Char.safetensors", "Char.civitai.info", "Char.preview.png"]),
        ("base.gguf", ["base.gguf"]),
        ("base.safetensors", ["base.safetensors", "base.png"]),
        ("big-00001-of-00002.gguf", ["big-00001-of-00002.gguf", "big-00002-of-00002.gguf"]),
        ("epoch_00001.safetensors", ["epoch_00001.safetensors"]),
        ("epoch_00002.safetensors", ["epoch_00002.safetensors"]),
        ("half.gguf.crdownload", ["skipped"]),
        ("holiday.png", ["skipped"]),
        ("llm", ["folder"]),
        ("pipe", ["folder"]),
        ("pointer.safetensors", ["refused"]),
        ("stuff.zip", ["skipped"]),
    ]


NAMES = st.sampled_from(
    [
        f"{stem}{ending}"
        for stem in ("a", "a.b", "c")
        for ending in (".safetensors", ".gguf", ".png")
    ]
    + ["a.json", "a.safetensors.json", "x-00001-of-00002.gguf", "x-00002-of-00002.gguf", "a.txt"]
    + ["y-00001-of-00003.safetensors", "sub/a.gguf", "sub/a.png", "model.safetensors.index.json"]
)


@settings(max_examples=60, deadline=None)
@given(st.sets(NAMES))
def test_every_file_is_in_exactly_one_place(
    tmp_path_factory: pytest.TempPathFactory, names: set[str]
) -> None:
    folder = tmp_path_factory.mktemp("mixed")
    for seed, name in enumerate(sorted(names)):
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        if name.endswith(".safetensors"):
            write_safetensors(path, seed=seed)
        elif name.endswith(".gguf"):
            write_gguf(path, seed=seed)
        else:
            path.write_text("{}")
    places: list[str] = []
    incomplete = 0
    for item in find_sources([folder]):
        if isinstance(item, Source):
            places += [os.fspath(one.path.relative_to(folder)) for one in item.files]
        elif item.error.code == "incomplete":
            incomplete += 1
        else:
            places.append(os.fspath(item.path.relative_to(folder)))
    assert len(places) == len(set(places))
    lone = {name for name in names if name.startswith(("x-", "y-"))}
    assert set(places) | lone == names
    shutil.rmtree(folder)
