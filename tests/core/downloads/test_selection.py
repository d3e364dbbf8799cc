"""Which files of a repository are wanted; globs are held against huggingface_hub's own."""

from collections.abc import Sequence

import pytest
from huggingface_hub.utils._paths import filter_repo_objects
from hypothesis import given, settings
from hypothesis import strategies as st

from modelcellar.downloads.selection import Selection, select
from modelcellar.errors import NotPublishedError
from modelcellar.remotes import RemoteFile

PIPELINE = [
    ".gitattributes",
    "README.md",
    "model_index.json",
    "text_encoder/config.json",
    "text_encoder/model.fp16.safetensors",
    "text_encoder/model.safetensors",
    "unet/config.json",
    "unet/diffusion_pytorch_model.fp16.safetensors",
    "unet/diffusion_pytorch_model.safetensors",
]
QUANTISATIONS = [
    ".gitattributes",
    "BF16/toy-BF16-00001-of-00002.gguf",
    "BF16/toy-BF16-00002-of-00002.gguf",
    "README.md",
    "mmproj-F16.gguf",
    "toy-IQ4_XS.gguf",
    "toy-Q4_K_M.gguf",
    "toy-Q4_K_S.gguf",
    "toy-UD-Q4_K_M.gguf",
    "toy-UD-Q4_K_XL.gguf",
    "toy-Q8_0-00001-of-00002.gguf",
    "toy-Q8_0-00002-of-00002.gguf",
]


def selected(
    paths: Sequence[str],
    patterns: Sequence[str] = (),
    *,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    label: str | None = None,
) -> Selection:
    files = [RemoteFile(path, f"https://hub/{path}", 1) for path in paths]
    return select(
        files, patterns=patterns, include=include, exclude=exclude, label=label, repo="acme/toy"
    )


def paths_of(selection: Selection) -> list[str]:
    return [file.path for file in selection.files]


def refusal(paths: Sequence[str], *patterns: str, **given: object) -> NotPublishedError:
    with pytest.raises(NotPublishedError) as caught:
        selected(paths, patterns, **given)  # type: ignore[arg-type]
    return caught.value


def test_all_of_it_where_nothing_is_asked_for() -> None:
    assert selected(PIPELINE) == Selection(selected(PIPELINE).files)
    assert paths_of(selected(PIPELINE)) == PIPELINE


def test_paths_folders_and_globs() -> None:
    assert paths_of(selected(PIPELINE, ["model_index.json"])) == ["model_index.json"]
    below = [path for path in PIPELINE if path.startswith("unet/")]
    for folder in ("unet", "unet/", "unet/*", "unet\\*", "une?/"):
        assert paths_of(selected(PIPELINE, [folder])) == below
    both = selected(PIPELINE, ["unet/*.json"], include=["*/config.json", "README.md"])
    assert paths_of(both) == ["README.md", "text_encoder/config.json", "unet/config.json"]
    assert paths_of(selected(["a[1].bin", "a1.bin"], ["a[1].bin"])) == ["a[1].bin"]


def test_exclude_takes_away_from_what_is_asked_for() -> None:
    left = selected(PIPELINE, exclude=["*.safetensors", "text_encoder", "*.flac"])
    assert paths_of(left) == [".gitattributes", "README.md", "model_index.json", "unet/config.json"]
    assert left.notes == ("--exclude '*.flac' matches nothing",)
    assert "left out by --exclude" in str(refusal(PIPELINE, "unet", exclude=["*"]))


def test_what_matches_nothing_is_an_error_that_names_what_is_like_it() -> None:
    assert (
        "'unet/diffusion_pytorch_model.safetensors'"
        in refusal(PIPELINE, "*.json", "diffusion_pytorch_model.safetensors").hint
    )
    assert "'README.md'" in refusal(PIPELINE, "readme.md").hint
    assert "'text_encoder/'" in refusal(PIPELINE, "textencoder/").hint
    assert "--dry-run" in refusal(PIPELINE, "*.flac").hint
    assert "Q4_K_S" in refusal(QUANTISATIONS, "*Q5_1*").hint
    assert "'*.flac'" in str(refusal(PIPELINE, include=["*.flac"]))
    assert "no files" in str(refusal([]))


