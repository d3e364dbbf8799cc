"""Mishaps of downloads for Hypothesis: what goes wrong, where, at which request and how often."""

from dataclasses import dataclass

from hypothesis import strategies as st

from tests.support.fake_hub import (
    Chunked,
    Cut,
    Do,
    Drip,
    Empty,
    FakeHub,
    FakeRepo,
    Fault,
    FlippedByte,
    GzipAnyway,
    Header,
    Longer,
    Multipart,
    NoAnswer,
    OtherContent,
    Portal,
    RangeIgnored,
    RangeRefused,
    RangeShort,
    RangeWithStatus200,
    RangeWrong,
    Redirect,
    RedirectChain,
    Replaced,
    Stall,
    Status,
    WeakEtag,
    Without,
)

__all__ = ["LIVELY_BYTES", "MOST_BYTES", "Mishap", "mishaps"]

MIB = 1 << 20
MOST_BYTES = 3 * MIB
LIVELY_BYTES = 64 << 10
"""A body that breaks after so much says nothing against its host."""
FAILURES = 4
"""So many a host may have in a run before it is left alone for half a minute."""

_PLACES = {
    "cdn": ("cdn", "*"),
    "resolve": ("hub", "*/resolve/*"),
    "cache": ("hub", "/api/resolve-cache/*"),
    "listing": ("hub", "/api/models/*"),
}
_HEADERS = (
    "Content-Length", "Content-Range", "Accept-Ranges", "ETag", "X-Linked-Size", "X-Linked-ETag",
    "X-Repo-Commit", "Content-Type", "RateLimit", "Location",
)  # fmt: skip
_STATUSES = (204, 301, 400, 401, 403, 404, 408, 410, 416, 451, 500, 502, 503, 504, 520)
_CONTENT_RANGES = (
    "bytes 0-0/1", "bytes 0-9/*", "bytes */5", "bytes 5-4/9", "pages 1-2/3", "bytes 0-/", "",
    "bytes 99999999999999999999-99999999999999999999/99999999999999999999",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Mishap:
    """A fault in its place. ``times`` is ``None`` for one that lasts.

    ``is_honest``: what is sent of the file is right, and ranges are heeded, so that little may be
    fetched twice. ``event`` is something that happens instead, by its name.
    """

    fault: Fault | None
    place: str
    nth: int
    times: int | None
    is_honest: bool
    event: str = ""

    def add_to(self, fake: FakeHub) -> None:
        """Let it happen."""
        host, path = _PLACES[self.place]
        fault = self.fault if self.fault is not None else Do(_event(fake, self.event), late=True)
        fake.chaos.add(fault, host=host, path=path, nth=self.nth, times=self.times)


def _event(fake: FakeHub, name: str) -> "_Event":
    return _Event(fake, fake.hub.repo("acme/toy"), name)


@dataclass(frozen=True, slots=True)
class _Event:
    """The world changes while a download is under way."""

    fake: FakeHub
    repo: FakeRepo
    name: str

    def __call__(self) -> None:
        match self.name:
            case "links expire":
                self.fake.clock.advance(4000.0)
            case "gated":
                self.repo.gated = "auto"
            case "main moves":
                self.repo.commit({"model.safetensors": b"other weights"})
            case "gone":
                self.fake.hub.remove(self.repo.repo_id)


def _places(offset: st.SearchStrategy[int]) -> st.SearchStrategy[int]:
    return st.one_of(offset, st.sampled_from([0, 1, LIVELY_BYTES, 256 << 10]))


_OFFSETS = _places(st.integers(0, MOST_BYTES))
_FAR = st.integers(LIVELY_BYTES, MOST_BYTES)

_BREAKS = st.one_of(
    st.builds(Cut, _OFFSETS, st.booleans()),
    st.builds(NoAnswer, st.booleans()),
    st.builds(Status, st.sampled_from(_STATUSES)),
    st.builds(Status, st.sampled_from((500, 502, 503, 504))),
    st.builds(Cut, _OFFSETS, st.booleans()),
)
_SLOW_BREAKS = st.one_of(
    st.builds(Stall, st.just(60.0), _OFFSETS), st.just(Drip(500, 0.02)), st.just(Stall(0.05, 1000))
)
_HARMLESS = st.one_of(
    st.builds(Longer, st.binary(min_size=1, max_size=50)),
    st.just(Chunked()),
    st.just(WeakEtag()),
    st.builds(Without, st.sampled_from(_HEADERS)),
    st.just(RedirectChain(2)),
    st.just(Header("ETag", '"another"')),
    st.builds(Header, st.just("Content-Type"), st.sampled_from(["text/html", "", "x"])),
)
_WRONG = st.one_of(
    st.builds(FlippedByte, _OFFSETS),
    st.builds(FlippedByte, _OFFSETS),
    st.just(OtherContent()),
    st.builds(Replaced, st.binary(max_size=100)),
    st.builds(lambda size: Replaced(b"z" * size), st.integers(0, MOST_BYTES + 1000)),
    st.just(Portal()),
    st.just(Empty()),
    st.just(RangeIgnored()),
    st.builds(RangeWrong, st.integers(-2, 2), st.integers(-2, 2)),
    st.just(RangeRefused()),
    st.builds(RangeShort, st.integers(LIVELY_BYTES, MOST_BYTES)),
    st.just(RangeWithStatus200()),
    st.just(GzipAnyway()),
    st.just(Multipart()),
    st.builds(Header, st.just("Content-Range"), st.sampled_from(_CONTENT_RANGES)),
    st.builds(Header, st.just("Content-Length"), st.sampled_from(["0", "5", "99999999", "x"])),
    st.builds(Header, st.just("Content-Encoding"), st.sampled_from(["gzip", "br", "x"])),
    st.builds(Redirect, st.sampled_from(["", "/", "//", "http://localhost:1/x", "ftp://x/y"])),
)
_EVENTS = st.sampled_from(["links expire", "gated", "main moves", "gone"])
_BYTES_PLACES = st.sampled_from(["cdn", "cdn", "cdn", "resolve", "cache"])
_ALL_PLACES = st.sampled_from(["cdn", "cdn", "cdn", "cdn", "resolve", "cache", "listing"])
_NTH = st.integers(1, 4)

_MISHAP = st.one_of(
    st.builds(Mishap, _BREAKS, _BYTES_PLACES, _NTH, st.integers(1, 2), st.just(True)),
    st.builds(Mishap, _BREAKS, _BYTES_PLACES, _NTH, st.just(1), st.just(True)),
    st.builds(Mishap, _SLOW_BREAKS, st.just("cdn"), _NTH, st.just(1), st.just(True)),
    st.builds(Mishap, st.builds(Cut, _FAR), st.just("cdn"), _NTH, st.none(), st.just(True)),
    st.builds(Mishap, _HARMLESS, _ALL_PLACES, _NTH, st.sampled_from([1, None]), st.just(False)),
    st.builds(Mishap, _WRONG, _BYTES_PLACES, _NTH, st.integers(1, 3), st.just(False)),
    st.builds(Mishap, _WRONG, _ALL_PLACES, _NTH, st.sampled_from([1, None]), st.just(False)),
    st.builds(Mishap, st.none(), _BYTES_PLACES, _NTH, st.just(1), st.just(True), _EVENTS),
)


def _few_failures(found: list[Mishap]) -> bool:
    return sum(one.times or 0 for one in found) <= FAILURES


mishaps = st.lists(_MISHAP, max_size=3).filter(_few_failures)
"""Up to three that come together."""
