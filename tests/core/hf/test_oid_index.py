"""The index of what repositories hold: what is found, what is never forgotten, what survives."""

import os
import random
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import apsw
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelcellar.errors import LibraryBusyError, LibraryFormatError
from modelcellar.hf.oid_index import OidIndex, Sighting
from modelcellar.origins import Listing, RepoFile
from tests.support.filesystems import MIB, Mounts
from tests.support.oid_rows import current_listing, known_repositories, rows
from tests.support.strace import kill_at, trace

TIMEOUT_S = 60
# One listing of 200 files per repository; says so when it is about to begin and when it has ended.
FILL = """
import sys
from hashlib import sha256
from modelcellar.hf.oid_index import OidIndex
from modelcellar.origins import Listing, RepoFile

path, name, count, many = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])

def listings():
    for n in range(count):
        files = tuple(
            RepoFile(f"{m}.safetensors", m, sha256(f"{name} {n} {m}".encode()).hexdigest())
            for m in range(200)
        )
        yield Listing(f"{name}/{n}", "c" * 40, files, "2030-01-01T00:00:00.000000Z")

index = __import__("modelcellar.hf.oid_index").hf.oid_index
index.BATCH_FILES = 2000
print("begins", flush=True)
made = OidIndex(__import__("pathlib").Path(path))
if many:
    made.add_all(listings())
else:
    for listing in listings():
        made.add(listing)
made.close()
print("done", flush=True)
"""


def digest(number: int) -> str:
    return random.Random(number).randbytes(32).hex()


def at(day: int) -> str:
    return f"2030-01-{day:02}T00:00:00.000000Z"


def commit(number: int) -> str:
    return digest(number)[:40]


WEIGHTS = RepoFile("unet/model.safetensors", 9000, digest(1), digest(2)[:40], "safe")
CONFIG = RepoFile("config.json", 512, None, digest(3)[:40])
TOY = Listing("acme/toy", commit(1), (CONFIG, WEIGHTS), at(1))
NEXT = Listing("acme/toy", commit(2), (CONFIG, replace(WEIGHTS, sha256=digest(4))), at(2))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "oids.db"


@pytest.fixture
def open_index(path: Path) -> Iterator[Callable[[], OidIndex]]:
    opened = []

    def open_it() -> OidIndex:
        opened.append(OidIndex(path))
        return opened[-1]

    yield open_it
    for made in opened:
        made.close()


@pytest.fixture
def index(open_index: Callable[[], OidIndex]) -> OidIndex:
    return open_index()


def sighting(
    listing: Listing, file: RepoFile, *, first: str = commit(1), current: bool = True
) -> Sighting:
    where = ("huggingface", listing.repo_id, listing.commit, listing.fetched_at)
    return Sighting(*where, first, current, file)


# Looking up.


def test_a_file_is_found_by_what_it_contains(index: OidIndex, path: Path) -> None:
    index.add(TOY)
    assert index.by_sha256(digest(1)) == (sighting(TOY, WEIGHTS),)
    assert index.by_sha256(digest(1).upper()) == (sighting(TOY, WEIGHTS),)
    assert index.by_git_sha1(digest(3)[:40], 512) == (sighting(TOY, CONFIG),)
    assert current_listing(path, "acme/toy") == TOY


def test_what_is_not_known_is_not_found(index: OidIndex, path: Path) -> None:
    index.add(TOY)
    near = digest(1)[:62] + "00"
    for text in (digest(5), near, "", "x" * 64, "ab " * 21 + "a", digest(1)[:40]):
        assert index.by_sha256(text) == ()
    assert index.by_git_sha1(digest(3)[:40], 511) == ()
    assert index.by_git_sha1(digest(3)[:40], -1) == ()
    assert current_listing(path, "acme/other") is None


def test_the_blob_of_a_pointer_is_not_that_of_the_content(index: OidIndex) -> None:
    index.add(TOY)
    assert index.by_git_sha1(digest(2)[:40], 9000) == ()


def test_repositories_are_told_apart_by_provider(index: OidIndex, path: Path) -> None:
    other = replace(TOY, commit="11", fetched_at=at(5))
    index.add(TOY)
    index.add(other, provider="civitai")
    assert current_listing(path, "acme/toy") == TOY
    assert current_listing(path, "acme/toy", provider="civitai") == other
    assert [found.provider for found in index.by_sha256(digest(1))] == ["civitai", "huggingface"]


