"""Reading all files of a list: nothing is lost without a word, and nothing hostile gets in."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelcellar import naming
from modelcellar.hf.published import (
    DEPENDABLE_SIBLINGS,
    files_of_page,
    files_of_siblings,
    keepable,
    with_scans,
)
from modelcellar.origins import RepoFile

GIT, OTHER = "ab" * 20, "ba" * 20
SHA256 = "cd" * 32
PLAIN = {"rfilename": "a.txt", "size": 3, "blobId": GIT}
LARGE = {"rfilename": "m.bin", "size": 9, "blobId": GIT, "lfs": {"sha256": SHA256, "size": 9}}


def test_siblings() -> None:
    mirrored = {**LARGE, "rfilename": "n.bin", "lfs": {"oid": SHA256.upper()}}
    assert files_of_siblings({"siblings": [PLAIN, LARGE, mirrored]}) == (
        RepoFile("a.txt", 3, git_sha1=GIT),
        # The name of a pointer proves nothing of the content.
        RepoFile("m.bin", 9, sha256=SHA256),
        RepoFile("n.bin", 9, sha256=SHA256),
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"rfilename": 7},
        {"rfilename": None},
        {"size": None},
        {"size": -1},
        {"size": True},
        {"size": 1.5},
        {"blobId": None},
        {"blobId": "xyz"},
        {"lfs": {}},
        {"lfs": {"sha256": GIT, "size": 3}},
        {"lfs": 7},
    ],
    ids=repr,
)
def test_siblings_that_do_not_tell_all(changes: dict[str, Any]) -> None:
    assert files_of_siblings({"siblings": [LARGE, {**PLAIN, **changes}]}) is None
    entry = {"type": "file", "path": "a.txt", "size": 3, "oid": GIT}
    renamed = {
        {"rfilename": "path", "blobId": "oid"}.get(key, key): changes[key] for key in changes
    }
    with pytest.raises(ValueError, match="does not tell size and digest"):
        files_of_page([{**entry, **renamed}])


def test_so_many_that_some_may_be_missing() -> None:
    assert files_of_siblings({"siblings": [PLAIN] * DEPENDABLE_SIBLINGS}) is None
    assert files_of_siblings({"siblings": []}) is None
    assert files_of_siblings({}) is None


def test_a_page_of_a_tree() -> None:
    page = [
        {"type": "directory", "path": "d", "oid": OTHER, "size": 0},
        {"type": "file", "path": "d/a", "oid": GIT, "size": 0},
        {"type": "file", "path": "m", "oid": GIT, "size": 9, "lfs": {"oid": SHA256, "size": 9}},
    ]
    assert files_of_page(page) == (
        RepoFile("d/a", 0, git_sha1=GIT),
        RepoFile("m", 9, sha256=SHA256),
    )
    assert files_of_page([]) == ()


def test_scans() -> None:
    files = [RepoFile("a", 1, git_sha1=GIT), RepoFile("b", 1, git_sha1=GIT)]
    status = {"scansDone": True, "filesWithIssues": [{"path": "b", "level": "unsafe"}]}
    scans = [file.scan for file in with_scans(files, {"securityRepoStatus": status})]
    assert scans == ["safe", "unsafe"]
    assert [file.scan for file in with_scans(files, {})] == [None, None]


def test_one_path_is_one_file() -> None:
    file = RepoFile("a", 1, git_sha1=GIT)
    assert keepable([file, file]) == ((file,), ())
    with pytest.raises(ValueError, match="listed as two files"):
        keepable([file, RepoFile("a", 1, git_sha1=OTHER)])


TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["lfs", "sha256", "size", "rfilename", "path", "type", "oid"]), inner
        )
    ),
    max_leaves=12,
)


@given(TREES)
def test_whatever_is_answered(document: Any) -> None:
    for found in (files_of_siblings({"siblings": document}), _page(document)):
        for file in found or ():
            assert isinstance(file.path, str)
            assert file.size_bytes >= 0
            assert (file.sha256 is None) != (file.git_sha1 is None)


def _page(document: Any) -> tuple[RepoFile, ...]:
    try:
        return files_of_page(document)
    except ValueError:
        return ()


@given(st.lists(st.text(st.sampled_from("ab./\\:\0 ~"), max_size=8), max_size=4))
def test_what_is_kept_stays_below_its_folder(paths: list[str]) -> None:
    files = [RepoFile(path, 1, git_sha1=GIT) for path in paths]
    try:
        good, left_out = keepable(files)
    except ValueError:
        return
    assert not any(naming.relative_path_problems(file.path) for file in good)
    assert {file.path for file in good} | {path for path, _ in left_out} == set(paths)
