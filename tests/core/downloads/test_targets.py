"""What people type and paste after ``cellar download`` means what they mean, or an error helps."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelcellar.downloads.targets import (
    CivitaiTarget,
    HubTarget,
    Target,
    WebTarget,
    parse_target,
)
from modelcellar.errors import UsageError

HUB, CIVITAI = "https://huggingface.co", "https://civitai.com"
FAKE_HUB, FAKE_CIVITAI = "http://127.0.0.1:4711", "http://localhost:4712/civitai"
DIGEST = "0123456789abcdef" * 4
COMMIT = "0123456789" * 4
TOY = "acme/toy-GGUF"


def parsed(text: str, revision: str | None = None, sha256: str | None = None) -> Target:
    return parse_target(
        text, hub_endpoint=HUB, civitai_endpoint=CIVITAI, revision=revision, sha256=sha256
    )


def parsed_near(text: str) -> Target:
    return parse_target(text, hub_endpoint=FAKE_HUB, civitai_endpoint=FAKE_CIVITAI)


def refusal(text: str, **given: str) -> UsageError:
    with pytest.raises(UsageError) as caught:
        parsed(text, **given)
    assert caught.value.hint, "no next step"
    return caught.value


HUB_TEXTS = [
    ("acme/toy", HubTarget("acme/toy")),
    ("  acme/toy\n", HubTarget("acme/toy")),
    ("acme/toy/", HubTarget("acme/toy")),
    ("gpt2", HubTarget("gpt2")),
    ("gpt2:f16", HubTarget("gpt2", label="f16")),
    ("acme/toy-GGUF:Q4_K_M", HubTarget(TOY, label="Q4_K_M")),
    ("acme/toy-GGUF:bf16", HubTarget(TOY, label="bf16")),
    ("acme/toy-GGUF:UD-Q4_K_XL", HubTarget(TOY, label="UD-Q4_K_XL")),
    ("acme/toy-GGUF:toy-Q4_0.gguf", HubTarget(TOY, label="toy-Q4_0.gguf")),
    ("acme/toy@v1.0", HubTarget("acme/toy", "v1.0")),
    ("acme/toy@refs/pr/3", HubTarget("acme/toy", "refs/pr/3")),
    ("acme/toy@v1:Q8_0", HubTarget("acme/toy", "v1", "Q8_0")),
    ("acme/toy:Q8_0@v1", HubTarget("acme/toy", "v1", "Q8_0")),
    ("hf:acme/toy", HubTarget("acme/toy")),
    ("HF:acme/toy:q8_0", HubTarget("acme/toy", label="q8_0")),
    ("hf:acme/toy@refs/pr/1", HubTarget("acme/toy", "refs/pr/1")),
    ("hf://acme/toy", HubTarget("acme/toy")),
    ("hf://acme/toy@v2/unet/a.bin", HubTarget("acme/toy", "v2", patterns=("unet/a.bin",))),
    ("hf://acme/toy@refs/pr/1", HubTarget("acme/toy", "refs/pr/1")),
    ("hf://acme/toy@refs/pr/1/a.bin", HubTarget("acme/toy", "refs/pr/1", patterns=("a.bin",))),
    ("hf://acme/toy/unet/", HubTarget("acme/toy", patterns=("unet/",))),
    ("hf.co/acme/toy", HubTarget("acme/toy")),
    ("hf.co/acme/toy-GGUF:Q4_K_M", HubTarget(TOY, label="Q4_K_M")),
    ("huggingface.co/acme/toy", HubTarget("acme/toy")),
    ("HuggingFace.co/acme/toy", HubTarget("acme/toy")),
    ("https://huggingface.co/acme/toy", HubTarget("acme/toy")),
    ("HTTPS://HUGGINGFACE.CO/acme/toy/", HubTarget("acme/toy")),
    ("http://www.huggingface.co/acme/toy#usage", HubTarget("acme/toy")),
    ("https://hf.co/gpt2", HubTarget("gpt2")),
    ("https://hf.co/acme/toy-GGUF:Q4_K_M", HubTarget(TOY, label="Q4_K_M")),
    ("https://huggingface.co/gpt2/tree/main", HubTarget("gpt2", "main")),
    ("https://huggingface.co/gpt2/blob/main/a.bin", HubTarget("gpt2", "main", patterns=("a.bin",))),
    ("https://huggingface.co/acme/tree", HubTarget("acme/tree")),
    ("https://huggingface.co/acme/tree/tree/main", HubTarget("acme/tree", "main")),
    ("https://huggingface.co/acme/toy/tree/v1", HubTarget("acme/toy", "v1")),
    (
        "https://huggingface.co/acme/toy/tree/v1/unet/x",
        HubTarget("acme/toy", "v1", None, ("unet/x/",)),
    ),
    ("https://huggingface.co/acme/toy/tree/refs%2Fpr%2F7", HubTarget("acme/toy", "refs/pr/7")),
    (
        "https://huggingface.co/acme/toy/blob/refs/pr/7/a%20b/c.bin",
        HubTarget("acme/toy", "refs/pr/7", None, ("a b/c.bin",)),
    ),
    (
        f"https://huggingface.co/acme/toy/resolve/{COMMIT}/unet/x.bin?download=true",
        HubTarget("acme/toy", COMMIT, None, ("unet/x.bin",)),
    ),
    (
        "https://huggingface.co/acme/toy/raw/main/config.json",
        HubTarget("acme/toy", "main", None, ("config.json",)),
    ),
    (f"https://huggingface.co/acme/toy/commit/{COMMIT}", HubTarget("acme/toy", COMMIT)),
    (
        "https://huggingface.co/acme/toy/resolve/main/a%5B1%5D.bin",
        HubTarget("acme/toy", "main", None, ("a[1].bin",)),
    ),
    ("https://huggingface.co/acme/toy?library=transformers", HubTarget("acme/toy")),
    (
        "https://huggingface.co/acme/toy-GGUF?show_file_info=toy-Q4_K_M.gguf",
        HubTarget(TOY, patterns=("toy-Q4_K_M.gguf",)),
    ),
    (
        "https://huggingface.co/acme/toy-GGUF/tree/main?show_file_info=Q4%2Ftoy.gguf",
        HubTarget(TOY, "main", None, ("Q4/toy.gguf",)),
    ),
    ("https://huggingface.co/api/models/acme/toy", HubTarget("acme/toy")),
    ("https://huggingface.co/api/models/acme/toy/revision/v1", HubTarget("acme/toy", "v1")),
    (
        "urn:air:sdxl:vae:huggingface:stabilityai/sdxl-vae@main",
        HubTarget("stabilityai/sdxl-vae", "main"),
    ),
]

CIVITAI_TEXTS = [
    ("civitai:12345", CivitaiTarget(version_id=12345)),
    ("Civitai:22@11", CivitaiTarget(version_id=11, model_id=22)),
    ("urn:air:sdxl:lora:civitai:22@11", CivitaiTarget(version_id=11, model_id=22)),
    ("air:sd1:checkpoint:civitai:22", CivitaiTarget(model_id=22)),
    ("sdxl:lora:civitai:22@11", CivitaiTarget(version_id=11, model_id=22)),
    ("https://civitai.com/models/22/some-slug?modelVersionId=11", CivitaiTarget(11, 22)),
    ("https://civitai.com/models/22?modelVersionId=11", CivitaiTarget(11, 22)),
    ("https://civitai.com/models/22", CivitaiTarget(model_id=22)),
    ("https://civitai.com/models/22/some-slug", CivitaiTarget(model_id=22)),
    ("civitai.com/models/22", CivitaiTarget(model_id=22)),
    ("https://civitai.red/models/22", CivitaiTarget(model_id=22)),
    ("https://civitai.com/model-versions/11", CivitaiTarget(version_id=11)),
    ("https://civitai.com/api/v1/model-versions/11", CivitaiTarget(version_id=11)),
    ("https://civitai.com/api/v1/models/22", CivitaiTarget(model_id=22)),
    ("https://civitai.com/api/download/models/11", CivitaiTarget(version_id=11)),
    (
        "https://civitai.com/api/download/models/11?type=Model&format=SafeTensor&fp=fp16",
        CivitaiTarget(
            version_id=11,
            filters=(("type", "Model"), ("format", "SafeTensor"), ("fp", "fp16")),
        ),
    ),
    (
        "https://civitai.com/api/download/models/11?fileId=33&token=secret",
        CivitaiTarget(version_id=11, file_id=33),
    ),
]


@pytest.mark.parametrize(("text", "target"), HUB_TEXTS)
def test_names_and_links_of_the_hub(text: str, target: HubTarget) -> None:
    assert parsed(text) == target


@pytest.mark.parametrize(("text", "target"), CIVITAI_TEXTS)
def test_names_and_links_of_civitai(text: str, target: CivitaiTarget) -> None:
    assert parsed(text) == target


def test_links_of_the_endpoints_that_are_set_and_of_the_usual_hosts() -> None:
    toy = HubTarget("acme/toy", "v1", None, ("a.bin",))
    assert parsed_near(f"{FAKE_HUB}/acme/toy/blob/v1/a.bin") == toy
    assert parsed_near("127.0.0.1:4711/acme/toy") == HubTarget("acme/toy")
    assert parsed_near("https://huggingface.co/acme/toy/blob/v1/a.bin") == toy
    assert parsed_near(f"{FAKE_CIVITAI}/models/22") == CivitaiTarget(model_id=22)
    assert parsed_near("https://civitai.com/models/22") == CivitaiTarget(model_id=22)


def test_an_address_is_fetched_only_with_what_it_must_turn_out_to_be() -> None:
    url = "https://example.org/models/toy.safetensors?v=2"
    for given_as in (DIGEST, DIGEST.upper(), f"sha256:{DIGEST}", f" SHA256:{DIGEST.upper()} "):
        assert parsed(f"{url}#part", sha256=given_as) == WebTarget(url, DIGEST)
    assert "--sha256" in refusal(url).hint
    assert "SHA-256" in str(refusal(url, sha256=DIGEST[:-1]))
    assert "SHA-256" in str(refusal(url, sha256=f"blake3:{DIGEST}"))


def test_plain_http_is_for_this_machine() -> None:
    for near in ("http://127.0.0.1:99/a.bin", "http://localhost/a.bin", "http://[::1]:80/a.bin"):
        assert parsed(near, sha256=DIGEST) == WebTarget(near, DIGEST)
    assert "https" in refusal("http://example.org/a.bin", sha256=DIGEST).hint


def test_a_password_in_an_address_is_refused_and_not_shown() -> None:
    for text in ("https://me:hunter2@example.org/a.bin", "https://hunter2@huggingface.co/acme/toy"):
        error = refusal(text, sha256=DIGEST)
        assert "hunter2" not in f"{error}{error.hint}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("https://huggingface.co/datasets/acme/toy", "data set"),
        ("https://huggingface.co/spaces/acme/toy/tree/main", "space"),
        ("datasets/acme/toy", "data set"),
        ("hf://datasets/acme/toy/a.bin", "data set"),
        ("https://huggingface.co/", "no repository"),
        ("https://huggingface.co/models?search=x", "no repository"),
        ("https://huggingface.co/acme/toy/discussions/3", "page without files"),
        ("https://huggingface.co/acme/toy/tree", "page without files"),
        ("https://huggingface.co/acme/toy/blob/main/../../x", "leads out"),
        ("https://huggingface.co/acme/toy/blob/main/%2e%2e/x", "leads out"),
        ("https://huggingface.co/acme/toy/blob/main/a%2F..%2Fx", "leads out"),
        ("https://huggingface.co/acme/toy/blob/main/%ff", "UTF-8"),
        ("https://huggingface.co/acme/toy/tree/-x", "no revision"),
        ("acme/toy@a b", "no revision"),
        ("acme/toy@v1..v2", "no revision"),
        ("acme/toy@a:Q4_0@b", "no repository"),
        ("acme/toy:", "no repository"),
        ("acme/toy: Q4_0", "no quantisation"),
        ("acme/to--y", "no repository"),
        ("acme/toy/unet/a.bin", "more parts"),
        ("acme/тoy", "no repository"),
        ("toy.safetensors", "name of a file"),
        ("", "nothing is named"),
        ("  ", "nothing is named"),
        ("acme/toy\x00", "neither"),
        ("acme/\udcfftoy", "neither"),
        ("a" * 5000, "neither"),
        ("civitai:", "no version"),
        ("civitai:abc", "no version"),
        ("civitai:" + "9" * 5000, "neither"),
        ("civitai:" + "9" * 500, "no version"),
        ("civitai:١٢", "no version"),
        ("urn:air:sdxl:lora:civitai:22@11:layer", "no version"),
        ("https://civitai.com/models/22?modelVersionId=abc", "no number"),
        ("https://civitai.com/user/somebody", "no model"),
        ("https://civitai.com/", "no model"),
        ("ftp://example.org/a.bin", "no https address"),
        ("s3://bucket/key", "no https address"),
        ("https://", "no https address"),
        ("https://[::1/a", "no address"),
        ("https://example.org:99999/a", "no address"),
        ("https://example.org/a b", "blank"),
        ("file:///tmp/a.bin", "on this machine"),
        ("./models/a.bin", "nothing is there"),
        ("C:\\models\\a.bin", "nothing is there"),
    ],
)
def test_what_means_nothing_is_refused_with_a_next_step(text: str, said: str) -> None:
    assert said in str(refusal(text))


def test_the_hint_for_a_path_in_a_repository_is_the_command_for_it() -> None:
    assert refusal("acme/toy/unet/a.bin").hint.endswith("cellar download acme/toy 'unet/a.bin'")


def test_what_lies_on_this_disk_is_for_import(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("toy.safetensors", "toy", "acme/toy/a", "acme/a.gguf"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        if not Path(name).exists():
            Path(name).write_bytes(b"")
        assert f"cellar import {name}" in refusal(name).hint
    assert f"cellar import {tmp_path}" in refusal(str(tmp_path)).hint
    # A folder that was downloaded under the name of its repository is no reason to refuse that.
    Path("acme/other").mkdir()
    assert parsed("acme/other") == HubTarget("acme/other")
    assert parsed("hf:toy") == HubTarget("toy")


def test_a_revision_beside_the_target() -> None:
    assert parsed("acme/toy", revision="v1") == HubTarget("acme/toy", "v1")
    assert parsed("acme/toy@v1", revision="v1") == HubTarget("acme/toy", "v1")
    assert "two revisions" in str(refusal("acme/toy@v2", revision="v1"))
    assert "no revision" in str(refusal("acme/toy", revision="a b"))
    assert "no revision" in str(refusal("acme/toy", revision=""))
    assert "--revision" in str(refusal("civitai:11", revision="v1"))


def test_a_digest_beside_what_has_published_ones() -> None:
    for text in ("acme/toy", "civitai:11", "https://huggingface.co/acme/toy/blob/main/a.bin"):
        assert "--sha256" in str(refusal(text, sha256=DIGEST))


# fmt: off
PIECES = st.sampled_from([
    "acme", "toy", "/", ":", "@", "hf", "hf.co", "https", "http", "//", "huggingface.co", "tree",
    "main", "blob", "refs", "pr", "?", "#", "%", "%2F", "%ff", "..", ".", "civitai", "models",
    "civitai.com", "urn:air:", "11", "modelVersionId=", "[", "]", "127.0.0.1", "Q4_K_M", "\\",
    "datasets", "api", "resolve", "~", "c:", "\udcff", "\0", "é", " ",
])
# fmt: on


def parsed_or_refused(text: str, revision: str | None, sha256: str | None) -> Target | UsageError:
    try:
        return parsed(text, revision, sha256)
    except UsageError as error:
        return error


@settings(max_examples=500, deadline=None)
@given(
    st.text(max_size=60) | st.lists(PIECES, max_size=14).map("".join),
    st.none() | st.text(max_size=12),
    st.none() | st.text(max_size=70) | st.just(DIGEST),
)
def test_no_text_raises_anything_but_a_usage_error(
    text: str, revision: str | None, sha256: str | None
) -> None:
    match parsed_or_refused(text, revision, sha256):
        case UsageError() as error:
            assert error.message
            assert error.hint
        case HubTarget() as target:
            assert parsed(f"hf:{target.repo_id}") == HubTarget(target.repo_id)
            assert ".." not in target.repo_id
        case WebTarget() as target:
            assert target.sha256 == DIGEST
        case CivitaiTarget() as target:
            assert target.version_id is not None or target.model_id is not None