def test_content_that_is_everywhere_is_answered_in_part(index: OidIndex) -> None:
    index.add_all(replace(TOY, repo_id=f"acme/{n}") for n in range(1100))
    assert len(index.by_sha256(digest(1))) == 50
    assert len(index.by_sha256(digest(1), limit=2000)) == 1000
    assert index.totals()[0] == 1100


# A listing takes the place of another.


def test_a_new_listing_replaces_the_old_one_but_not_its_proofs(index: OidIndex, path: Path) -> None:
    index.add(TOY)
    index.add(NEXT)
    assert current_listing(path, "acme/toy") == NEXT
    assert index.by_sha256(digest(1)) == (sighting(TOY, WEIGHTS, current=False),)
    assert index.by_sha256(digest(4)) == (sighting(NEXT, NEXT.files[1], first=commit(2)),)
    assert index.by_git_sha1(digest(3)[:40], 512) == (sighting(NEXT, CONFIG),)


def test_a_repository_emptied_keeps_what_it_proved(index: OidIndex, path: Path) -> None:
    index.add(TOY)
    index.add(replace(NEXT, files=()))
    assert current_listing(path, "acme/toy") == replace(NEXT, files=())
    assert index.by_sha256(digest(1)) == (sighting(TOY, WEIGHTS, current=False),)


def test_a_listing_that_comes_late_does_not_replace_a_newer_one(
    index: OidIndex, path: Path
) -> None:
    index.add(NEXT)
    index.add(TOY)
    assert current_listing(path, "acme/toy") == NEXT
    assert index.by_sha256(digest(1)) == (sighting(TOY, WEIGHTS, current=False),)


def test_the_current_ones_come_first_then_the_latest(index: OidIndex) -> None:
    index.add(TOY)
    index.add(replace(NEXT, fetched_at=at(9)))
    index.add(replace(TOY, repo_id="acme/copy", fetched_at=at(3)))
    index.add(replace(TOY, repo_id="acme/newer", fetched_at=at(4)))
    found = [(one.repo_id, one.is_current) for one in index.by_sha256(digest(1))]
    assert found == [("acme/newer", True), ("acme/copy", True), ("acme/toy", False)]


def test_a_poorer_listing_takes_nothing_away(index: OidIndex) -> None:
    index.add(TOY)
    poor = replace(WEIGHTS, git_sha1=None, scan=None)
    index.add(replace(NEXT, files=(poor,)))
    assert index.by_sha256(digest(1))[0].file == WEIGHTS
    index.add(replace(NEXT, files=(replace(WEIGHTS, scan="unsafe"),), fetched_at=at(3)))
    assert index.by_sha256(digest(1))[0].file.scan == "unsafe"


def test_the_same_listing_again_writes_no_file_anew(index: OidIndex, path: Path) -> None:
    index.add(TOY)
    before = rows(path, "SELECT * FROM files")
    index.add(replace(TOY, fetched_at=at(2)))
    assert rows(path, "SELECT * FROM files") == before
    assert current_listing(path, "acme/toy") == replace(TOY, fetched_at=at(2))


def test_what_a_hostile_host_may_list(index: OidIndex, path: Path) -> None:
    files = (
        RepoFile("a", -1, digest(1)),
        RepoFile("b", 1 << 63, digest(1)),
        RepoFile("\ud800/\0", 3, "no digest", "nor this", "\udfff"),
        RepoFile("\ud800/\0", 4, digest(6)),
    )
    index.add(Listing("a\ud800", "\ud800", files, at(1)))
    found = current_listing(path, "a?")
    assert found is not None
    assert found.commit == "?"
    assert found.files == (RepoFile("\ud800/\0", 3, scan="?"), RepoFile("\ud800/\0", 4, digest(6)))
    assert index.by_sha256(digest(1)) == ()


