"""What the Hub's own client does when things go wrong, pinned for three of its versions.

The clients are the measure of the fake: when a change of the fake changes a cell of this table, it
is the fake that is suspect. ``ok`` is the right bytes, ``bad`` wrong bytes returned as if they were
right, ``fail`` an exception. A link that expires half-way is fatal for 1.33.0 and 2.4.0 only where
the file is not in Xet; the notes that this table began with did not tell the two apart.
"""

import random
from collections.abc import Callable
from functools import partial
from pathlib import Path

import huggingface_hub  # type: ignore[import-not-found]

from tests.support.fake_hub import (
    Cut,
    Do,
    FakeHub,
    FakeRepo,
    Fault,
    FlippedByte,
    OtherContent,
    RangeIgnored,
    Stall,
    Status,
    TooMany,
)

# The clients write pieces of 10 MiB, and what did not fill one is lost when they resume.
PIECE_BYTES = 10 << 20
CUT_AT = 11 << 20
CONTENT = random.Random(5).randbytes(12 << 20)
LATER_S = 4000.0

Versions = tuple[str, str, str]
VERSIONS = ("0", "1", "2")


def download(folder: Path) -> str:
    """One try to get the file, and what came of it."""
    call = partial(huggingface_hub.hf_hub_download, "acme/big", "big.safetensors")
    try:
        found = Path(call(cache_dir=folder))
    except Exception as error:  # noqa: BLE001 - which one it is differs with the version
        return f"fail {type(error).__name__}"
    return "ok" if found.read_bytes() == CONTENT else "bad"


def on_bytes(fake: FakeHub, *faults: Fault, nth: int = 1, times: int | None = 1) -> None:
    fake.chaos.add(*faults, host="cdn", method="GET", nth=nth, times=times)


def on_metadata(fake: FakeHub, *faults: Fault, times: int) -> None:
    fake.chaos.add(*faults, host="hub", path="*/resolve/*", method="HEAD", times=times)


def expired(fake: FakeHub) -> None:
    """Every link has ended when it is made."""
    fake.settings.signed_life_s = -1


def expiring(fake: FakeHub) -> None:
    on_bytes(fake, Cut(CUT_AT), Do(lambda: fake.clock.advance(LATER_S), late=True))


def without_xet(fake: FakeHub, set_up: Callable[[FakeHub], None]) -> None:
    """New versions ask the Hub for a new link at every try, but only for files in Xet.

    Source: ``_get_metadata_or_catch_error`` in ``file_download.py`` of 2.4.0.
    """
    fake.settings.sends_xet_hash = False
    set_up(fake)


def cut(fake: FakeHub) -> None:
    on_bytes(fake, Cut(CUT_AT))


def cut_then(fake: FakeHub, fault: Fault) -> None:
    on_bytes(fake, Cut(CUT_AT))
    on_bytes(fake, fault, nth=2)


# For each: what is set up, and the outcomes in 0.36.2, 1.33.0 and 2.4.0.
ROWS: dict[str, tuple[Callable[[FakeHub], None], Versions]] = {
    "nothing wrong": (lambda _: None, ("ok", "ok", "ok")),
    "FIN before the end": (cut, ("fail", "ok", "ok")),
    "RST in the body": (lambda fake: on_bytes(fake, Cut(CUT_AT, reset=True)),
                        ("fail", "fail", "fail")),
    "stall past the time limit": (lambda fake: on_bytes(fake, Stall(1.5, CUT_AT)),
                                  ("ok", "ok", "ok")),
    "range ignored after a FIN": (lambda fake: cut_then(fake, RangeIgnored()),
                                  ("fail", "ok", "ok")),
    "one flipped byte": (lambda fake: on_bytes(fake, FlippedByte(5)), ("bad", "bad", "bad")),
    "other content after a FIN": (lambda fake: cut_then(fake, OtherContent()),
                                  ("fail", "bad", "bad")),
    "503 three times": (lambda fake: on_bytes(fake, Status(503), times=3),
                        ("ok", "fail", "fail")),
    "429 with Retry-After": (lambda fake: on_bytes(fake, TooMany.retry_after(1)),
                             ("fail", "ok", "ok")),
    "link that has expired": (expired, ("fail", "fail", "fail")),
    "link that expires half-way": (expiring, ("fail", "ok", "ok")),
    "link that expires half-way, not in Xet": (lambda fake: without_xet(fake, expiring),
                                               ("fail", "fail", "fail")),
    "503 twice for the metadata": (lambda fake: on_metadata(fake, Status(503), times=2),
                                   ("ok", "ok", "ok")),
    "429 with quota for the metadata": (
        lambda fake: on_metadata(fake, TooMany.quota(2, bucket="resolvers"), times=2),
        ("fail", "ok", "ok")),
}  # fmt: skip


def observed(fake: FakeHub, folder: Path, name: str) -> str:
    fake.add(FakeRepo("acme/big", {"big.safetensors": CONTENT}))
    set_up, _ = ROWS[name]
    set_up(fake)
    try:
        return download(folder)
    finally:
        fake.settings.signed_life_s = 3600.0
        fake.settings.sends_xet_hash = True


def row(name: str) -> Callable[[FakeHub, Path], None]:
    def check(fake: FakeHub, folder: Path) -> None:
        outcome = observed(fake, folder, name)
        _, pinned = ROWS[name]
        expected = pinned[VERSIONS.index(huggingface_hub.__version__.partition(".")[0])]
        lines = "\n".join(entry.line for entry in fake.log.entries)
        assert outcome.split()[0] == expected, f"{outcome}, not {expected}\n{lines}"

    check.__name__ = name.replace(" ", "_")
    return check


def a_second_call_resumes(fake: FakeHub, folder: Path) -> None:
    """Only old versions keep a part of a file that has a name they find again."""
    fake.add(FakeRepo("acme/big", {"big.safetensors": CONTENT}))
    on_bytes(fake, Cut(CUT_AT, reset=True))
    assert download(folder).startswith("fail")
    assert download(folder) == "ok"
    last = fake.log.of("cdn", "GET")[-1]
    is_old = huggingface_hub.__version__.startswith("0.")
    assert last.range == (f"bytes={PIECE_BYTES}-" if is_old else None), last.range


def a_call_resumes_by_itself(fake: FakeHub, folder: Path) -> None:
    """After a FIN, from the last whole piece; old versions give up."""
    fake.add(FakeRepo("acme/big", {"big.safetensors": CONTENT}))
    cut(fake)
    outcome = download(folder)
    if huggingface_hub.__version__.startswith("0."):
        assert outcome.startswith("fail")
        return
    assert outcome == "ok"
    assert [entry.range for entry in fake.log.of("cdn", "GET")] == [None, f"bytes={PIECE_BYTES}-"]


CHECKS = (*(row(name) for name in ROWS), a_second_call_resumes, a_call_resumes_by_itself)
