"""What a look-up costs in an index of a million files, and an answer that is kept."""

import random
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from modelcellar.answers.store import AnswerCache
from modelcellar.hf.oid_index import OidIndex
from modelcellar.network.http import Request, Response
from modelcellar.origins import Listing, RepoFile

FILES = 1_000_000
FILES_EACH = 20
"""Per repository; about what a repository of models has."""
BIG_SHARE = 4
"""One file of so many is an LFS object; the others are known by their blob."""
LOOK_UPS = 1_000
MAX_LOOK_UP_MS = 1.0
MAX_FILL_S = 60.0
ANSWERS = 10_000
ANSWER_BYTES = 20_000
MAX_HIT_US = 200.0


def listing(number: int) -> Listing:
    """A made-up repository, the same for the same number."""
    chance = random.Random(number)
    files = tuple(
        RepoFile(
            path=f"transformer/diffusion_pytorch_model-{n:05}-of-{FILES_EACH:05}.safetensors",
            size_bytes=chance.randrange(1 << 33),
            sha256=chance.randbytes(32).hex() if n % BIG_SHARE == 0 else None,
            git_sha1=chance.randbytes(20).hex(),
            scan="safe",
        )
        for n in range(FILES_EACH)
    )
    commit = chance.randbytes(20).hex()
    return Listing(f"author-{number % 997}/model-{number}", commit, files, "2030-01-01T00:00:00Z")


@pytest.fixture(scope="module")
def scale(pytestconfig: pytest.Config) -> float:
    """Below 1 for a trial, whose figures mean nothing."""
    return min(1.0, float(pytestconfig.getoption("--scale")))


@pytest.fixture(scope="module")
def repositories(scale: float) -> int:
    """How many the index holds."""
    return max(1, int(FILES / FILES_EACH * scale))


@pytest.fixture(scope="module")
def index(place: Path, repositories: int) -> Iterator[OidIndex]:
    """A full index; says how long that took and what a file takes."""
    path = place / "oids" / "oids.db"
    made = OidIndex(path)
    # Made beforehand, some at a time, so that only what the index does is timed.
    seconds = 0.0
    for first in range(0, repositories, 5000):
        listings = [listing(n) for n in range(first, min(first + 5000, repositories))]
        began = time.perf_counter()
        made.add_all(listings)
        seconds += time.perf_counter() - began
    made.close()  # what is still in the WAL goes into the file
    files = repositories * FILES_EACH
    file_bytes = path.stat().st_size
    print(f"\n{files:,} files: {seconds:.1f} s, {file_bytes / files:.0f} bytes each")
    assert seconds <= MAX_FILL_S
    made = OidIndex(path)
    yield made
    made.close()


def median_us(look_up: Callable[[int], object], numbers: list[int]) -> float:
    seconds = []
    for number in numbers:
        began = time.perf_counter()
        look_up(number)
        seconds.append(time.perf_counter() - began)
    worst = sorted(seconds)[len(seconds) * 99 // 100]
    print(f"\nmedian {statistics.median(seconds) * 1e6:.0f} us, 99 % below {worst * 1e6:.0f} us")
    return statistics.median(seconds) * 1e6


def test_by_sha256(benchmark: BenchmarkFixture, index: OidIndex, repositories: int) -> None:
    """The bar: 1 ms at a million files, wherever in the index they are."""
    numbers = [random.Random(0).randrange(repositories) for _ in range(LOOK_UPS)]
    oids = {n: str(listing(n).files[0].sha256) for n in numbers}
    for n, oid in oids.items():
        assert index.by_sha256(oid)[0].repo_id == listing(n).repo_id
    assert median_us(lambda n: index.by_sha256(oids[n]), numbers) <= MAX_LOOK_UP_MS * 1000
    benchmark(index.by_sha256, oids[numbers[0]])


def test_of_what_is_not_there(benchmark: BenchmarkFixture, index: OidIndex) -> None:
    """Most look-ups; the same bar."""
    oids = {n: random.Random(-1 - n).randbytes(32).hex() for n in range(LOOK_UPS)}
    assert median_us(lambda n: index.by_sha256(oids[n]), list(oids)) <= MAX_LOOK_UP_MS * 1000
    benchmark(index.by_sha256, oids[0])


def test_by_git_sha1(benchmark: BenchmarkFixture, index: OidIndex, repositories: int) -> None:
    """The same bar."""
    numbers = [random.Random(1).randrange(repositories) for _ in range(LOOK_UPS)]
    files = {n: listing(n).files[1] for n in numbers}

    def look_up(n: int) -> object:
        return index.by_git_sha1(str(files[n].git_sha1), files[n].size_bytes)

    assert look_up(numbers[0])
    assert median_us(look_up, numbers) <= MAX_LOOK_UP_MS * 1000
    benchmark(look_up, numbers[0])


def test_one_more_listing(benchmark: BenchmarkFixture, index: OidIndex) -> None:
    """What each answer of the Hub costs on top."""
    numbers = iter(range(10_000_000, 20_000_000))
    benchmark.pedantic(
        lambda made: index.add(made), setup=lambda: ((listing(next(numbers)),), {}), rounds=200
    )


@pytest.fixture(scope="module")
def answers(scale: float) -> int:
    """How many the cache holds."""
    return int(ANSWERS * scale)


@pytest.fixture(scope="module")
def cache(place: Path, answers: int) -> Iterator[AnswerCache]:
    """A cache with many answers."""
    made = AnswerCache(place / "answers" / "answers.db")
    for n in range(answers):
        request = Request("GET", f"https://hub.example/api/models/{n}")
        response = Response(
            200,
            request.url,
            {"etag": f'"{n}"', "content-type": "application/json"},
            bytes(ANSWER_BYTES),
        )
        made.put(made.key(request), response, lifetime_s=1e9)
    yield made
    made.close()


def test_a_kept_answer(benchmark: BenchmarkFixture, cache: AnswerCache, answers: int) -> None:
    """The bar: 200 microseconds for one of 20 kB among 10,000, its key included."""

    def look_up(n: int) -> object:
        return cache.get(cache.key(Request("GET", f"https://hub.example/api/models/{n}")))

    numbers = [random.Random(2).randrange(answers) for _ in range(LOOK_UPS)]
    assert look_up(numbers[0]) is not None
    assert median_us(look_up, numbers) <= MAX_HIT_US
    benchmark(look_up, numbers[0])


def test_an_answer_put(benchmark: BenchmarkFixture, cache: AnswerCache) -> None:
    """What keeping one costs, in a cache that is large but not full."""
    numbers = iter(range(ANSWERS, 10 * ANSWERS))
    response = Response(200, "https://hub.example/", {}, bytes(ANSWER_BYTES))
    benchmark.pedantic(lambda: cache.put(f"{next(numbers)}", response, lifetime_s=1e9), rounds=500)
