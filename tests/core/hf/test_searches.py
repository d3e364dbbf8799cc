"""What is asked of the Hub for a file, and what its answers are worth."""

import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelcellar.hf.ranking import rank, verify_hash_match
from modelcellar.hf.searches import (
    MAX_GUESSES,
    MAX_SEARCHES,
    Search,
    repositories_named,
    searches,
)
from modelcellar.naming import is_repo_id
from modelcellar.origins import Listing, RepoFile, Standing, Subject

OURS, OTHER = "a" * 64, "b" * 64
GIT, OTHER_GIT = "c" * 40, "d" * 40
COMMIT = "e" * 40
TOY = "toy-7b-instruct-Q4_K_M.gguf"


def gguf(metadata: dict[str, object], name: str = TOY) -> Subject:
    """A GGUF file whose header has these ``general`` keys."""
    said = {f"general.{key}": value for key, value in metadata.items()}
    return Subject(name, format="gguf", facts={"metadata": said})


def safetensors(name: str, metadata: dict[str, object] | None = None) -> Subject:
    """A safetensors file with this metadata."""
    return Subject(name, format="safetensors", facts={"metadata": metadata or {}})


def queries(subject: Subject) -> list[str | None]:
    """What `searches` looks for in ids."""
    return [one.query for one in searches(subject)]


def test_a_quantiser_s_file_is_looked_for_below_its_base_first() -> None:
    found = searches(
        gguf(
            {
                "name": "Toy 7B Instruct",
                "basename": "Toy",
                "size_label": "7B",
                "finetune": "Instruct",
                "quantized_by": "Unsloth",
                "repo_url": "https://huggingface.co/unsloth",
                "base_model.0.repo_url": "https://huggingface.co/acme/Toy-7B-Instruct",
            }
        )
    )
    below = ("base_model:quantized:acme/Toy-7B-Instruct",)
    assert [(one.query, one.author, one.filters) for one in found] == [
        (None, "unsloth", below),
        ("Toy-7B-Instruct", "unsloth", ("gguf",)),
        ("Toy-7B-Instruct", None, ("gguf",)),
        (None, None, below),
    ]


def test_a_name_alone_is_looked_for_in_few_spellings() -> None:
    assert queries(safetensors("epicrealism_v5_final(1).safetensors")) == [
        "epicrealism",
        "epicrealism_v5",
        "epicrealism-v5",
    ]
    assert queries(safetensors("Wan2_1-I2V-14B-480P_fp8_e4m3fn.safetensors")) == [
        "Wan2_1-I2V-14B-480P",
        "Wan2.1-I2V-14B-480P",
    ]
    assert searches(gguf({}, "toy-7b-Q8_0.gguf")) == (
        Search("toy-7b", None, ("gguf",), "the file name"),
    )


@pytest.mark.parametrize(
    "name",
    [
        *("model.safetensors", "diffusion_pytorch_model.fp16.safetensors", "mmproj-model-f16.gguf"),
        *("pytorch_model-00001-of-00002.bin", "ggml-model-q4_0.gguf", "ae.safetensors", "last.pt"),
        *("pytorch_model.bin", "diffusion_pytorch_model.safetensors", "model (1).safetensors"),
        *("tf_model.h5", "flax_model.msgpack", "rust_model.ot", "open_clip_pytorch_model.bin"),
        *("consolidated.00.pth", "pytorch_model.00001.bin", "model2.safetensors", "model_2.bin"),
        *("model_v2.safetensors", "checkpoint-1000.pt", "epoch_10.safetensors", "step_1000.pt"),
        *("12345.safetensors", "Q4_K_M.gguf", "my_lora.safetensors", "download (3).safetensors"),
        *("config.json", "model_index.json", "params.json", "tokenizer.json", "config.yaml"),
        *("optimizer.pt", "training_args.bin", "stable-diffusion.ckpt", "image_encoder.onnx"),
        *(
            "日本語.safetensors",
            "0123456789abcdef0123456789abcdef01234567.bin",
            "",
            "---",
            "a.gguf",
        ),
    ],
)
def test_what_thousands_of_files_are_called_is_not_looked_for(name: str) -> None:
    assert searches(safetensors(name)) == ()


@pytest.mark.parametrize(
    "name",
    [
        *("flux1-dev", "t5xxl", "clip-vit-large", "stable-diffusion-xl", "z-image", "open-orca"),
        *("llama-2-7b", "dreamshaper_8", "model-zoo", "vae-ft-mse-840000", "ip-adapter-plus"),
    ],
)
def test_one_telling_word_is_enough(name: str) -> None:
    assert queries(safetensors(f"{name}.safetensors"))[0] == name


def test_a_folder_may_say_what_the_file_does_not() -> None:
    inside = "toy-diffusion-xl/text_encoder_2/model.fp16-00001-of-00002.safetensors"
    assert queries(safetensors(inside)) == ["toy-diffusion-xl"]
    assert queries(safetensors("unet/diffusion_pytorch_model.safetensors")) == []


