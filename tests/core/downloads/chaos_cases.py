"""Everything that goes wrong in section 5.3 of the notes on the Hub's API, and how it must end."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.support.downloads import MIB
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
    TooMany,
    WeakEtag,
    Without,
)
from tests.support.fake_hub.messages import Request, Response
from tests.support.models import safetensors_bytes

__all__ = ["CASES", "FILES", "WEIGHTS", "Case"]

WEIGHTS = safetensors_bytes(seed=3, size_bytes=2 * MIB + 12_340)
FILES: Mapping[str, bytes] = {
    "config.json": b'{"model_type": "llama"}',
    "model.safetensors": WEIGHTS,
    "tokenizer.json": b'{"version": "1.0", "model": {"vocab": {'
    + b'"a": 1, ' * 40_000
    + b'"b": 2}}}',
}
SIZE = len(WEIGHTS)
MIDDLE = 1_000_003
LATER_S = 4000.0
NOWHERE = "localhost-nowhere.invalid"

SetUp = Callable[[FakeHub, FakeRepo], object]
BROKEN = "transfer_broken"
DOWN = "host_unavailable"


@dataclass(frozen=True, slots=True)
class Case:
    """What goes wrong, and the codes of the ends that are right.

    ``is_bounded``: ranges and content are right, so little may be fetched twice. ``is_slow``:
    takes some seconds. ``is_alone``: for one connection only, as several that fail at the same time
    open the circuit of the host, which is then left alone for half a minute.
    """

    set_up: SetUp
    ends: frozenset[str]
    is_bounded: bool
    is_slow: bool = False
    is_alone: bool = False


CASES: dict[str, Case] = {}


def case(
    name: str,
    set_up: SetUp,
    *ends: str,
    bounded: bool | None = None,
    slow: bool = False,
    alone: bool = False,
) -> None:
    right = frozenset(ends or ["ok"])
    bounded = "ok" in right if bounded is None else bounded
    CASES[name] = Case(set_up, right, bounded, slow, alone)


def cdn(*faults: Fault, nth: int = 1, times: int | None = 1) -> SetUp:
    return lambda fake, _: fake.chaos.add(*faults, host="cdn", method="GET", nth=nth, times=times)


def resolve(*faults: Fault, times: int | None = 1) -> SetUp:
    path = "*/resolve/*"
    return lambda fake, _: fake.chaos.add(*faults, host="hub", path=path, times=times)


def api(*faults: Fault, times: int | None = 1) -> SetUp:
    path = "/api/models/*"
    return lambda fake, _: fake.chaos.add(*faults, host="hub", path=path, times=times)


def cached(*faults: Fault, times: int | None = 1) -> SetUp:
    path = "/api/resolve-cache/*"
    return lambda fake, _: fake.chaos.add(*faults, host="hub", path=path, times=times)


def both(*set_ups: SetUp) -> SetUp:
    return lambda fake, repo: [set_up(fake, repo) for set_up in set_ups]


def after_a_cut(*faults: Fault, times: int | None = 1) -> SetUp:
    """The connection ends in the middle, and something happens to what is asked for next."""
    return both(cdn(Cut(MIDDLE)), cdn(*faults, nth=2, times=times))


# --- connections ---

for at in (0, 1, MIDDLE, SIZE - 1):
    case(f"FIN after {at}", cdn(Cut(at)))
    case(f"RST after {at}", cdn(Cut(at, reset=True)))
case("FIN after the same byte for ever", cdn(Cut(MIDDLE), times=None), "ok")
case("FIN after 100,000 bytes for ever", cdn(Cut(100_000), times=None))
case("FIN after next to nothing for ever", cdn(Cut(7), times=None), BROKEN, alone=True)
case("RST before the headers", cdn(NoAnswer()))
case("FIN before the headers", cdn(NoAnswer(reset=False)))
case("no answer for ever", cdn(NoAnswer(), times=None), BROKEN, DOWN, alone=True)
case("RST before the headers of resolve", resolve(NoAnswer()))
case("RST before the listing", api(NoAnswer()))
case("FIN in the listing", api(Cut(20)))
case("FIN in a small file", cached(Cut(5)))
case("stall in the body", cdn(Stall(60.0, MIDDLE)))
case("stall before the first byte", cdn(Stall(60.0, 0)))
case("stall for ever", cdn(Stall(60.0, 7), times=None), BROKEN, alone=True)
case("stall in a small file", cached(Stall(1.0, 5)))
case(
    "name that nobody knows",
    resolve(Redirect(f"https://{NOWHERE}/x"), times=None),
    BROKEN,
    DOWN,
    alone=True,
)
case("name that nobody knows, once", resolve(Redirect(f"https://{NOWHERE}/x")))
case("TLS where there is none",
     lambda fake, _: resolve(Redirect(fake.cdn_url.replace("http", "https")), times=None)(fake, _),
     BROKEN, DOWN, alone=True)  # fmt: skip
case("drip below the floor", cdn(Drip(200, 0.02)))
case("drip for ever", cdn(Drip(200, 0.02), times=None), BROKEN, slow=True)

# --- statuses ---

for status in (500, 502, 503, 504):
    case(f"{status} twice from the CDN", cdn(Status(status), times=2))
    case(f"{status} twice from resolve", resolve(Status(status), times=2))
    case(f"{status} twice for the listing", api(Status(status), times=2), slow=True)
    case(f"{status} for a small file", cached(Status(status)))
case("503 from the CDN for ever", cdn(Status(503), times=None), BROKEN, DOWN, alone=True)
case("503 from resolve for ever", resolve(Status(503), times=None), BROKEN, DOWN, alone=True)
case("503 for the listing for ever", api(Status(503), times=None), DOWN, slow=True)
case("400 from the CDN for ever", cdn(Status(400), times=None), BROKEN)
case("404 from the CDN once", cdn(Status(404)))
case("404 from resolve for ever", resolve(Status(404), times=None), "not_published")
case("403 of an edge from resolve for ever", resolve(Status(403), times=None),
     "sign_in_needed", "answer_refused")  # fmt: skip


def private(fake: FakeHub, repo: FakeRepo) -> None:
    del fake
    repo.private = True


def gated(fake: FakeHub, repo: FakeRepo) -> None:
    del fake
    repo.gated = "auto"


def disabled(fake: FakeHub, repo: FakeRepo) -> None:
    del fake
    repo.disabled = True


def gated_in_mid_transfer(fake: FakeHub, repo: FakeRepo) -> None:
    cdn(Cut(MIDDLE), Do(lambda: gated(fake, repo), late=True))(fake, repo)


def unpublished(fake: FakeHub, repo: FakeRepo) -> None:
    fake.hub.remove(repo.repo_id)


def unpublished_in_mid_transfer(fake: FakeHub, repo: FakeRepo) -> None:
    cdn(Cut(MIDDLE), Do(lambda: unpublished(fake, repo), late=True))(fake, repo)


case("private", private, "sign_in_needed", "not_published")
case("gated", gated, "sign_in_needed")
case("disabled", disabled, "sign_in_needed", "not_published", "answer_refused")
case("gone", unpublished, "sign_in_needed", "not_published")
# With several connections another one may still have a signed address.
case("gated in mid-transfer", gated_in_mid_transfer, "sign_in_needed", "ok")
case("gone in mid-transfer", unpublished_in_mid_transfer, "sign_in_needed", "not_published", "ok")

for name, where in {"the CDN": cdn, "resolve": resolve, "the listing": api}.items():
    bucket = "api" if where is api else "resolvers"
    case(f"429 with the quota from {name}", where(TooMany.quota(1, bucket=bucket)), slow=True)
    case(f"429 with seconds from {name}", where(TooMany.retry_after(1, left=7)), slow=True)
    if where is not cdn:
        case(f"429 alone from {name}", where(TooMany()), slow=True)
case("429 with a date from the CDN",
     lambda fake, _: cdn(TooMany.retry_at(fake.clock, 1.0))(fake, _), slow=True)  # fmt: skip

# --- addresses ---


def expired(fake: FakeHub, repo: FakeRepo) -> None:
    del repo
    fake.settings.signed_life_s = -1


def expired_at_first(fake: FakeHub, repo: FakeRepo) -> None:
    expired(fake, repo)

    def last() -> None:
        fake.settings.signed_life_s = 3600

    cdn(Do(last))(fake, repo)


def expiring(fake: FakeHub, repo: FakeRepo) -> None:
    cdn(Cut(MIDDLE), Do(lambda: fake.clock.advance(LATER_S), late=True))(fake, repo)


@dataclass(frozen=True, slots=True)
class OtherName(Fault):
    """The CDN under another name, which makes it another host."""

    def after(self, request: Request, response: Response) -> Response:
        del request
        location = response.header("Location") or ""
        return response.with_headers({"Location": location.replace("//localhost", "//127.0.0.1")})


case("signed address that is expired", expired, BROKEN)
case("signed address that is expired at first", expired_at_first)
case("signed address that expires in mid-transfer", expiring)
case("redirect to another host", resolve(OtherName(), times=None))
case("another host after a cut",
     both(cdn(Cut(MIDDLE)),
          lambda fake, _: fake.chaos.add(OtherName(), host="hub", path="*/resolve/*",
                                         nth=2, times=None)))  # fmt: skip
case("redirect to a stranger who has other bytes",
     lambda fake, _: resolve(Redirect(f"{fake.elsewhere_url}/x"), times=None)(fake, _),
     BROKEN)  # fmt: skip
case("redirect to a stranger once",
     lambda fake, _: resolve(Redirect(f"{fake.elsewhere_url}/x"))(fake, _))  # fmt: skip
case("chain of redirects", resolve(RedirectChain(3), times=None))
case("redirects without end", resolve(RedirectChain(), times=None), BROKEN, "answer_refused")
case("chain of redirects of the CDN", cdn(RedirectChain(3), times=None))
case("redirect to what is not encrypted",
     resolve(Redirect(f"http://{NOWHERE}/x"), times=None), BROKEN, "answer_refused")  # fmt: skip
case("redirect without an address", resolve(Redirect(""), times=None), BROKEN, "answer_refused")

# --- ranges ---

case("range ignored after a cut", after_a_cut(RangeIgnored()), bounded=False)
case("ranges ignored for ever", cdn(RangeIgnored(), times=None), bounded=False)
case("ranges ignored for ever, and a cut",
     both(cdn(Cut(MIDDLE)), cdn(RangeIgnored(), times=None)), bounded=False)  # fmt: skip
for start_by, total_by in ((1, 0), (-1, 0), (0, 1), (0, -1)):
    fault = RangeWrong(start_by, total_by)
    case(f"range off by {start_by} of {total_by} after a cut", after_a_cut(fault))
    case(f"range off by {start_by} of {total_by} for ever", cdn(fault, times=None), BROKEN)
case("416 after a cut", after_a_cut(RangeRefused()))
case("416 for ever", cdn(RangeRefused(), times=None), BROKEN)
case("206 shorter than asked", cdn(RangeShort(100_000), times=None))
case("206 of one byte for ever", cdn(RangeShort(1), times=None), BROKEN)
case("gzip despite identity", after_a_cut(GzipAnyway()), bounded=False)
case("gzip despite identity for ever", cdn(GzipAnyway(), times=None), BROKEN)
case("multipart answer", after_a_cut(Multipart()))
case("multipart answers for ever", cdn(Multipart(), times=None), BROKEN)
case("206 that calls itself 200", after_a_cut(RangeWithStatus200()))

# --- content ---


def moved(fake: FakeHub, repo: FakeRepo) -> None:
    """``main`` moves on as soon as it has been listed."""
    api(Do(lambda: repo.commit({"model.safetensors": WEIGHTS[::-1]}), late=True))(fake, repo)


WRONG = "wrong_content"
for at in (0, MIDDLE, SIZE - 1):
    case(f"flipped byte at {at}, once", cdn(FlippedByte(at)), bounded=False)
    case(f"flipped byte at {at}, for ever", cdn(FlippedByte(at), times=None), WRONG)
case("flipped byte in a small file, once", cached(FlippedByte(3)))
case("flipped byte in small files, for ever", cached(FlippedByte(3), times=None), WRONG)
case("other content, same size, after a cut", after_a_cut(OtherContent()), bounded=False)
case("other content, other size, after a cut",
     after_a_cut(Replaced(b"x" * (SIZE + 1000), "another")), bounded=False)  # fmt: skip
case("shorter content, for ever", cdn(Replaced(b"x" * (SIZE - 1000)), times=None), BROKEN, WRONG)
case("longer content, for ever", cdn(Replaced(b"x" * (SIZE + 1000)), times=None), BROKEN, WRONG)
case("other content, same size, for ever", cdn(OtherContent(), times=None), WRONG)
case("ETag changed after a cut", after_a_cut(Header("ETag", '"another"'), times=None))
case("main moved between listing and bytes", moved)

# --- headers and bodies ---

for header in ("X-Linked-Size", "X-Linked-ETag", "X-Repo-Commit", "Accept-Ranges", "ETag",
               "X-Xet-Hash", "RateLimit"):  # fmt: skip
    case(f"without {header} from resolve", resolve(Without(header), times=None))
for header in ("Content-Length", "Accept-Ranges", "ETag", "Content-Type"):
    case(f"without {header} from the CDN", cdn(Without(header), times=None))
case("without Content-Length from the CDN, and a cut",
     both(cdn(Without("Content-Length"), times=None), cdn(Cut(MIDDLE))))  # fmt: skip
case("without Content-Length for a small file", cached(Without("Content-Length"), times=None))
case("without Content-Range from the CDN", after_a_cut(Without("Content-Range")))
case("without X-Repo-Commit for the listing", api(Without("X-Repo-Commit"), times=None))
case("weak ETags", both(resolve(WeakEtag(), times=None), cdn(WeakEtag(), times=None)))
case("bodies in chunks", cdn(Chunked(), times=None))
case("bodies in chunks, and a cut", both(cdn(Chunked(), times=None), cdn(Cut(MIDDLE))))
case("captive portal for the listing", api(Portal(), times=None), "answer_refused", DOWN)
case("captive portal from resolve, once", resolve(Portal()))
case("captive portal from resolve, for ever", resolve(Portal(), times=None), BROKEN, WRONG)
case("captive portal from the CDN, once", cdn(Portal()))
case("captive portal from the CDN, for ever", cdn(Portal(), times=None), BROKEN)
case("captive portal for a small file, once", cached(Portal()))
case("0 bytes for the listing", api(Empty(), times=None), "answer_refused", DOWN)
case("0 bytes from the CDN, once", cdn(Empty()))
case("0 bytes from the CDN, for ever", cdn(Empty(), times=None), BROKEN)
case("0 bytes for a small file, once", cached(Empty()))
case("longer than Content-Length", cdn(Longer(), times=None))
case("longer than Content-Length, small", cached(Longer(), times=None))
