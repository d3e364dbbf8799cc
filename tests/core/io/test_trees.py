"""Removing folders of ours while somebody else works in them."""

import threading
from pathlib import Path

import pytest

from modelcellar.io.trees import remove_tree


def test_write_protected_folders_go_too(tmp_path: Path) -> None:
    folder = tmp_path / "ours"
    (folder / "a" / "b").mkdir(parents=True)
    (folder / "a" / "b" / "file").write_bytes(b"x")
    (folder / "a" / "b" / "file").chmod(0o444)
    (folder / "a" / "b").chmod(0o555)
    (folder / "a").chmod(0o555)
    remove_tree(folder)
    assert not folder.exists()


def test_links_are_removed_and_not_followed(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").write_bytes(b"x")
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours" / "link").symlink_to(kept)
    remove_tree(tmp_path / "ours")
    assert (kept / "file").exists()
    assert not (tmp_path / "ours").exists()


@pytest.mark.parametrize("folders", [1, 40])
def test_files_that_vanish_meanwhile_are_no_error(tmp_path: Path, folders: int) -> None:
    """A copy that Ctrl-C has cut short removes its own files at the same time."""
    for _ in range(20):
        files = []
        for place in range(folders):
            folder = tmp_path / "ours" / str(place)
            folder.mkdir(parents=True)
            files += [folder / str(number) for number in range(80 // folders)]
        for path in files:
            path.touch()

        def vanish(files: list[Path] = files) -> None:
            for path in reversed(files):
                path.unlink(missing_ok=True)

        other = threading.Thread(target=vanish)
        other.start()
        remove_tree(tmp_path / "ours")
        other.join()
        assert not (tmp_path / "ours").exists()


def test_what_is_not_there_is_removed_already(tmp_path: Path) -> None:
    remove_tree(tmp_path / "nothing")