contents = st.builds(
    RepoFile,
    path=st.sampled_from(["a", "b/c", "\udcff"]),
    size_bytes=st.integers(0, 2),
    sha256=st.none() | st.integers(1, 3).map(digest),
    git_sha1=st.none() | st.integers(1, 3).map(commit),
)
histories = st.lists(
    st.builds(
        Listing,
        repo_id=st.sampled_from(["x/1", "x/2"]),
        commit=st.integers(1, 3).map(commit),
        files=st.lists(contents, max_size=4, unique_by=lambda file: file.path).map(tuple),
        fetched_at=st.integers(1, 5).map(at),
    ),
    max_size=6,
)


@given(history=histories)
@settings(deadline=None, max_examples=60)
def test_any_history_is_remembered(
    tmp_path_factory: pytest.TempPathFactory, history: list[Listing]
) -> None:
    """Against a list of all listings, searched from end to end."""
    path = tmp_path_factory.mktemp("index") / "oids.db"
    index = OidIndex(path)
    newest: dict[str, Listing] = {}
    try:
        for listing in history:
            index.add(listing)
            if listing.fetched_at >= newest.get(listing.repo_id, listing).fetched_at:
                newest[listing.repo_id] = listing
        for number in (1, 2, 3):
            found = {
                (one.repo_id, one.file.path, one.file.size_bytes)
                for one in index.by_sha256(digest(number))
            }
            assert found == {
                (listing.repo_id, file.path, file.size_bytes)
                for listing in history
                for file in listing.files
                if file.sha256 == digest(number)
            }
        for repo_id, listing in newest.items():
            kept = current_listing(path, repo_id)
            assert kept is not None
            assert (kept.commit, kept.fetched_at) == (listing.commit, listing.fetched_at)
            assert [(f.path, f.size_bytes, f.sha256) for f in kept.files] == sorted(
                ((f.path, f.size_bytes, f.sha256) for f in listing.files),
                key=lambda row: os.fsencode(row[0]),
            )
    finally:
        index.close()


# Several at once.


def fill(path: Path, name: str, *, count: int, many: bool) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-P", "-c", FILL, path, name, str(count), str(int(many))],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_processes_that_fill_one_index_lose_nothing(index: OidIndex, path: Path) -> None:
    running = [fill(path, name, count=20, many=name < "c") for name in "abcd"]
    while any(process.poll() is None for process in running):
        check_whole(path)
    for process in running:
        _, errors = process.communicate(timeout=TIMEOUT_S)
        assert (process.returncode, errors) == (0, "")
    assert check_whole(path) == index.totals()[0] == 80


def test_processes_that_make_the_file_at_the_same_time(path: Path) -> None:
    running = [fill(path, name, count=1, many=False) for name in "abcdef"]
    for process in running:
        _, errors = process.communicate(timeout=TIMEOUT_S)
        assert (process.returncode, errors) == (0, "")
    index = OidIndex(path)
    assert check_whole(path) == 6
    index.close()


def test_threads_share_one_index(index: OidIndex) -> None:
    errors: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for n in range(20):
                index.add(replace(TOY, repo_id=f"{number}/{n}"))
                assert len(index.by_sha256(digest(1), limit=1000)) > n
        except BaseException as error:
            errors.append(error)
            raise

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT_S)
    assert errors == []
    assert index.totals()[0] == 80


def test_a_writer_elsewhere_keeps_nobody_from_reading(path: Path) -> None:
    index = OidIndex(path, lock_timeout_s=0.05)
    index.add(TOY)
    other = apsw.Connection(str(path))
    other.execute("BEGIN IMMEDIATE")
    try:
        assert index.by_sha256(digest(1)) != ()
        with pytest.raises(LibraryBusyError):
            index.add(NEXT)
    finally:
        other.close()
        index.close()


def check_whole(path: Path) -> int:
    """No listing is there in part; how many there are."""
    known = known_repositories(path)
    for repo_id in known[-3:]:
        listing = current_listing(path, repo_id)
        assert listing is not None
        assert len(listing.files) == 200
    return len(known)


