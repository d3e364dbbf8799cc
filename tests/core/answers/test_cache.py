"""Answers kept on disk, and asking hosts through them."""

import asyncio
import json
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import apsw
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelcellar.answers.cached import DIGEST_S, MISS_S, Answer, cached_request
from modelcellar.answers.store import AnswerCache
from modelcellar.errors import HostUnavailableError, NetworkError, OfflineError, RateLimitedError
from modelcellar.hf.cache import MODEL_INFO_S, SEARCH_S
from modelcellar.network.http import Request, Response
from tests.support.filesystems import MIB, Mounts

TIMEOUT_S = 60
BEGAN = 1_900_000_000.0
URL = "https://hub.example/api/models/acme/toy"
ASKED = Request("GET", URL)
BODY = b'{"id": "acme/toy"}'
OK = Response(200, URL, {"etag": '"one"', "content-type": "application/json"}, BODY)
TOKEN = "a token that nobody may see"
WRITER = """
import sys
from pathlib import Path
from modelcellar.answers.store import AnswerCache
from modelcellar.network.http import Response

path, name, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
cache = AnswerCache(Path(path), lock_timeout_s=30)
print("begins", flush=True)
for n in range(count):
    body = f"{name} {n} ".encode() * 2000
    cache.put(f"{name} {n}", Response(200, "https://hub.example", {}, body), lifetime_s=1e6)
cache.close()
print("done", flush=True)
"""


@dataclass
class Clock:
    now: float = BEGAN

    def __call__(self) -> float:
        return self.now


@dataclass
class Host:
    """A network of one host that answers what it is told to and remembers what it was asked."""

    answers: list[Response | Exception] = field(default_factory=list)
    asked: list[Request] = field(default_factory=list)
    gate: asyncio.Event | None = None

    async def request(self, request: Request) -> Response:
        self.asked.append(request)
        if self.gate is not None:
            await self.gate.wait()
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "answers.db"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cache(path: Path, clock: Clock) -> Iterator[AnswerCache]:
    made = AnswerCache(path, clock=clock)
    yield made
    made.close()


@pytest.fixture
def host() -> Host:
    return Host()


@pytest.fixture
def ask(host: Host, cache: AnswerCache) -> Callable[..., Answer]:
    def ask_it(
        *answers: Response | Exception,
        request: Request = ASKED,
        lifetime_s: float = MODEL_INFO_S,
        refresh: bool = False,
    ) -> Answer:
        host.answers = list(answers)
        answer = asyncio.run(
            cached_request(host, cache, request, lifetime_s=lifetime_s, refresh=refresh)
        )
        assert host.answers == [], "the host was to be asked"
        return answer

    return ask_it


def body_of(answer: Answer) -> bytes:
    return answer.response.body


# Keeping.


def test_an_answer_is_kept_as_it_was(cache: AnswerCache, clock: Clock) -> None:
    cache.put("key", OK, lifetime_s=10)
    kept = cache.get("key")
    assert kept is not None
    assert kept.response == OK
    assert (kept.stored_at, kept.expires_at, kept.etag) == (BEGAN, BEGAN + 10, '"one"')
    assert kept.is_fresh(clock())
    assert kept.is_fresh(BEGAN + 9.9)
    assert not kept.is_fresh(BEGAN + 10)
    assert not kept.is_fresh(BEGAN - 1), "a clock that was set back"
    assert cache.get("another") is None


def test_the_next_process_finds_it(cache: AnswerCache, path: Path) -> None:
    cache.put("key", OK, lifetime_s=10)
    other = AnswerCache(path)
    found = other.get("key")
    assert found is not None
    assert found.response == OK
    assert other.key(ASKED) == cache.key(ASKED)
    other.close()


def test_a_later_answer_takes_the_place(cache: AnswerCache, clock: Clock) -> None:
    cache.put("key", OK, lifetime_s=10)
    clock.now += 5
    cache.put("key", Response(404, URL), lifetime_s=1)
    found = cache.get("key")
    assert found is not None
    assert (found.response, found.stored_at, found.etag) == (Response(404, URL), BEGAN + 5, None)