def test_the_header_of_a_lora_is_asked_before_its_name() -> None:
    found = searches(
        safetensors(
            "download (3).safetensors",
            {"modelspec.title": "Surtr (Arknights)", "ss_output_name": "surtr_arknights"},
        )
    )
    assert [(one.query, one.reason) for one in found] == [
        ("Surtr-Arknights", "the header says modelspec.title"),
        ("surtr_arknights", "the header says ss_output_name"),
    ]


def test_a_short_name_is_narrowed_by_what_the_model_was_made_from() -> None:
    found = searches(safetensors("zelda.safetensors", {"ss_base_model_version": "sdxl_base_v1-0"}))
    assert [(one.query, one.filters) for one in found] == [
        ("zelda", ("base_model:adapter:stabilityai/stable-diffusion-xl-base-1.0",)),
        ("zelda", ()),
    ]


def test_a_name_in_a_header_may_be_a_path_or_a_commit() -> None:
    windows = gguf({"name": "C:\\models\\Toy-7B"}, "x.gguf")
    assert queries(windows) == ["Toy-7B"]
    assert queries(gguf({"name": "/home/someone/runs/Toy-7B"}, "x.gguf")) == ["Toy-7B"]
    assert queries(gguf({"name": "f" * 40}, "x.gguf")) == []
    assert queries(safetensors("x.safetensors", {"ss_output_name": "None"})) == []


def test_repositories_that_a_header_names() -> None:
    subject = gguf(
        {
            "source.huggingface.repository": "acme/source",
            "repo_url": "https://huggingface.co/acme/toy",
            "url": "https://hf.co/acme/Toy/tree/main?x=1",
            "base_model.0.repo_url": "https://huggingface.co/acme/base",
            "base_model.1.repo_url": "https://example.org/acme/elsewhere",
        }
    )
    assert [(one.repo_id, one.reason) for one in repositories_named(subject)] == [
        ("acme/toy", "the header says general.repo_url"),
        ("acme/source", "the header says general.source.huggingface.repository"),
        ("acme/base", "the header says general.base_model.0.repo_url"),
    ]