NAMES = st.sampled_from(
    ["a", "b", "unet", "vae", "model.safetensors", "config.json", "x[1].bin", ".git", "README.md"]
)
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)
GLOBS = st.lists(
    st.sampled_from(["*", "?", "[ab]", "[!a]", "/", "unet", ".", "json", "model", "a", "\\", "["]),
    min_size=1,
    max_size=5,
).map("".join)


def oracle(paths: Sequence[str], allow: Sequence[str], ignore: Sequence[str]) -> list[str]:
    return list(
        filter_repo_objects(
            paths, allow_patterns=list(allow) or None, ignore_patterns=list(ignore) or None
        )
    )


@settings(max_examples=500, deadline=None)
@given(
    st.lists(PATHS, min_size=1, max_size=8, unique=True),
    st.lists(GLOBS, max_size=3),
    st.lists(GLOBS, max_size=2),
)
def test_globs_are_those_of_the_hub_client(
    paths: list[str], allow: list[str], ignore: list[str]
) -> None:
    # A path is itself here, and a folder all below it: more than the Hub's client makes of them.
    names = {name for path in paths for name in _with_folders(path)}
    allow = [one for one in allow if one.replace("\\", "/") not in names]
    ignore = [one for one in ignore if one.replace("\\", "/") not in names]
    expected = oracle(paths, allow, ignore)
    if expected and all(oracle(paths, [one], []) for one in allow):
        assert paths_of(selected(paths, allow, exclude=ignore)) == expected
        assert paths_of(selected(paths, include=allow, exclude=ignore)) == expected
    else:
        refusal(paths, *allow, exclude=ignore)


def _with_folders(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:number]) for number in range(1, len(parts) + 1)]


@pytest.mark.parametrize(
    ("label", "paths"),
    [
        ("Q4_K_M", ["toy-Q4_K_M.gguf"]),
        ("q4_k_m", ["toy-Q4_K_M.gguf"]),
        ("Q4-K-M", ["toy-Q4_K_M.gguf"]),
        ("UD-Q4_K_M", ["toy-UD-Q4_K_M.gguf"]),
        ("ud-q4_k_xl", ["toy-UD-Q4_K_XL.gguf"]),
        ("iq4_xs", ["toy-IQ4_XS.gguf"]),
        ("Q8_0", ["toy-Q8_0-00001-of-00002.gguf", "toy-Q8_0-00002-of-00002.gguf"]),
        ("BF16", ["BF16/toy-BF16-00001-of-00002.gguf", "BF16/toy-BF16-00002-of-00002.gguf"]),
        ("bfloat16", ["BF16/toy-BF16-00001-of-00002.gguf", "BF16/toy-BF16-00002-of-00002.gguf"]),
        ("toy-q4_k_s.gguf", ["toy-Q4_K_S.gguf"]),
        ("toy-Q4_K_S", ["toy-Q4_K_S.gguf"]),
        ("toy-Q8_0", ["toy-Q8_0-00001-of-00002.gguf", "toy-Q8_0-00002-of-00002.gguf"]),
        ("mmproj-F16", ["mmproj-F16.gguf"]),
    ],
)
def test_a_label_means_the_files_that_have_it(label: str, paths: list[str]) -> None:
    assert paths_of(selected(QUANTISATIONS, label=label)) == paths


def test_a_label_of_unsloth_is_taken_where_there_is_no_plain_one() -> None:
    found = selected(QUANTISATIONS, label="Q4_K_XL")
    assert paths_of(found) == ["toy-UD-Q4_K_XL.gguf"]
    assert found.notes[0] == "there is no Q4_K_XL; UD-Q4_K_XL is taken"
    plain = selected([path for path in QUANTISATIONS if "UD-" not in path], label="UD-Q4_K_M")
    assert paths_of(plain) == ["toy-Q4_K_M.gguf"]


