"""What the Hub says of a repository, whole and hostile."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelcellar.hf.repositories import found_repos, repository

SHA256 = "ab" * 32
GIT = "cd" * 20
COMMIT = "ef" * 20
AT = "2026-01-02T03:04:05Z"


def document(**changes: Any) -> dict[str, Any]:
    """An answer of ``GET /api/models/acme/toy?blobs=true``."""
    lfs = {"sha256": SHA256, "size": 9000, "pointerSize": 130}
    return {
        "id": "acme/toy",
        "author": "acme",
        "sha": COMMIT,
        "gated": "manual",
        "tags": ["license:mit", "safetensors", "base_model:acme/base", "art"],
        "pipeline_tag": "text-to-image",
        "cardData": {"license": "mit", "base_model": "acme/base", "instance_prompt": "toy style"},
        "siblings": [
            {"rfilename": "README.md", "size": 12, "blobId": GIT},
            {"rfilename": "deep/model.safetensors", "size": 130, "blobId": GIT, "lfs": lfs},
        ],
        **changes,
    }


def test_a_repository() -> None:
    found = repository(document(), fetched_at=AT)
    assert found is not None
    assert (found.listing.repo_id, found.listing.commit) == ("acme/toy", COMMIT)
    card, model = found.listing.files
    # What is kept in git itself is proved by git's name; that of a pointer proves nothing.
    assert (card.path, card.size_bytes, card.sha256, card.git_sha1) == ("README.md", 12, None, GIT)
    assert (model.size_bytes, model.sha256, model.git_sha1) == (9000, SHA256, None)
    assert found.has_card
    assert found.facts == {
        "author": "acme",
        "license": "mit",
        "tags": ["safetensors", "art"],
        "base_model": "acme/base",
        "pipeline_tag": "text-to-image",
        "trigger_words": ["toy style"],
        "gated": "manual",
    }


def test_texts_can_be_written_anywhere() -> None:
    card = {"license_name": "l\ud800\0\x1b[2J", "base_model": "x" * 9000}
    found = repository(document(cardData=card), fetched_at=AT)
    assert found is not None
    text = found.facts["license"]
    text.encode()
    assert not set(text) & {"\0", "\x1b"}
    assert len(found.facts["base_model"]) <= 2000


def test_what_scanners_say() -> None:
    status = {"scansDone": True, "filesWithIssues": [{"path": "README.md", "level": "unsafe"}]}
    found = repository(document(securityRepoStatus=status), fetched_at=AT)
    assert found is not None
    assert [file.scan for file in found.listing.files] == ["unsafe", "safe"]
    assert "warn of 1 files" in found.facts["scan"]
    unfinished = repository(document(securityRepoStatus={"scansDone": False}), fetched_at=AT)
    assert unfinished is not None
    assert "scan" not in unfinished.facts


@pytest.mark.parametrize(
    "changes",
    [
        {"id": "../../etc"},
        {"id": "a/b/c"},
        {"id": "a b/c"},
        {"id": None},
        {"sha": "main"},
        {"sha": None},
        {"sha": COMMIT.upper()},
    ],
    ids=repr,
)
def test_what_is_no_repository(changes: dict[str, Any]) -> None:
    assert repository(document(**changes), fetched_at=AT) is None


@pytest.mark.parametrize(
    "sibling",
    [
        {"rfilename": "../outside.safetensors", "size": 1},
        {"rfilename": "/etc/passwd", "size": 1},
        {"rfilename": "a\0b", "size": 1},
        {"rfilename": 7, "size": 1},
        {"rfilename": "no-size"},
        {"rfilename": "negative", "size": -1},
        {"rfilename": "yes", "size": True},
        "text",
        None,
    ],
    ids=repr,
)
def test_files_that_are_none(sibling: Any) -> None:
    found = repository(document(siblings=[sibling]), fetched_at=AT)
    assert found is not None
    assert found.listing.files == ()


def test_a_digest_that_is_none_proves_nothing() -> None:
    for lfs in ({"sha256": "xyz", "size": 1}, {"sha256": SHA256[:-1], "size": 1}):
        sibling = {"rfilename": "m", "size": 1, "blobId": GIT, "lfs": lfs}
        found = repository(document(siblings=[sibling]), fetched_at=AT)
        assert found is not None
        (file,) = found.listing.files
        assert (file.sha256, file.git_sha1) == (None, None)


def test_answers_of_a_search() -> None:
    answer = [
        {"id": "acme/toy", "siblings": [{"rfilename": "x.gguf"}, {"rfilename": "../y"}]},
        {"modelId": "acme/old"},
        {"id": "bad id"},
        7,
    ]
    found = found_repos(answer)
    assert [(one.repo_id, one.paths) for one in found] == [
        ("acme/toy", ("x.gguf",)),
        ("acme/old", ()),
    ]
    assert found_repos({"error": "no"}) == ()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["lfs", "sha256", "size", "rfilename", "path", "license", "x"]), inner
        )
    ),
    max_leaves=8,
)


@given(st.fixed_dictionaries(dict.fromkeys(document(), JSON) | {"securityRepoStatus": JSON}))
def test_no_answer_raises(changes: dict[str, Any]) -> None:
    repository({**changes, "id": "acme/toy", "sha": COMMIT}, fetched_at=AT)
    repository(changes, fetched_at=AT)
    found_repos([changes])
    found_repos(changes["siblings"])
