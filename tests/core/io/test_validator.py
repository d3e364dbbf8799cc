"""What is found about sources and places: on real file systems, and by made-up facts."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from modelcellar.errors import SourceRefusedError
from modelcellar.io.surroundings import FAT_MAX_BYTES, Surroundings
from modelcellar.io.validator import (
    place_of_source,
    raise_errors,
    validate_import_source,
    validate_mapping_target,
)
from modelcellar.records import Level, PlaceFinding
from tests.support.filesystems import Mounts
from tests.support.trees import open_to_all

ERROR, WARNING, NOTE = Level.ERROR, Level.WARNING, Level.NOTE
Around = Callable[..., Surroundings]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    folder = tmp_path / "place"
    folder.mkdir()
    open_to_all(folder)
    return folder


@pytest.fixture
def around(tmp_path: Path, place: Path) -> Around:
    """Surroundings in which ``place`` is mounted as it is told."""
    root = tmp_path / "root"
    (root / "run").mkdir(parents=True)
    ntfs3 = tmp_path / "ntfs3"

    def make(
        fs_type: str = "ext4",
        *,
        options: str = "rw",
        fs_options: str = "rw",
        volinfo: str = "",
        files: tuple[str, ...] = (),
        **environ: str,
    ) -> Surroundings:
        mountinfo = tmp_path / "mountinfo"
        mountinfo.write_text(f"1 0 8:1 / {place} {options} - {fs_type} /dev/sdb1 {fs_options}\n")
        if volinfo:
            (ntfs3 / "sdb1").mkdir(parents=True)
            (ntfs3 / "sdb1" / "volinfo").write_text(volinfo)
        for name in files:
            (root / name).touch()
        return Surroundings(mountinfo, ntfs3, root, environ)

    return make


def codes(findings: tuple[PlaceFinding, ...]) -> list[tuple[Level, str]]:
    for found in findings:
        assert found.message
        assert found.hint or found.level is NOTE
    return [(found.level, found.code) for found in findings]


def as_nobody(function: str, path: Path) -> list[str]:
    """What ``function`` finds about ``path`` as a user whom permissions bind."""
    drop = "os.setgid(65534); os.setuid(65534)" if os.geteuid() == 0 else "pass"
    code = (
        f"import os, sys\nfrom pathlib import Path\nfrom modelcellar.io.validator import {function}"
        f"\n{drop}\nfor found in {function}(Path(sys.argv[1])): print(found.level, found.code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, path], capture_output=True, text=True, check=True
    )
    return [line for line in done.stdout.splitlines() if "sandbox" not in line]


# Places to write to.


def test_good_place(place: Path, around: Around) -> None:
    (place / "lower").touch()
    assert validate_mapping_target(place, surroundings=around()) == ()


def test_missing_place_would_be_made(place: Path, around: Around) -> None:
    findings = validate_mapping_target(place / "a" / "b", surroundings=around())
    assert codes(findings) == [(WARNING, "missing")]
    assert str(place) in findings[0].message


def test_file_in_the_way(place: Path, around: Around) -> None:
    (place / "file").touch()
    for path in (place / "file", place / "file" / "below"):
        assert codes(validate_mapping_target(path, surroundings=around()))[-1] == (
            ERROR,
            "not_a_folder",
        )


def test_link_to_nothing_and_to_itself(place: Path, around: Around) -> None:
    (place / "nothing").symlink_to("nowhere")
    (place / "itself").symlink_to("itself")
    found = validate_mapping_target(place / "nothing", surroundings=around())
    assert codes(found) == [(WARNING, "missing")]
    found = validate_mapping_target(place / "itself", surroundings=around())
    assert codes(found) == [(ERROR, "unreadable")]


def test_permissions(place: Path) -> None:
    place.chmod(0o555)
    assert as_nobody("validate_mapping_target", place) == ["error not_writable"]
    place.chmod(0o333)
    assert as_nobody("validate_mapping_target", place) == ["error unreadable"]
    place.chmod(0o000)
    assert as_nobody("validate_mapping_target", place / "below") == ["error unreadable"]
    place.chmod(0o777)
    assert as_nobody("validate_mapping_target", place) == []


def test_mounted_read_only(place: Path, around: Around) -> None:
    found = validate_mapping_target(place, surroundings=around(options="ro", fs_options="ro"))
    assert codes(found) == [(ERROR, "read_only")]
    found = validate_mapping_target(place, surroundings=around(options="ro,noatime"))
    assert codes(found) == [(ERROR, "read_only")]


def test_turned_read_only_after_an_error(place: Path, around: Around) -> None:
    surroundings = around(options="rw,noatime", fs_options="ro,errors=remount-ro")
    assert codes(validate_mapping_target(place, surroundings=surroundings)) == [
        (ERROR, "read_only"),
        (WARNING, "turned_read_only"),
    ]
    assert codes(place_of_source(place, surroundings=surroundings)) == [
        (NOTE, "read_only"),
        (WARNING, "turned_read_only"),
    ]


def test_a_real_read_only_mount(mounts: Mounts) -> None:
    path = mounts.make("ext4").path
    (path / "model").write_bytes(b"x")
    subprocess.run(["mount", "-o", "remount,ro", path], check=True)
    assert (ERROR, "read_only") in codes(validate_mapping_target(path))
    assert (NOTE, "read_only") in codes(place_of_source(path / "model"))
    assert ERROR not in {level for level, _ in codes(place_of_source(path / "model"))}


def test_a_file_system_that_does_not_tell_its_room_is_not_called_full() -> None:
    assert (ERROR, "no_space") not in codes(validate_mapping_target(Path("/proc"), size_bytes=1))


def test_full_file_system(mounts: Mounts) -> None:
    path = mounts.tmpfs(1 << 20)
    assert (ERROR, "no_space") not in codes(validate_mapping_target(path, size_bytes=1 << 20))
    assert (ERROR, "no_space") in codes(validate_mapping_target(path, size_bytes=(1 << 20) + 1))
    (path / "a").write_bytes(bytes(1 << 20))
    assert (ERROR, "no_space") in codes(validate_mapping_target(path))


@pytest.mark.parametrize(
    ("fs_type", "largest", "wanted"),
    [
        ("vfat", 0, [(WARNING, "file_too_large")]),
        ("msdos", FAT_MAX_BYTES + 1, [(ERROR, "file_too_large")]),
        ("vfat", FAT_MAX_BYTES, []),
        ("exfat", FAT_MAX_BYTES + 1, []),
        ("ext4", FAT_MAX_BYTES + 1, []),
    ],
)
def test_longest_file_of_fat(
    place: Path, around: Around, fs_type: str, largest: int, wanted: list[tuple[Level, str]]
) -> None:
    (place / "a").touch()
    found = validate_mapping_target(place, largest_bytes=largest, surroundings=around(fs_type))
    assert codes(found) == wanted


def test_length_of_paths(place: Path, around: Around) -> None:
    good = ["a" * 255, "/".join(["b" * 200] * 4)]
    assert validate_mapping_target(place, names=good, surroundings=around()) == ()
    for name in ("a" * 256, "x/" + "a" * 256, "/".join(["b" * 200] * 21)):
        found = validate_mapping_target(place, names=[name], surroundings=around())
        assert codes(found) == [(ERROR, "path_too_long")]
    deep = place.joinpath(*["c" * 100] * 32)
    found = validate_mapping_target(deep, surroundings=around())
    assert (WARNING, "path_too_long") in codes(found)


def test_names_that_are_one_name_elsewhere(place: Path, around: Around) -> None:
    (place / "Present").touch()
    for names in (["a", "A"], ["present"], ["present/x"], ["caf\u00e9", "cafe\u0301"]):
        found = validate_mapping_target(place, names=names, surroundings=around())
        assert codes(found) == [(WARNING, "name_collision")]
    for names in ([], ["Present"], ["Present/x", "Present/y"], ["a", "b"]):
        assert validate_mapping_target(place, names=names, surroundings=around()) == ()


def test_file_system_that_does_not_know_case(place: Path, around: Around) -> None:
    found = validate_mapping_target(place, surroundings=around("exfat"))
    assert codes(found) == [(NOTE, "ignores_case")]
    found = validate_mapping_target(place, names=["a", "A"], surroundings=around("exfat"))
    assert codes(found) == [(ERROR, "name_collision")]
    # What the folder itself shows is better than what its type would make one think.
    (place / "entry").touch()
    assert validate_mapping_target(place, surroundings=around("exfat")) == ()


def test_folder_that_really_does_not_know_case(mounts: Mounts) -> None:
    path = mounts.make("ntfs-without-case").path
    (path / "Model").touch()
    assert (NOTE, "ignores_case") in codes(validate_mapping_target(path))
    found = validate_mapping_target(path, names=["MoDeL"])
    assert (ERROR, "name_collision") in codes(found)


@pytest.mark.parametrize("fs_type", ["nfs4", "cifs", "fuse.sshfs"])
def test_network(place: Path, around: Around, fs_type: str) -> None:
    (place / "a").touch()
    surroundings = around(fs_type)
    for ask in (validate_mapping_target, place_of_source):
        assert codes(ask(place, surroundings=surroundings)) == [(WARNING, "network")]


VOLINFO = "ntfs3.1\n4096\n1000\n\\64\n30\n{}\n{}\n"


def test_ntfs_that_was_found_unclean(place: Path, around: Around) -> None:
    (place / "a").touch()
    # The second word is what it is while it is mounted, which is never clean.
    surroundings = around("ntfs3", volinfo=VOLINFO.format("dirty", "dirty"))
    for ask in (validate_mapping_target, place_of_source):
        assert codes(ask(place, surroundings=surroundings)) == [(WARNING, "ntfs_unclean")]


@pytest.mark.parametrize("volinfo", ["", VOLINFO.format("clean", "dirty"), "ntfs3.1\n4096\n1000\n"])
def test_ntfs_that_is_clean_or_does_not_tell(place: Path, around: Around, volinfo: str) -> None:
    (place / "a").touch()
    assert validate_mapping_target(place, surroundings=around("ntfs3", volinfo=volinfo)) == ()


@pytest.mark.parametrize("fs_type", ["ntfs3", "fuseblk"])
@pytest.mark.parametrize("option", ["options", "fs_options"])
def test_ntfs_mounted_read_only(place: Path, around: Around, fs_type: str, option: str) -> None:
    surroundings = around(fs_type, **{option: "ro"})
    assert codes(validate_mapping_target(place, surroundings=surroundings)) == [
        (ERROR, "read_only"),
        (WARNING, "ntfs_unclean"),
    ]
    assert codes(place_of_source(place, surroundings=surroundings)) == [
        (NOTE, "read_only"),
        (WARNING, "ntfs_unclean"),
    ]


def test_a_real_ntfs(mounts: Mounts) -> None:
    path = mounts.make("fuseblk").path
    assert {level for level, _ in codes(validate_mapping_target(path))} <= {NOTE}
    read_only = mounts.make("fuseblk-ro").path
    found = codes(validate_mapping_target(read_only))
    assert {(ERROR, "read_only"), (WARNING, "ntfs_unclean")} <= set(found)


@pytest.mark.parametrize(
    ("files", "environ", "word"),
    [
        ((".flatpak-info",), {}, "Flatpak"),
        ((), {"FLATPAK_ID": "org.example"}, "Flatpak"),
        ((), {"SNAP": "/snap/x/1", "SNAP_NAME": "x"}, "Snap"),
        ((".dockerenv",), {}, "container"),
        (("run/.containerenv",), {}, "container"),
        ((), {"container": "podman"}, "container"),
    ],
)
def test_sandboxes(
    place: Path, around: Around, files: tuple[str, ...], environ: dict[str, str], word: str
) -> None:
    (place / "a").touch()
    surroundings = around(files=files, **environ)
    for ask in (validate_mapping_target, place_of_source):
        found = ask(place, surroundings=surroundings)
        assert codes(found) == [(NOTE, "sandbox")]
        assert word in found[0].message


def test_the_worst_comes_first(place: Path, around: Around) -> None:
    surroundings = around("exfat", options="ro", FLATPAK_ID="x")
    levels = [found.level for found in validate_mapping_target(
        place, names=["a" * 300], surroundings=surroundings)]  # fmt: skip
    assert levels == sorted(levels, key=list(Level).index)
    assert levels[0] is ERROR
    assert levels[-1] is NOTE


def test_without_a_list_of_mounts(place: Path, tmp_path: Path) -> None:
    nothing = Surroundings(tmp_path / "no", tmp_path / "no", tmp_path / "no", {})
    assert validate_mapping_target(place, surroundings=nothing) == ()
    assert place_of_source(place, surroundings=nothing) == ()


# Sources.


def test_source_that_is_missing_or_unreadable(place: Path, around: Around) -> None:
    found = place_of_source(place / "nothing", surroundings=around())
    assert codes(found) == [(ERROR, "missing")]
    (place / "secret").touch(0o600)
    (place / "secret").chmod(0)
    assert as_nobody("place_of_source", place / "secret") == ["error unreadable"]
    place.chmod(0o644)
    assert as_nobody("place_of_source", place) == ["error unreadable"]
    assert as_nobody("place_of_source", place / "below") == ["error unreadable"]
    place.chmod(0o755)


def check(names: list[str], size: int, place: Path, around: Surroundings, **more: int) -> list[
    tuple[Level, str]
]:  # fmt: skip
    found = validate_import_source(
        names, size, library=place, surroundings=around, **{"min_free_bytes": 0, **more}
    )
    return codes(found)


def test_every_problem_of_a_source_is_found(place: Path, around: Around) -> None:
    assert check(["a", "b/c"], 1, place, around()) == []
    assert check(["con", "b:c", "x", "X"], 1 << 62, place, around("vfat"),
                 largest_bytes=FAT_MAX_BYTES + 1) == [
        (ERROR, "unsafe_name"),
        (ERROR, "unsafe_name"),
        (ERROR, "name_collision"),
        (ERROR, "no_space"),
        (ERROR, "file_too_large"),
    ]  # fmt: skip


def test_room_that_must_stay_free(mounts: Mounts, around: Around) -> None:
    folder = mounts.tmpfs(1 << 20)
    free = os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize
    assert check(["a"], free // 2, folder, around(), min_free_bytes=free - free // 2) == []
    assert check(["a"], free // 2, folder, around(), min_free_bytes=free - free // 2 + 1) == [
        (ERROR, "no_space")
    ]
    # 3 % of the model, when that is more.
    assert check(["a"], free, folder, around()) == [(ERROR, "no_space")]


def test_the_first_error_is_raised(place: Path) -> None:
    raise_errors([PlaceFinding(WARNING, "x", "y"), PlaceFinding(NOTE, "x", "y")], place)
    refused = [PlaceFinding(NOTE, "x", "y"), PlaceFinding(ERROR, "unsafe_name", "why", "how")]
    with pytest.raises(SourceRefusedError, match="why") as raised:
        raise_errors([*refused, PlaceFinding(ERROR, "no_space", "full")], place)
    assert (raised.value.code, raised.value.hint) == ("unsafe_name", "how")
    with pytest.raises(OSError, match="full") as full:
        raise_errors([PlaceFinding(ERROR, "no_space", "full"), *refused], place)
    assert (full.value.errno, full.value.filename) == (errno.ENOSPC, str(place))