def test_renewing_forgetting_and_clearing(cache: AnswerCache, clock: Clock, path: Path) -> None:
    cache.put("key", OK, lifetime_s=10)
    cache.put("big", replace(OK, body=bytes(MIB)), lifetime_s=10)
    clock.now += 100
    cache.renew("key", lifetime_s=20)
    cache.renew("not there", lifetime_s=20)
    found = cache.get("key")
    assert found is not None
    assert (found.stored_at, found.expires_at) == (BEGAN + 100, BEGAN + 120)
    cache.forget("key")
    cache.forget("not there")
    assert cache.get("key") is None
    assert cache.get("big") is not None
    cache.clear()
    assert cache.get("big") is None
    assert sum(part.stat().st_size for part in path.parent.iterdir()) < MIB // 4


def test_what_is_only_true_of_the_moment_is_not_kept(cache: AnswerCache) -> None:
    headers = {"set-cookie": "who=me", "ratelimit": '"api";r=0;t=9', "link": "<x>", "etag": "e"}
    cache.put("key", replace(OK, headers=headers), lifetime_s=10)
    found = cache.get("key")
    assert found is not None
    assert found.response.headers == {"link": "<x>", "etag": "e"}


@given(
    url=st.text(st.characters(codec=None), max_size=20),
    headers=st.dictionaries(st.text(st.characters(codec=None)), st.text(), max_size=3),
    body=st.binary(max_size=100),
    status=st.integers(100, 599),
    lifetime_s=st.floats(),
)
@settings(deadline=None, max_examples=50)
def test_any_answer_comes_back(
    tmp_path_factory: pytest.TempPathFactory,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    status: int,
    lifetime_s: float,
) -> None:
    cache = AnswerCache(tmp_path_factory.mktemp("cache") / "answers.db")
    response = Response(status, url, {f"x-{name}": headers[name] for name in headers}, body)
    cache.put("key", response, lifetime_s=lifetime_s)
    found = cache.get("key")
    cache.close()
    assert found is not None
    assert found.response == response
    assert found.expires_at >= found.stored_at


# Keys.


def test_what_the_key_depends_on(cache: AnswerCache) -> None:
    different = [
        ASKED,
        replace(ASKED, url=URL + "?blobs=true"),
        replace(ASKED, method="POST"),
        replace(ASKED, json=["a"]),
        replace(ASKED, json=["b"]),
        replace(ASKED, headers={"Accept": "text/plain"}),
        replace(ASKED, headers={"Authorization": f"Bearer {TOKEN}"}),
        replace(ASKED, headers={"Authorization": "Bearer another"}),
        replace(ASKED, follow_redirects=False),
    ]
    assert len({cache.key(request) for request in different}) == len(different)
    same = [
        replace(ASKED, method="get"),
        replace(ASKED, headers={"User-Agent": "x", "If-None-Match": "y"}),
        replace(ASKED, timeout_s=1, deadline_s=2, bucket="api"),
    ]
    assert {cache.key(request) for request in same} == {cache.key(ASKED)}
    assert cache.key(replace(ASKED, headers={"A": "1", "b": "2"})) == cache.key(
        replace(ASKED, headers={"B": "2", "a": "1"})
    )


def test_the_token_is_nowhere_in_the_file(
    ask: Callable[..., Answer], cache: AnswerCache, path: Path
) -> None:
    ask(OK, request=replace(ASKED, headers={"Authorization": f"Bearer {TOKEN}"}))
    cache.close()
    data = b"".join(part.read_bytes() for part in path.parent.iterdir())
    assert BODY in data
    assert TOKEN.encode() not in data
    assert path.stat().st_mode & 0o077 == 0


def test_keys_of_one_cache_mean_nothing_in_another(cache: AnswerCache, tmp_path: Path) -> None:
    other = AnswerCache(tmp_path / "other.db")
    assert other.key(ASKED) != cache.key(ASKED)
    other.close()