@pytest.mark.parametrize("delay", range(6))
def test_a_fill_that_is_killed(path: Path, delay: int) -> None:
    """What was committed is there and whole, and the next fill finishes it."""
    OidIndex(path).close()
    process = fill(path, "a", count=400, many=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "begins\n"
    wal = path.with_name("oids.db-wal")
    # Killed at a moment that depends on what it has done, not on the speed of the machine.
    while process.poll() is None and (not wal.exists() or wal.stat().st_size < delay * MIB // 2):
        pass
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=TIMEOUT_S)
    index = OidIndex(path)
    done = check_whole(path)
    assert 0 <= done <= 400
    assert done % 10 == 0
    index.close()
    process = fill(path, "a", count=60, many=True)
    assert process.communicate(timeout=TIMEOUT_S)[0] == "begins\ndone\n"
    index = OidIndex(path)
    assert check_whole(path) == max(done, 60)
    index.close()
    assert integrity(path) == "ok"
    assert not list(path.parent.glob("*.damaged"))


def spoiled(path: Path) -> None:
    """A damaged index whose WAL was not written back."""
    index = OidIndex(path)
    index.add(TOY)
    index.close()
    path.write_bytes(garbage(path.read_bytes()))
    path.with_name("oids.db-wal").write_bytes(b"of another file")


@pytest.mark.parametrize(
    "call",
    ["rename", "unlink", "ftruncate", pytest.param("pwrite64", marks=pytest.mark.slow)],
)
def test_a_process_that_is_killed_while_it_makes_the_file_anew(path: Path, call: str) -> None:
    """At every such call, from finding a damaged file to closing a sound one."""
    command = [sys.executable, "-P", "-c", FILL, path, "a", "1", "0"]
    spoiled(path)
    count = trace(command, calls=[call]).calls[call]
    assert count
    for nth in range(1, count + 1):
        shutil.rmtree(path.parent)
        spoiled(path)
        killed = kill_at(command, call, nth)
        assert killed.exit_code == -signal.SIGKILL
        index = OidIndex(path)
        assert check_whole(path) <= 1
        index.add(TOY)
        assert current_listing(path, "acme/toy") == TOY
        index.close()
        assert integrity(path) == "ok", nth


# Files that are not what they should be.


def integrity(path: Path) -> object:
    connection = apsw.Connection(str(path))
    [(found,)] = connection.execute("PRAGMA integrity_check").fetchall()
    connection.close()
    return found


def garbage(data: bytes) -> bytes:
    return random.Random(0).randbytes(len(data))


def cut_off(data: bytes) -> bytes:
    return data[: len(data) // 2 + 100]


def holes(data: bytes) -> bytes:
    return data[:4096] + bytes(len(data) - 4096)


def no_database(_: bytes) -> bytes:
    return b"This is no database. " * 500


@pytest.mark.parametrize("damage", [garbage, cut_off, holes, no_database])
def test_a_damaged_file_is_set_aside_and_made_anew(
    path: Path, damage: Callable[[bytes], bytes]
) -> None:
    index = OidIndex(path)
    index.add_all(replace(TOY, repo_id=f"acme/{n}") for n in range(300))
    index.close()
    damaged = damage(path.read_bytes())
    path.write_bytes(damaged)
    index = OidIndex(path)
    index.by_sha256(digest(1))
    index.totals()
    index.add(TOY)
    assert current_listing(path, "acme/toy") == TOY
    index.close()
    assert path.with_name("oids.db.damaged").read_bytes() == damaged
    assert integrity(path) == "ok"


def test_damage_while_the_file_is_open(index: OidIndex, path: Path) -> None:
    """Two that share the file notice one after the other; neither harms the new one."""
    other = OidIndex(path)
    index.add(TOY)
    spoil = apsw.Connection(str(path))
    spoil.execute("DROP TABLE files")
    spoil.close()
    assert index.by_sha256(digest(1)) == ()
    index.add(TOY)
    assert other.by_sha256(digest(1)) == (sighting(TOY, WEIGHTS),)
    other.add(replace(NEXT, repo_id="acme/other"))
    assert index.totals()[0] == 2
    other.close()
    assert index.totals()[0] == 2
    assert integrity(path) == "ok"


def test_a_file_that_is_taken_away_while_it_is_open(index: OidIndex, path: Path) -> None:
    """As by another process that found it damaged, or by a user who tidies up."""
    index.add(TOY)
    shutil.rmtree(path.parent)
    index.add(replace(TOY, repo_id="acme/other"))
    other = OidIndex(path)
    assert known_repositories(path) == ["acme/other"]
    other.close()
    assert index.by_sha256(digest(1))[0].repo_id == "acme/other"
    assert integrity(path) == "ok"


def test_a_new_file_does_not_meet_the_wal_of_an_old_one(index: OidIndex, path: Path) -> None:
    """The old one is still open elsewhere, and whoever took it away left its companions."""
    index.add_all(replace(TOY, repo_id=f"acme/{n}") for n in range(50))
    path.unlink()
    other = OidIndex(path)
    assert other.totals() == (0, 0)
    other.add(NEXT)
    assert index.totals()[0] == 50
    index.add(replace(TOY, repo_id="acme/other"))
    assert known_repositories(path) == ["acme/other", "acme/toy"]
    other.close()
    index.close()
    assert integrity(path) == "ok"


def test_a_strangers_schema_is_never_run(path: Path) -> None:
    """Our name on it, columns of any type, a view and a trigger."""
    OidIndex(path).close()
    hostile = apsw.Connection(str(path))
    hostile.execute(
        "DROP TABLE files; CREATE VIEW files AS SELECT 1 AS id, 1 AS repository, 1 AS first_commit,"
        " 1 AS last_commit, 1 AS is_current, 9000 AS size_bytes, x'00' AS sha256, 5 AS git_sha1,"
        " 'x' AS scan, 'text' AS path"
    )
    hostile.execute("CREATE TRIGGER t AFTER INSERT ON commits BEGIN DELETE FROM commits; END")
    hostile.close()
    index = OidIndex(path)
    assert index.by_sha256(digest(1)) == ()
    index.add(TOY)
    assert current_listing(path, "acme/toy") == TOY
    index.close()


def test_rows_of_the_wrong_type_are_damage(path: Path) -> None:
    index = OidIndex(path)
    index.add(TOY)
    hostile = apsw.Connection(str(path))
    hostile.execute("CREATE TABLE loose AS SELECT * FROM files; DROP TABLE files")
    hostile.execute("UPDATE loose SET path = 7; ALTER TABLE loose RENAME TO files")
    hostile.close()
    assert index.by_sha256(digest(1)) == ()
    index.close()
    assert path.with_name("oids.db.damaged").exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("PRAGMA application_id = 7", "another program"),
        ("PRAGMA user_version = 99", "newer modelcellar"),
    ],
)
def test_a_file_that_is_not_ours_stays(path: Path, change: str, words: str) -> None:
    OidIndex(path).close()
    other = apsw.Connection(str(path))
    other.execute(change)
    other.close()
    before = path.read_bytes()
    with pytest.raises(LibraryFormatError, match=words):
        OidIndex(path)
    assert path.read_bytes() == before