def test_a_label_may_be_that_of_the_folder_alone() -> None:
    paths = ["Q4_K_M/x-00001-of-00002.gguf", "Q4_K_M/x-00002-of-00002.gguf", "F16/x.gguf", "a.txt"]
    assert paths_of(selected(paths, label="Q4_K_M")) == paths[:2]
    assert paths_of(selected(paths, label="fp16")) == ["F16/x.gguf"]
    assert paths_of(selected(["onnx/a.onnx", "b.onnx"], label="onnx")) == ["onnx/a.onnx"]


def test_a_label_that_nothing_has_names_those_there_are() -> None:
    error = refusal(QUANTISATIONS, label="Q4_K_L")
    assert str(error) == "no file has the label 'Q4_K_L'"
    there = "bf16, IQ4_XS, Q4_K_M, Q4_K_S, UD-Q4_K_M, UD-Q4_K_XL, Q8_0"
    assert error.hint == f"There are: {there}."
    assert "leave the label out" in refusal(["model.safetensors"], label="Q4_K_M").hint


def test_a_projector_alone_is_not_the_model_of_its_precision() -> None:
    error = refusal(QUANTISATIONS, label="F16")
    assert str(error) == "only the projector 'mmproj-F16.gguf' has the label 'F16', no model"
    both = ["mmproj-F16.gguf", "toy-F16.gguf"]
    assert selected(both, label="F16") == Selection(selected(both).files)


def test_a_projector_that_is_left_is_told_of() -> None:
    told = "it also has a projector, for pictures: cellar download acme/toy 'mmproj-F16.gguf'"
    assert selected(QUANTISATIONS, label="Q4_K_M").notes == (told,)
    assert selected(QUANTISATIONS, ["*Q4_K_M.gguf"]).notes == (told,)
    assert selected(QUANTISATIONS).notes == ()
    assert selected(QUANTISATIONS, ["README.md"]).notes == ()
    assert selected(QUANTISATIONS, ["mmproj-F16.gguf"], label="Q4_K_M").notes == ()
    assert selected(QUANTISATIONS, exclude=["mmproj*"]).notes == ()
    two = [*QUANTISATIONS, "mmproj-F32.gguf"]
    assert selected(two, label="Q4_K_M").notes == (f"{told} (or another of 2)",)


def test_several_models_of_one_label_are_all_taken_and_told_of() -> None:
    paths = ["large-Q4_0.gguf", "small-Q4_0.gguf", "small-Q8_0.gguf"]
    found = selected(paths, label="q4_0")
    assert paths_of(found) == paths[:2]
    assert found.notes == ("2 models have the label Q4_0, and all are taken: large, small",)


def test_a_precision_of_a_pipeline_comes_without_its_settings_and_says_so() -> None:
    found = selected(PIPELINE, label="fp16")
    assert [path for path in PIPELINE if "fp16" in path] == paths_of(found)
    assert found.notes == ("3 .json files are not taken along; to have them: --include '*.json'",)
    more = selected(PIPELINE, include=["*.json"], label="fp16")
    assert len(more.files) == 5
    assert more.notes == ()


@settings(max_examples=300, deadline=None)
@given(st.lists(st.text(max_size=20), max_size=6), st.text(max_size=12), st.text(max_size=12))
def test_no_names_raise_anything_but_that_nothing_is_published(
    paths: list[str], label: str, pattern: str
) -> None:
    for given_label, patterns in ((label, ()), (None, (pattern,)), (label, (pattern,))):
        try:
            found = selected(paths, patterns, label=given_label)
        except NotPublishedError:
            continue
        assert found.files


def test_files_for_those_who_ask_for_them() -> None:
    files = [
        RemoteFile("toy.safetensors", "https://x/1", 1),
        RemoteFile("toy-full.safetensors", "https://x/2", 1, is_default=False),
    ]
    usual = select(files)
    assert usual.files == (files[0],)
    assert "there is also 'toy-full.safetensors'" in usual.notes[0]
    assert select(files, patterns=["*"]).files == tuple(files)
    assert select(files, patterns=["toy-full*"]).files == (files[1],)
    assert select(files[1:]).files == (files[1],)
    with pytest.raises(NotPublishedError):
        select(files, exclude=["toy.safetensors"])
