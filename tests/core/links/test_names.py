"""Names inside one application: unlike each other everywhere, and the same on every run."""

import hashlib
import unicodedata
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelcellar import naming
from modelcellar.link_records import Wish
from modelcellar.links.folders import wishes
from modelcellar.links.names import Claim, Names, with_suffix
from modelcellar.links.place import Place
from modelcellar.links.preset_values import Collision, Preset, Unit
from modelcellar.links.shapes import digest_of
from modelcellar.records import Digests, FileFormat, FileRecord, ModelRecord, ModelType
from tests.support.shelf import app_at

DIGEST = "0123456789abcdef" * 4
OTHER = "f" * 64


def names_of(
    preset: Preset, *claims: tuple[str, str], folders: tuple[str, ...] = ("a", "b")
) -> list[str]:
    """Names of files in folders, each of a model of its own, in the order they are asked for."""
    names = Names(preset, folders)
    return [
        names.give([Claim(folder, name, f"{number:064}")], f"{number:064}")[0].name
        for number, (folder, name) in enumerate(claims, start=1)
    ]


PATHS = Preset("x", "X")
STEMS = Preset("x", "X", collision=Collision.STEM)
SECOND = "00000000"
"""The first digits of the digests above."""


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x.gguf", "X.GGUF"),
        ("caf\u00e9.gguf", "cafe\u0301.gguf"),
        ("stra\u00dfe.gguf", "STRASSE.gguf"),
        ("\ufb03.gguf", "FFI.gguf"),
    ],
)
def test_one_name_on_windows_or_macos(one: str, other: str) -> None:
    first, second = names_of(PATHS, ("a", one), ("a", other))
    assert first == one
    assert second == other.rpartition(".")[0] + f"-{SECOND}." + other.rpartition(".")[2]


def test_other_folders_and_extensions_are_other_names() -> None:
    claims = (("a", "x.gguf"), ("b", "x.gguf"), ("a", "x.safetensors"), ("a/b", "x.gguf"))
    assert names_of(PATHS, *claims) == [name for _, name in claims]


def test_stems_count_in_all_sub_folders() -> None:
    claims = (("a", "x.pt"), ("a/sub", "X.safetensors"), ("b", "x.pt"), ("a", "y.pt"))
    assert names_of(STEMS, *claims) == ["x.pt", f"X-{SECOND}.safetensors", "x.pt", "y.pt"]


def test_folders_that_are_one_to_the_application() -> None:
    preset = replace(PATHS, shared=(("new", "old"),))
    claims = (("new", "x.pt"), ("old", "x.pt"), ("old/sub", "x.pt"), ("new/sub", "X.pt"))
    assert names_of(preset, *claims, folders=("new", "old")) == [
        "x.pt",
        f"x-{SECOND}.pt",
        "x.pt",
        f"X-{SECOND}.pt",
    ]
    stems = replace(preset, collision=Collision.STEM)
    assert names_of(stems, ("new/a", "x.pt"), ("old/b", "x.bin"), folders=("new", "old")) == [
        "x.pt",
        f"x-{SECOND}.bin",
    ]


def test_a_folder_inside_of_one_that_is_shared_may_be_shared_itself() -> None:
    preset = replace(STEMS, shared=(("a", "b"), ("a/deep", "c")))
    claims = (("c", "x.pt"), ("a/deep", "x.bin"), ("a", "x.pt"), ("b/other", "y.pt"))
    assert names_of(preset, *claims) == ["x.pt", f"x-{SECOND}.bin", "x.pt", "y.pt"]


def test_more_digits_where_eight_are_taken() -> None:
    names = Names(PATHS, ["a"])

    def give(digest: str) -> str:
        return names.give([Claim("a", "x.pt", digest)], digest)[0].name

    assert give("1" * 64) == "x.pt"
    assert give("0" * 64) == "x-00000000.pt"
    assert give("0" * 63 + "1") == "x-0000000000000000.pt"
    assert give("0" * 62 + "11") == f"x-{'0' * 62}11.pt"


def test_a_model_is_renamed_as_a_whole() -> None:
    names = Names(PATHS, ["a"])
    parts = [f"x-0000{number}-of-00002.gguf" for number in (1, 2)]
    names.give([Claim("a", parts[1], OTHER)], OTHER)
    given_names = names.give([Claim("a", name, f"{name:0>64}") for name in parts], DIGEST)
    assert [claim.name for claim in given_names] == [
        "x-01234567-00001-of-00002.gguf",
        "x-01234567-00002-of-00002.gguf",
    ]


def test_one_file_of_two_models_is_one_name() -> None:
    names = Names(PATHS, ["a"])
    shared = Claim("a", "mmproj.gguf", "5" * 64)
    for number in (1, 2):
        own = Claim("a", f"{number}.gguf", f"{number:064}")
        assert list(names.give([own, shared], f"{number:064}")) == [own, shared]
        assert names.is_new(own)
        assert names.is_new(shared) == (number == 1)


def test_no_model_becomes_a_folder_that_others_go_to() -> None:
    names = Names(PATHS, ["models/loras", "x"])
    for home, name in ((".", "Models"), ("models", "LORAS"), (".", "x")):
        (claim,) = names.give([Claim(home, name)], DIGEST)
        assert claim.name == f"{name}-01234567"
    (free,) = names.give([Claim("models/loras", "x")], DIGEST)
    assert free.name == "x"