HOSTILE = [
    *("../../etc", "a/../b", "a/b/c", "a/b?x=1", "a/b#c", "a/b c", "a/b\nc", "/b", "a/", "a//b"),
    *(
        "a/b%2fc",
        "a@evil/b",
        "-a/b",
        "a/b.",
        "a/b--c",
        "a/b.git",
        "a/é",
        "a/" + "b" * 97,
        "https://",
    ),
    *("https://huggingface.co.evil.org/a/b", "https://evil.org/huggingface.co/a/b"),
    *("https://huggingface.co/datasets/a", "https://huggingface.co/a/..", "file:///a/b", "a\\b/c"),
    *("https://user:pw@huggingface.co/a/b", "javascript:a/b", "a/b\u202e", "a/ſ", "x" * 100_000),
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_metadata_makes_no_address(text: str) -> None:
    subject = gguf({"repo_url": text, "base_model.0.repo_url": text, "quantized_by": text}, "m.bin")
    assert repositories_named(subject) == ()
    assert searches(subject) == ()


VALUES = st.one_of(
    st.text(max_size=40), st.sampled_from(HOSTILE), st.integers(), st.lists(st.text()), st.none()
)
KEYS = st.sampled_from(
    ["repo_url", "name", "basename", "size_label", "quantized_by", "base_model.0.repo_url", "url"]
)


@given(st.text(max_size=40), st.dictionaries(KEYS, VALUES), st.sampled_from(["gguf", "onnx"]))
def test_whatever_is_asked_is_plain(name: str, metadata: dict[str, object], kind: str) -> None:
    subject = replace(gguf(metadata, name), format=kind)
    found, named = searches(subject), repositories_named(subject)
    assert len(found) <= MAX_SEARCHES
    assert len(named) <= MAX_GUESSES
    assert all(is_repo_id(one.repo_id) for one in named)
    plain = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:")
    for one in found:
        assert set("".join([one.query or "", one.author or "", *one.filters])) <= plain
        assert one.query is not None or one.filters
        assert "/" not in (one.query or "")


@pytest.mark.parametrize("metadata", [None, ["x"], {1: 2}, {"general.name": 7}, "text"])
def test_facts_may_be_of_any_kind(metadata: object) -> None:
    subject = Subject("model.gguf", format="gguf", facts={"metadata": metadata})
    assert searches(subject) == ()
    assert repositories_named(subject) == ()


def listing(*files: RepoFile, repo_id: str = "acme/toy") -> Listing:
    """A repository with these files."""
    return Listing(repo_id, COMMIT, files, "2026-01-02T03:04:05Z")


SUBJECT = Subject(TOY, size_bytes=9, sha256=OURS, git_sha1=GIT)


def test_an_equal_digest_proves_a_file() -> None:
    assert verify_hash_match(SUBJECT, RepoFile("x", 9, OURS, OTHER_GIT))
    assert verify_hash_match(replace(SUBJECT, size_bytes=None), RepoFile("x", 9, OURS))
    assert verify_hash_match(SUBJECT, RepoFile("x", 9, None, GIT))


@pytest.mark.parametrize(
    ("subject", "file"),
    [
        (SUBJECT, RepoFile(TOY, 9, OTHER, OTHER_GIT)),
        # That is git's name of the pointer where there is a SHA-256.
        (SUBJECT, RepoFile(TOY, 9, OTHER, GIT)),
        (replace(SUBJECT, sha256=None), RepoFile(TOY, 9, OTHER, GIT)),
        (SUBJECT, RepoFile(TOY, 10, OURS)),
        (SUBJECT, RepoFile(TOY, 10, None, GIT)),
        (replace(SUBJECT, size_bytes=None), RepoFile(TOY, 9, None, GIT)),
        (SUBJECT, RepoFile(TOY, 9)),
        (Subject(TOY), RepoFile(TOY, 9)),
    ],
)
def test_nothing_else_does(subject: Subject, file: RepoFile) -> None:
    assert not verify_hash_match(subject, file)


def test_the_proved_file_comes_first_whatever_it_is_called() -> None:
    first, second = rank(
        SUBJECT,
        [
            listing(RepoFile(TOY, 9, None, None)),
            listing(RepoFile("other.gguf", 9, OURS), repo_id="b/c"),
        ],
    )
    assert (first.repo_id, first.status, first.path) == ("b/c", Standing.VERIFIED, "other.gguf")
    assert first.evidence == "its SHA-256 equals the published one"
    assert (first.provider, first.revision, first.sha256) == ("huggingface", COMMIT, OURS)
    assert second.status is Standing.CANDIDATE


def test_an_impostor_is_a_candidate_and_says_so() -> None:
    (found,) = rank(SUBJECT, [listing(RepoFile(TOY, 9, OTHER, scan="unsafe"))])
    assert found.status is Standing.CANDIDATE
    assert "published digest differs" in found.evidence
    assert found.facts == {"scan": "unsafe"}


def test_a_file_of_another_size_is_none() -> None:
    assert rank(SUBJECT, [listing(RepoFile(TOY, 10, OURS), RepoFile(TOY, 0))]) == ()


def test_other_bytes_under_another_name_are_none() -> None:
    assert rank(SUBJECT, [listing(RepoFile("other.gguf", 9, OTHER))]) == ()


def test_names_rank_what_no_digest_decides() -> None:
    subject = Subject("toy-7b-instruct-q4_k_m (1).gguf", size_bytes=9)
    found = rank(
        subject,
        [
            listing(
                RepoFile("renamed.gguf", 9, OTHER),
                RepoFile("Toy-7B-Instruct-Q8_0.gguf", 9, OTHER),
                RepoFile("sub/Toy_7B_Instruct.Q4_K_M.gguf", 9, OTHER),
                RepoFile("toy-7b-instruct-q4_k_m (1).gguf", 9),
                RepoFile("toy-7b-instruct-q4_k_m.bin", 9, OTHER),
            )
        ],
    )
    assert [one.path for one in found] == [
        "toy-7b-instruct-q4_k_m (1).gguf",
        "sub/Toy_7B_Instruct.Q4_K_M.gguf",
        "Toy-7B-Instruct-Q8_0.gguf",
        "renamed.gguf",
        "toy-7b-instruct-q4_k_m.bin",
    ]
    assert {one.status for one in found} == {Standing.CANDIDATE}
    assert found[0].evidence == (
        "the same name and the same size; digest: there is no published SHA-256"
    )
    assert found[1].evidence == (
        "the same model and quantisation by its name and the same size; digest: not compared"
    )


def test_without_a_size_only_names_count() -> None:
    subject = Subject("toy-7b.gguf")
    found = rank(
        subject, [listing(RepoFile("toy-7b.gguf", 9, OTHER), RepoFile("b.gguf", 9, OTHER))]
    )
    assert [(one.path, one.evidence) for one in found] == [
        ("toy-7b.gguf", "the same name; digest: not compared")
    ]


def test_many_files_are_ranked_by_size_first() -> None:
    files = tuple(RepoFile(f"{number}.gguf", number, OTHER) for number in range(200_000))
    began = time.perf_counter()
    assert len(rank(SUBJECT, [listing(*files)])) == 0
    assert time.perf_counter() - began < 2.0


@pytest.mark.parametrize("good", ["a/b", "acme/Toy-7B_v1.5", "_a/b", "a/b_", "01-ai/Yi-1.5-34B"])
def test_ids_of_repositories(good: str) -> None:
    assert is_repo_id(good)
    assert not is_repo_id("gpt2")
    assert is_repo_id("gpt2", bare=True)
    assert not is_repo_id("a/b/c", bare=True)
