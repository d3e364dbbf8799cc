"""Names of content, against git itself and hashlib."""

import hashlib
import subprocess
from pathlib import Path

import pytest

from tests.support.fake_hub import FakeHub, FakeRepo, RepoFile


def git_name(data: bytes) -> str:
    command = ["git", "hash-object", "--stdin"]
    return subprocess.run(command, input=data, capture_output=True, check=True).stdout.decode()[:-1]


@pytest.mark.parametrize("data", [b"", b"text\n", bytes(range(256)) * 9])
def test_a_small_file_has_gits_name_of_its_content(data: bytes) -> None:
    file = RepoFile("config.json", data)
    assert file.oid == git_name(data)
    assert file.sha256 is None


def test_a_file_in_lfs_has_gits_name_of_the_pointer() -> None:
    data = bytes(5000)
    file = RepoFile("model.gguf", data)
    pointer = (
        "version https://git-lfs.github.com/spec/v1\n"
        f"oid sha256:{hashlib.sha256(data).hexdigest()}\nsize 5000\n"
    )
    assert file.pointer == pointer.encode()
    assert file.oid == git_name(pointer.encode())
    assert file.sha256 == hashlib.sha256(data).hexdigest()


def test_the_xet_hash_looks_like_a_sha256_and_is_not_that_of_the_content() -> None:
    one, same, other = (RepoFile("m.bin", data) for data in (b"1", b"1", b"2"))
    assert len(one.xet_hash) == 64
    assert one.xet_hash == same.xet_hash
    assert one.xet_hash not in {one.sha256, other.xet_hash}


@pytest.mark.parametrize(
    ("path", "size", "expected"),
    [
        ("a.safetensors", 1, True),
        ("a.GGUF", 1, True),
        ("a.json", 1, False),
        ("a.json", 9_999_999, False),
        ("a.json", 10_000_000, True),
    ],
)
def test_what_is_in_lfs(path: str, size: int, expected: bool) -> None:
    assert RepoFile(path, bytes(size)).is_lfs is expected


def test_a_repository_may_say_otherwise_about_lfs() -> None:
    files = {"a.safetensors": b"1", "b.txt": b"2"}
    repo = FakeRepo("acme/toy", files, plain=frozenset({"a.safetensors"}), lfs=frozenset({"b.txt"}))
    assert {path: file.is_lfs for path, file in repo.head.files.items()} == {
        "a.safetensors": False,
        "b.txt": True,
    }


def test_commits_are_named_by_content_and_main_moves() -> None:
    repo, twin = (FakeRepo("acme/toy", {"a.txt": b"1", "b.txt": b"2"}) for _ in range(2))
    first = repo.sha
    assert first == twin.sha
    second = repo.commit({"a.txt": b"3"}, delete=["b.txt"], title="Change")
    assert repo.sha == second != first
    assert set(repo.head.files) == {"a.txt"}
    found = repo.find(first)
    assert found is not None
    assert bytes(found.files["a.txt"].content) == b"1"
    repo.move(first)
    assert repo.sha == first


def test_each_file_knows_the_commit_that_changed_it() -> None:
    repo = FakeRepo("acme/toy", {"a.txt": b"1", "b.txt": b"2"})
    first = repo.sha
    second = repo.commit({"a.txt": b"3"})
    assert {path: commit.id for path, commit in repo.head.changed.items()} == {
        "a.txt": second,
        "b.txt": first,
    }


def test_revisions() -> None:
    repo = FakeRepo("acme/toy", {"a.txt": b"1"})
    first = repo.sha
    repo.tag("v1")
    repo.commit({"a.txt": b"2"})
    side = repo.commit({"a.txt": b"3"}, branch="side")
    names = ("main", "HEAD", "refs/heads/main", "v1", "refs/tags/v1", "side", side, side[:12])
    commits = {name: repo.find(name) for name in names}
    found = {name: commit and commit.id for name, commit in commits.items()}
    assert found == {
        **dict.fromkeys(("main", "HEAD", "refs/heads/main"), repo.sha),
        **dict.fromkeys(("v1", "refs/tags/v1"), first),
        **dict.fromkeys(("side", side), side),
        side[:12]: None,
    }


def test_a_folder_becomes_a_repository(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "model.safetensors").write_bytes(b"weights")
    (tmp_path / "empty.txt").touch()
    repo = FakeRepo.from_folder("acme/toy", tmp_path, gated="auto")
    assert {path: bytes(file.content) for path, file in repo.head.files.items()} == {
        "empty.txt": b"",
        "sub/model.safetensors": b"weights",
    }
    assert repo.gated == "auto"


def test_a_folder_of_repositories(fake_hub: FakeHub, tmp_path: Path) -> None:
    for name in ("acme/toy", "acme/big", "other/toy"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "model.gguf").write_bytes(name.encode())
    (tmp_path / "README.md").touch()
    assert len(fake_hub.add_folder(tmp_path)) == 3
    found = fake_hub.hub.repo("other/toy").head.files["model.gguf"]
    assert bytes(found.content) == b"other/toy"
