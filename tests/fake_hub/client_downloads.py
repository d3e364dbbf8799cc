"""What the Hub's own client downloads from the fake when nothing goes wrong."""

from pathlib import Path

import huggingface_hub  # type: ignore[import-not-found]
from huggingface_hub.errors import LocalEntryNotFoundError  # type: ignore[import-not-found]

from tests.fake_hub.client_calls import READER, toy
from tests.fake_hub.contents import FILES, WEIGHTS
from tests.support.fake_hub import FakeHub, FakeRepo, Token, Without


def a_large_and_a_small_file(fake: FakeHub, folder: Path) -> None:
    toy(fake)
    for path, content in FILES.items():
        found = huggingface_hub.hf_hub_download("acme/toy", path, cache_dir=folder)
        assert Path(found).read_bytes() == content
    sent = {entry.label: entry.sent_bytes for entry in fake.log.of("cdn", "GET")}
    assert sent["acme/toy/model.safetensors"] == len(WEIGHTS)


def into_a_folder(fake: FakeHub, folder: Path) -> None:
    repo = toy(fake)
    for path, content in FILES.items():
        found = huggingface_hub.hf_hub_download("acme/toy", path, local_dir=folder)
        assert Path(found) == folder / path
        assert Path(found).read_bytes() == content
    notes = folder / ".cache/huggingface/download/model.safetensors.metadata"
    weights = repo.head.files["model.safetensors"]
    assert notes.read_text().split()[:2] == [repo.sha, weights.sha256]


def a_whole_repository(fake: FakeHub, folder: Path) -> None:
    repo = toy(fake)
    place = Path(huggingface_hub.snapshot_download("acme/toy", cache_dir=folder))
    assert place.name == repo.sha
    found = {path.relative_to(place).as_posix(): path for path in place.rglob("*")}
    assert {name: path.read_bytes() for name, path in found.items() if path.is_file()} == FILES


def main_has_moved(fake: FakeHub, folder: Path) -> None:
    repo = toy(fake)
    first = repo.sha
    download = huggingface_hub.hf_hub_download
    download("acme/toy", "model.safetensors", cache_dir=folder)
    repo.commit({"model.safetensors": b"other weights"})
    moved = Path(download("acme/toy", "model.safetensors", cache_dir=folder))
    assert moved.read_bytes() == b"other weights"
    old = download("acme/toy", "model.safetensors", cache_dir=folder, revision=first)
    assert Path(old).read_bytes() == WEIGHTS


def a_gated_repository_with_a_token(fake: FakeHub, folder: Path) -> None:
    fake.add(FakeRepo("acme/gated", FILES, gated="auto"))
    fake.add_token(READER, Token("reader", may_read=frozenset({"acme/gated"})))
    place = Path(huggingface_hub.snapshot_download("acme/gated", cache_dir=folder, token=READER))
    assert (place / "model.safetensors").read_bytes() == WEIGHTS
    asked = fake.log.of("hub", containing="/resolve/")
    assert asked
    assert {entry.authorization for entry in asked} == {f"Bearer {READER}"}
    assert fake.log.of("cdn", "GET")
    assert fake.log.leaks == ()


def an_answer_without_a_commit_is_refused(fake: FakeHub, folder: Path) -> None:
    toy(fake)
    fake.chaos.add(Without("X-Repo-Commit"), host="hub", times=None)
    try:
        huggingface_hub.hf_hub_download("acme/toy", "model.safetensors", cache_dir=folder)
    except LocalEntryNotFoundError:
        return
    raise AssertionError("the client took a server that does not name the commit")


def checksums_of_a_download(fake: FakeHub, folder: Path) -> None:
    """Only newer versions can do this."""
    toy(fake)
    api = huggingface_hub.HfApi()
    if not hasattr(api, "verify_repo_checksums"):
        return
    api.snapshot_download("acme/toy", local_dir=folder)
    assert api.verify_repo_checksums("acme/toy", local_dir=folder).mismatches == []
    changed = folder / "model.safetensors"
    changed.write_bytes(b"\xff" + WEIGHTS[1:])
    assert len(api.verify_repo_checksums("acme/toy", local_dir=folder).mismatches) == 1


CHECKS = (
    a_large_and_a_small_file,
    into_a_folder,
    a_whole_repository,
    main_has_moved,
    a_gated_repository_with_a_token,
    an_answer_without_a_commit_is_refused,
    checksums_of_a_download,
)