def test_an_answer_to_one_token_is_not_given_to_another(
    ask: Callable[..., Answer], host: Host
) -> None:
    private = replace(ASKED, headers={"authorization": f"Bearer {TOKEN}"})
    assert body_of(ask(OK, request=private)) == BODY
    assert ask(Response(401, URL)).response.status == 401
    other = replace(ASKED, headers={"authorization": "Bearer another"})
    assert ask(Response(404, URL), request=other).response.status == 404
    assert body_of(ask(request=private)) == BODY
    assert len(host.asked) == 3


# Size.


def test_what_was_not_used_for_longest_goes_first(path: Path, clock: Clock) -> None:
    cache = AnswerCache(path, max_bytes=MIB, clock=clock)
    big = replace(OK, body=bytes(100_000))
    for n in range(9):
        clock.now += 1
        cache.put(str(n), big, lifetime_s=1)
    clock.now += 2 * 3600
    assert cache.get("0") is not None
    for n in range(9, 17):
        clock.now += 1
        cache.put(str(n), big, lifetime_s=1)
    kept = {n for n in range(17) if cache.get(str(n)) is not None}
    assert {0, 16} < kept
    assert not kept & set(range(1, 7))
    cache.close()
    assert path.stat().st_size <= MIB + 150_000


def test_an_answer_that_would_push_out_all_others_is_not_kept(path: Path) -> None:
    cache = AnswerCache(path, max_bytes=MIB)
    cache.put("big", OK, lifetime_s=1)
    cache.put("big", replace(OK, body=bytes(MIB // 4 + 1)), lifetime_s=1)
    assert cache.get("big") is None, "nor does the older one stay"
    cache.put("big", replace(OK, body=bytes(MIB // 4)), lifetime_s=1)
    assert cache.get("big") is not None
    cache.close()


# Asking.


def test_a_fresh_answer_is_not_asked_for_again(
    ask: Callable[..., Answer], host: Host, clock: Clock
) -> None:
    first = ask(OK)
    assert first == Answer(OK, "2030-03-17T17:46:40.000000Z")
    clock.now += MODEL_INFO_S - 1
    assert ask() == first
    assert host.asked == [ASKED]


def test_an_old_answer_is_confirmed_by_its_etag(
    ask: Callable[..., Answer], host: Host, clock: Clock
) -> None:
    ask(OK)
    clock.now += MODEL_INFO_S
    again = ask(Response(304, URL))
    assert again == Answer(OK, "2030-03-18T17:46:40.000000Z")
    assert host.asked[1] == replace(ASKED, headers={"If-None-Match": '"one"'})
    clock.now += MODEL_INFO_S - 1
    assert ask() == again


def test_an_old_answer_is_replaced_by_another(ask: Callable[..., Answer], clock: Clock) -> None:
    ask(OK)
    clock.now += MODEL_INFO_S
    new = replace(OK, body=b"new", headers={"etag": '"two"'})
    assert ask(new).response == new
    assert ask().response == new


def test_an_answer_without_an_etag_is_asked_for_whole(
    ask: Callable[..., Answer], host: Host, clock: Clock
) -> None:
    ask(replace(OK, headers={}))
    clock.now += MODEL_INFO_S
    ask(OK)
    assert host.asked == [ASKED, ASKED]


def test_refresh_asks_for_all_of_it(ask: Callable[..., Answer], host: Host) -> None:
    ask(OK)
    new = replace(OK, body=b"new")
    assert ask(new, refresh=True).response == new
    assert host.asked == [ASKED, ASKED]
    assert ask().response == new


@pytest.mark.parametrize(
    "error",
    [OfflineError("x"), HostUnavailableError("x"), RateLimitedError("x")],
)
def test_where_the_host_is_down_the_old_answer_is_better_than_none(
    ask: Callable[..., Answer], clock: Clock, error: NetworkError
) -> None:
    first = ask(OK)
    clock.now += 100 * MODEL_INFO_S
    assert ask(error) == replace(first, is_stale=True)
    assert ask(Response(200, URL, {}, b"new")).is_stale is False


def test_a_refresh_that_fails_gives_what_is_kept(ask: Callable[..., Answer]) -> None:
    first = ask(OK)
    assert ask(OfflineError("x"), refresh=True) == replace(first, is_stale=True)


def test_where_nothing_is_kept_the_error_is_told(ask: Callable[..., Answer]) -> None:
    with pytest.raises(HostUnavailableError, match="down"):
        ask(HostUnavailableError("down"))


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_host_in_trouble_counts_as_down(
    ask: Callable[..., Answer], clock: Clock, status: int
) -> None:
    assert ask(Response(status, URL)).response.status == status
    first = ask(OK)
    clock.now += MODEL_INFO_S
    assert ask(Response(status, URL)) == replace(first, is_stale=True)


@pytest.mark.parametrize(
    ("status", "kept_s"),
    [
        (200, SEARCH_S),
        (404, 600.0),
        (401, 600.0),
        (403, 600.0),
        (204, 0),
        (206, 0),
        (302, 0),
        (410, 0),
    ],
)
def test_how_long_answers_are_kept(
    host: Host, cache: AnswerCache, clock: Clock, status: int, kept_s: float
) -> None:
    def ask() -> int:
        host.answers = [replace(OK, status=status)]
        asyncio.run(cached_request(host, cache, ASKED, lifetime_s=SEARCH_S, miss_lifetime_s=600.0))
        return len(host.asked)

    ask()
    clock.now += max(0.0, kept_s - 1)
    assert ask() == (1 if kept_s else 2)
    clock.now += 1
    assert ask() == (2 if kept_s else 3)


def test_a_page_for_people_is_not_kept(ask: Callable[..., Answer]) -> None:
    page = Response(200, URL, {"content-type": "text/html; charset=utf-8"}, b"<html>")
    assert ask(page).response == page
    assert ask(OK).response == OK


def test_what_changes_something_is_never_kept(ask: Callable[..., Answer], host: Host) -> None:
    change = replace(ASKED, method="POST", idempotent=False)
    ask(OK, request=change)
    ask(OK, request=change)
    assert len(host.asked) == 2


def test_a_miss_is_forgotten_sooner_than_a_listing() -> None:
    assert 0 < MISS_S <= SEARCH_S < MODEL_INFO_S < DIGEST_S


# The same request several times at once.


def together(*calls: Awaitable[Answer]) -> list[Answer | BaseException]:
    async def gather() -> list[Answer | BaseException]:
        return await asyncio.gather(*calls, return_exceptions=True)

    return asyncio.run(gather())


def test_the_same_request_twice_is_one_call(host: Host, cache: AnswerCache) -> None:
    host.answers = [OK, replace(OK, body=b"other")]
    other = replace(ASKED, url=URL + "?x")
    requests = [ASKED, other, ASKED, ASKED]
    calls = [cached_request(host, cache, request, lifetime_s=9) for request in requests]
    found = together(*calls)
    assert [one.response.body for one in found if isinstance(one, Answer)] == [
        *(BODY, b"other", BODY, BODY)
    ]
    assert host.asked == [ASKED, other]


def test_all_who_wait_are_told_of_a_failure(host: Host, cache: AnswerCache) -> None:
    host.answers = [OfflineError("x"), OK]
    found = together(*[cached_request(host, cache, ASKED, lifetime_s=9) for _ in range(3)])
    assert [type(one) for one in found] == [OfflineError] * 3
    [again] = together(cached_request(host, cache, ASKED, lifetime_s=9))
    assert isinstance(again, Answer)


async def _three_wait(host: Host, cache: AnswerCache) -> list[asyncio.Task[Answer]]:
    """Three tasks that wait for one call, which is on its way."""
    host.gate = asyncio.Event()
    tasks = [
        asyncio.create_task(cached_request(host, cache, ASKED, lifetime_s=9)) for _ in range(3)
    ]
    while not host.asked:
        await asyncio.sleep(0)
    return tasks


def test_one_who_gives_up_does_not_take_the_answer_from_the_others(
    host: Host, cache: AnswerCache
) -> None:
    async def scene() -> None:
        host.answers = [OK]
        tasks = await _three_wait(host, cache)
        assert host.gate is not None
        tasks[0].cancel()
        await asyncio.wait([tasks[0]])
        host.gate.set()
        assert [(await task).response for task in tasks[1:]] == [OK, OK]
        assert tasks[0].cancelled()

    asyncio.run(scene())
    assert len(host.asked) == 1


def test_a_call_that_nobody_waits_for_ends_and_the_next_is_a_new_one(
    host: Host, cache: AnswerCache
) -> None:
    async def scene() -> None:
        host.answers = [OK]
        for task in await _three_wait(host, cache):
            task.cancel()
        await asyncio.sleep(0)
        again = asyncio.create_task(cached_request(host, cache, ASKED, lifetime_s=9))
        await asyncio.sleep(0)
        assert host.gate is not None
        host.gate.set()
        assert (await again).response == OK

    asyncio.run(scene())
    assert len(host.asked) == 2


def test_event_loops_of_several_threads_share_a_cache(cache: AnswerCache) -> None:
    found: list[Answer | BaseException] = []

    def work() -> None:
        host = Host([replace(OK, body=str(n).encode()) for n in range(20)])
        for n in range(20):
            request = replace(ASKED, url=f"{URL}/{n}")
            found.extend(together(cached_request(host, cache, request, lifetime_s=99)))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT_S)
    assert len(found) == 60
    assert all(isinstance(one, Answer) for one in found)


# Several processes, and processes that end badly.


def start(path: Path, name: str, count: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-P", "-c", WRITER, path, name, str(count)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def check_bodies(cache: AnswerCache, name: str, count: int) -> int:
    """No answer is there in part; how many there are."""
    kept = 0
    for n in range(count):
        answer = cache.get(f"{name} {n}")
        if answer is not None:
            assert answer.response.body == f"{name} {n} ".encode() * 2000
            kept += 1
    return kept


def test_processes_share_one_cache(cache: AnswerCache, path: Path) -> None:
    running = [start(path, name, 60) for name in "abcd"]
    while any(process.poll() is None for process in running):
        check_bodies(cache, "a", 60)
    for process in running:
        _, errors = process.communicate(timeout=TIMEOUT_S)
        assert (process.returncode, errors) == (0, "")
    assert [check_bodies(cache, name, 60) for name in "abcd"] == [60] * 4


@pytest.mark.parametrize("answers", [0, 1, 7, 40])
def test_a_process_that_is_killed(path: Path, answers: int) -> None:
    AnswerCache(path).close()
    process = start(path, "a", 10_000)
    assert process.stdout is not None
    assert process.stdout.readline() == "begins\n"
    cache = AnswerCache(path)
    while answers and cache.get(f"a {answers - 1}") is None:
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=TIMEOUT_S)
    assert check_bodies(cache, "a", 10_000) >= answers
    cache.close()
    again = AnswerCache(path)
    assert check_bodies(again, "a", 10_000) >= answers
    again.put("key", OK, lifetime_s=1)
    assert again.get("key") is not None
    again.close()
    assert not list(path.parent.glob("*.damaged"))


# A cache that is no good is in nobody's way.


@pytest.mark.parametrize("data", [b"no database" * 999, b"", b"SQLite format 3\0" + bytes(8192)])
def test_a_damaged_file_is_set_aside(
    path: Path, ask_at: Callable[[], list[Answer]], data: bytes
) -> None:
    path.parent.mkdir()
    path.write_bytes(data)
    assert [answer.response for answer in ask_at()] == [OK, OK]
    assert path.with_name("answers.db.damaged").exists() == bool(data)


@pytest.fixture
def ask_at(path: Path) -> Callable[[], list[Answer]]:
    """Opens the cache and asks for the same twice; the host answers once."""

    def ask_twice() -> list[Answer]:
        cache, host = AnswerCache(path), Host([OK])
        found = []
        for _ in range(2):
            found += together(cached_request(host, cache, ASKED, lifetime_s=9))
        cache.close()
        return [one for one in found if isinstance(one, Answer)]

    return ask_twice


@pytest.mark.parametrize(
    "change",
    [
        "DROP TABLE answers",
        "DELETE FROM meta",
        "UPDATE meta SET value = zeroblob(100)",
        "UPDATE answers SET head = '{'",
        "UPDATE answers SET head = '[1, {}]'",
        'UPDATE answers SET head = \'["x", {"etag": 5}]\'',
        "UPDATE answers SET head = '[\"x\", []]'",
        "UPDATE answers SET head = printf('%.*c', 100000, '[')",
        "CREATE TABLE a AS SELECT * FROM answers; UPDATE a SET body = 5;"
        " DROP TABLE answers; ALTER TABLE a RENAME TO answers",
        "CREATE TABLE a AS SELECT * FROM answers; UPDATE a SET stored_at = 'today';"
        " DROP TABLE answers; ALTER TABLE a RENAME TO answers",
    ],
)
def test_a_hostile_file_is_set_aside(path: Path, change: str, ask: Callable[..., Answer]) -> None:
    ask(OK)
    hostile = apsw.Connection(str(path))
    hostile.execute(change)
    hostile.close()
    new = replace(OK, body=b"new")
    assert ask(new).response == new
    # Made anew, the file has another salt: what was asked for before that is asked for once more.
    ask(*[new] * ("meta" not in change))
    assert ask().response == new
    assert path.with_name("answers.db.damaged").exists()


@pytest.mark.parametrize("change", ["PRAGMA application_id = 7", "PRAGMA user_version = 99"])
def test_a_file_of_others_stays_and_nothing_is_kept(
    path: Path, change: str, caplog: pytest.LogCaptureFixture
) -> None:
    AnswerCache(path).close()
    other = apsw.Connection(str(path))
    other.execute(change)
    other.close()
    before = path.read_bytes()
    check_nothing_is_kept(AnswerCache(path))
    assert path.read_bytes() == before
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def check_nothing_is_kept(cache: AnswerCache) -> None:
    cache.put("key", OK, lifetime_s=9)
    cache.renew("key", lifetime_s=9)
    cache.clear()
    assert cache.get("key") is None
    host = Host([OK, OK])
    found = together(*[cached_request(host, cache, ASKED, lifetime_s=9) for _ in range(2)])
    assert [one.response for one in found if isinstance(one, Answer)] == [OK, OK]
    assert len(host.asked) == 1, "that it is one call needs no disk"
    cache.close()


def test_no_folder_no_cache(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    check_nothing_is_kept(AnswerCache(tmp_path / "file" / "answers.db"))


def test_a_closed_cache_keeps_nothing(cache: AnswerCache) -> None:
    cache.put("key", OK, lifetime_s=9)
    cache.close()
    check_nothing_is_kept(cache)


def test_another_process_that_does_not_let_go(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What is kept is found at once, what is new is not kept, and that is said once."""
    cache = AnswerCache(path, lock_timeout_s=0.01)
    cache.put("key", OK, lifetime_s=9)
    other = apsw.Connection(str(path))
    other.execute("BEGIN IMMEDIATE")
    assert cache.get("key") is not None
    with caplog.at_level(logging.WARNING):
        for key in ("new", "newer"):
            cache.put(key, OK, lifetime_s=9)
            assert cache.get(key) is None
    assert len(caplog.records) == 1
    other.close()
    # It is not tried again in this run, which would wait as long each time.
    cache.put("new", OK, lifetime_s=9)
    assert cache.get("new") is None
    cache.close()
    later = AnswerCache(path)
    later.put("new", OK, lifetime_s=9)
    assert later.get("new") is not None
    later.close()


def test_a_full_disk_is_in_nobodys_way(mounts: Mounts) -> None:
    cache = AnswerCache(mounts.tmpfs(2 * MIB) / "answers.db")
    for n in range(40):
        cache.put(str(n), replace(OK, body=os.urandom(100_000)), lifetime_s=9)
    kept = [n for n in range(40) if cache.get(str(n)) is not None]
    assert 0 < len(kept) < 40
    cache.close()


def test_what_the_key_is_made_of_is_json(cache: AnswerCache) -> None:
    """No two requests whose parts merely run into each other have the same key."""
    one = replace(ASKED, headers={"a": json.dumps(["b"])})
    other = replace(ASKED, headers={"a": "b"}, json=["b"])
    assert cache.key(one) != cache.key(other)