def test_a_version_below_nothing_is_damage(path: Path) -> None:
    OidIndex(path).close()
    other = apsw.Connection(str(path))
    other.execute("PRAGMA user_version = -1")
    other.close()
    index = OidIndex(path)
    index.add(TOY)
    index.close()


def test_places_where_no_index_can_be(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    for place in (tmp_path / "folder", tmp_path / "file" / "oids.db"):
        with pytest.raises(OSError, match=str(tmp_path)):
            OidIndex(place)
    with pytest.raises(OSError, match="UTF-8"):
        OidIndex(tmp_path / os.fsdecode(b"\xff.db"))


def test_a_closed_index_says_so(path: Path) -> None:
    index = OidIndex(path)
    index.close()
    index.close()
    with pytest.raises(OSError, match="closed"):
        index.totals()
    path.unlink()
    with pytest.raises(OSError, match="closed"):
        index.add(TOY)
    assert not path.exists()


def test_nobody_else_may_read_it(index: OidIndex, path: Path) -> None:
    index.add(TOY)
    for part in path.parent.glob("oids.db*"):
        if part.suffix != ".lock":
            assert part.stat().st_mode & 0o077 == 0, part


def test_a_full_disk_is_an_os_error(mounts: Mounts) -> None:
    disk = mounts.tmpfs(2 * MIB)
    index = OidIndex(disk / "oids.db")
    index.add(TOY)
    files = tuple(RepoFile(f"{m:0100}", m, digest(m)) for m in range(20_000))
    with pytest.raises(OSError, match="No space left") as caught:
        index.add(replace(NEXT, files=files))
    assert caught.value.filename == str(disk / "oids.db")
    assert current_listing(disk / "oids.db", "acme/toy") == TOY
    index.close()
