"""Hugging Face's Hub, its CDN, Civitai and CivArchive as small servers on the loopback.

They answer as the real ones were seen to, count and limit requests, keep a log of everything, and
go wrong on demand. Needs the standard library only, so that other programs' environments can run
it. ``tests/fake_hub`` tests it; ``nox -s hub_clients`` holds it against the Hub's own client.
"""

from tests.support.fake_hub.access import Token
from tests.support.fake_hub.chaos import Chaos, Fault, Rule
from tests.support.fake_hub.civarchive import ArchivedFile
from tests.support.fake_hub.civitai import CivitaiFile, CivitaiVersion
from tests.support.fake_hub.clock import FakeClock
from tests.support.fake_hub.fake import FakeHub
from tests.support.fake_hub.faults import (
    Chunked,
    Cut,
    Do,
    Drip,
    Empty,
    FlippedByte,
    Header,
    Longer,
    NoAnswer,
    OtherContent,
    Portal,
    Redirect,
    RedirectChain,
    Replaced,
    Stall,
    Status,
    TooMany,
    WeakEtag,
    Without,
)
from tests.support.fake_hub.range_faults import (
    GzipAnyway,
    Multipart,
    RangeIgnored,
    RangeRefused,
    RangeShort,
    RangeWithStatus200,
    RangeWrong,
)
from tests.support.fake_hub.repos import FakeRepo, RepoFile
from tests.support.fake_hub.request_log import Entry, RequestLog
from tests.support.fake_hub.settings import Settings

__all__ = [
    "ArchivedFile",
    "Chaos",
    "Chunked",
    "CivitaiFile",
    "CivitaiVersion",
    "Cut",
    "Do",
    "Drip",
    "Empty",
    "Entry",
    "FakeClock",
    "FakeHub",
    "FakeRepo",
    "Fault",
    "FlippedByte",
    "GzipAnyway",
    "Header",
    "Longer",
    "Multipart",
    "NoAnswer",
    "OtherContent",
    "Portal",
    "RangeIgnored",
    "RangeRefused",
    "RangeShort",
    "RangeWithStatus200",
    "RangeWrong",
    "Redirect",
    "RedirectChain",
    "Replaced",
    "RepoFile",
    "RequestLog",
    "Rule",
    "Settings",
    "Stall",
    "Status",
    "Token",
    "TooMany",
    "WeakEtag",
    "Without",
]
