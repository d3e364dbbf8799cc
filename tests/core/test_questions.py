"""From files to questions, and from answers about files to one model."""

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from modelcellar.identification import Identification
from modelcellar.origins import Match, Standing
from modelcellar.questions import MAX_GIT_BYTES, git_sha1, of_whole_model
from modelcellar.records import Digests, ErrorInfo, FileRecord

RECORDS = tuple(
    FileRecord(f"part{number}", 9, Digests(f"{number}" * 64, f"{number}" * 64))
    for number in range(3)
)


def match(status: Standing, repo_id: str, path: str = "sub/part") -> Match:
    return Match("huggingface", status, "because", repo_id=repo_id, path=path)


@pytest.mark.parametrize("data", [b"", b"hello\n", bytes(range(256)) * 9000])
def test_git_names_a_blob_so(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "blob"
    path.write_bytes(data)
    done = subprocess.run(
        ["git", "hash-object", "--no-filters", path], capture_output=True, text=True, check=True
    )
    assert git_sha1(path, len(data)) == done.stdout.strip()
    assert git_sha1(path, MAX_GIT_BYTES + 1) is None


def test_a_model_of_one_file_is_what_its_file_is() -> None:
    answer = Identification((match(Standing.VERIFIED, "a/b"),))
    assert of_whole_model(RECORDS[:1], [answer]) == (answer.matches, None)


def test_a_model_is_proved_where_all_its_files_are() -> None:
    whole, part = match(Standing.VERIFIED, "a/whole"), match(Standing.VERIFIED, "b/part")
    answers = [
        Identification((part, whole)),
        Identification((part, whole)),
        Identification((whole,)),
    ]
    matches, pending = of_whole_model(RECORDS, answers)
    assert pending is None
    assert [(one.repo_id, one.status) for one in matches] == [
        ("a/whole", Standing.VERIFIED),
        ("b/part", Standing.CANDIDATE),
    ]
    assert matches[0].evidence == "3 of 3 files: because"
    assert matches[1].evidence == "2 of 3 files: because"
    assert matches[0].path == "sub"


def test_a_repository_that_holds_a_file_twice_counts_once() -> None:
    twice = Identification((match(Standing.VERIFIED, "a/b", "x"), match(Standing.VERIFIED, "a/b")))
    matches, _ = of_whole_model(RECORDS[:2], [twice, Identification()])
    assert [one.status for one in matches] == [Standing.CANDIDATE]


def test_one_candidate_makes_the_whole_a_candidate() -> None:
    answers = [Identification((match(Standing.VERIFIED, "a/b"),)) for _ in range(2)]
    answers.append(Identification((match(Standing.CANDIDATE, "a/b"),)))
    matches, _ = of_whole_model(RECORDS, answers)
    assert [one.status for one in matches] == [Standing.CANDIDATE]


def test_what_is_pending_of_a_file_is_of_the_model() -> None:
    why = ErrorInfo("offline", "no network")
    matches, pending = of_whole_model(RECORDS[:2], [Identification(), Identification((), why)])
    assert (matches, pending) == ((), why)


@pytest.mark.parametrize(
    ("paths", "folder"),
    [
        (("part0", "part1"), None),
        (("sub/part0", "sub/part1"), "sub"),
        (("a/b/unet/part0", "a/b/part1"), "a/b/unet"),
        (("x/unet/renamed", "x/part1"), "x/unet"),
        (("renamed", "part1"), None),
    ],
)
def test_the_folder_of_a_model_in_its_repository(
    paths: tuple[str, str], folder: str | None
) -> None:
    """Its own files may lie in folders, and those are no part of the answer."""
    answers = [Identification((match(Standing.VERIFIED, "a/b", path),)) for path in paths]
    (found,), _ = of_whole_model(RECORDS[:2], answers)
    assert found.path == folder


@pytest.mark.parametrize(
    ("path", "folder"), [("unet/x.bin", None), ("sd/unet/x.bin", "sd"), ("a/b/unet/x.bin", "a/b")]
)
def test_the_folders_that_a_model_has_itself(path: str, folder: str | None) -> None:
    records = (replace(RECORDS[0], path="unet/x.bin"), RECORDS[1])
    answers = [Identification((match(Standing.VERIFIED, "a/b", path),)), Identification()]
    (found,), _ = of_whole_model(records, answers)
    assert found.path == folder