@pytest.mark.parametrize(
    ("name", "is_file", "wanted"),
    [
        ("x.gguf", True, "x-01.gguf"),
        ("x.Q4_K_M.gguf", True, "x.Q4_K_M-01.gguf"),
        ("x", True, "x-01"),
        (".x", True, ".x-01"),
        ("x-00001-of-00002.gguf", True, "x-01-00001-of-00002.gguf"),
        ("Llama-3.1", False, "Llama-3.1-01"),
        ("a" * 250 + ".gguf", True, "a" * 247 + "-01.gguf"),
        ("\u00e9" * 125 + ".gguf", True, "\u00e9" * 123 + "-01.gguf"),
        ("a" * 255, False, "a" * 252 + "-01"),
    ],
)
def test_where_a_suffix_goes(name: str, is_file: bool, wanted: str) -> None:
    claim = Claim("a", name, DIGEST if is_file else "")
    assert with_suffix(claim, "01") == wanted
    assert len(wanted.encode()) <= 255
    assert with_suffix(claim, "") == name


UNHURRIED = settings(deadline=None)
"""A busy machine makes no example wrong."""

STEMS_OF_NAMES = st.sampled_from(
    ["a", "A", "\u00e9", "e\u0301", "\u00c9", "\u00df", "ss", "SS", "b", "a-11111111", "b.c"]
)
NAMES = st.builds("{}{}".format, STEMS_OF_NAMES, st.sampled_from([".pt", ".PT", ".gguf"]))
TYPES = st.sampled_from([ModelType.LORA, ModelType.VAE, ModelType.LLM])
KINDS_OF_PRESETS = st.sampled_from(
    [
        Preset("x", "X", folders={"lora": "a", "vae": "b", "llm": "a/c"}),
        Preset("x", "X", folders={"lora": "a", "vae": "b", "llm": "b"}, shared=(("a", "b"),)),
        Preset("x", "X", folders={"*": "."}, units={"llm": Unit.FOLDER}),
        Preset("x", "X", folders={"lora": "a", "vae": "b", "llm": "a/c"}, collision=Collision.STEM),
    ]
)


@st.composite
def collections(draw: st.DrawFn) -> list[ModelRecord]:
    """Models of one or two files, many of them of like names, in the order they came in."""
    models = []
    for number in range(draw(st.integers(1, 8))):
        paths = draw(st.lists(NAMES, min_size=1, max_size=2, unique_by=naming.caseless))
        # Now and then two with the same first digits.
        starts = [draw(st.sampled_from(["1" * 8, "2" * 8])) for _ in paths]
        files = [
            FileRecord(path, 1, Digests("", start + _hex(f"{number} {path}")), FileFormat.GGUF)
            for path, start in zip(paths, starts, strict=True)
        ]
        models.append(
            ModelRecord(f"m{number}", paths[0], tuple(files), f"2030-{number}", draw(TYPES))
        )
    return models


def targets_of(preset: Preset, models: list[ModelRecord]) -> dict[tuple[str, str], str]:
    place = Place(Path("/library"), lambda _: [])
    found = wishes(app_at(Path("/app")), preset, models, place)
    return {
        (wish.model_id, wish.path): wish.target.relative_to("/app").as_posix()
        for wish in found
        if isinstance(wish, Wish)
    }


def key_of(preset: Preset, target: str) -> str:
    """What the application and every file system know a file by, said in another way."""
    folder, _, name = unicodedata.normalize("NFC", target).casefold().rpartition("/")
    for group in preset.shared:
        if folder in group:
            folder = group[0]
    if preset.collision is Collision.STEM:
        return f"{folder.split('/')[0]}//{Path(name).stem}"
    return unicodedata.normalize("NFC", f"{folder}/{name}")


@UNHURRIED
@given(collections(), KINDS_OF_PRESETS)
def test_no_two_files_have_one_name(models: list[ModelRecord], preset: Preset) -> None:
    targets = targets_of(preset, models)
    assert len(targets) == sum(len(model.files) for model in models)
    owners: dict[str, set[str]] = {}
    for (model_id, _), target in targets.items():
        owners.setdefault(key_of(preset, target), set()).add(model_id)
    assert all(len(ids) == 1 for ids in owners.values())


@UNHURRIED
@given(collections(), KINDS_OF_PRESETS, st.randoms(use_true_random=False))
def test_whatever_the_order(models: list[ModelRecord], preset: Preset, random: Random) -> None:
    shuffled = models.copy()
    random.shuffle(shuffled)
    assert targets_of(preset, shuffled) == targets_of(preset, models)


@UNHURRIED
@given(collections(), KINDS_OF_PRESETS)
def test_a_model_that_comes_in_renames_no_other(models: list[ModelRecord], preset: Preset) -> None:
    before = targets_of(preset, models[:-1])
    after = targets_of(preset, models)
    assert {key: after[key] for key in before} == before


@UNHURRIED
@given(collections(), KINDS_OF_PRESETS)
def test_a_name_is_its_own_or_has_digits_of_the_digest(
    models: list[ModelRecord], preset: Preset
) -> None:
    by_id = {model.id: model for model in models}
    for (model_id, path), target in targets_of(preset, models).items():
        model, parts = by_id[model_id], target.split("/")
        is_folder = preset.units.get(model.type) is Unit.FOLDER
        plain, found = (model.name, parts[0]) if is_folder else (path, parts[-1])
        stem, ending = (plain, "") if is_folder else (Path(plain).stem, Path(plain).suffix)
        digest = digest_of(model)
        renamed = [f"{stem}-{digest[:digits]}{ending}" for digits in (8, 16, 64)]
        assert found in (plain, *renamed)


def _hex(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[8:]
