"""What is told while a download goes on."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from modelcellar import ModelLibrary
from modelcellar.reports import Progress
from tests.support.downloads import QUICK, download_settings
from tests.support.fake_hub import FakeHub, FakeRepo, OtherContent
from tests.support.models import safetensors_bytes

SIZE = 2 << 20
ONE, TWO = (safetensors_bytes(seed=seed, size_bytes=SIZE) for seed in (1, 2))


@pytest.fixture
def library(fake_hub: FakeHub, tmp_path: Path) -> Iterator[ModelLibrary]:
    settings = download_settings(fake_hub, tmp_path / "library")
    with ModelLibrary.create(settings.library, settings=settings) as opened:
        yield opened


def told(library: ModelLibrary) -> list[Progress]:
    """What is told of a download with one connection."""
    seen: list[Progress] = []
    library.download("acme/toy", patience=QUICK, connections=1, progress=seen.append)
    return [one for one in seen if one.phase == "download"]


def test_files_count_as_soon_as_they_are_there(library: ModelLibrary, fake_hub: FakeHub) -> None:
    files = {"a.txt": b"text\n", "one.safetensors": ONE, "two.safetensors": TWO}
    fake_hub.add(FakeRepo("acme/toy", files))
    fake_hub.settings.rate_bytes_per_s = 4e6
    seen = told(library)
    assert {1, 2, 3} <= {one.files_done for one in seen}
    assert {one.files_total for one in seen} == {3}


def test_a_content_under_two_paths_counts_once(library: ModelLibrary, fake_hub: FakeHub) -> None:
    fake_hub.add(FakeRepo("acme/toy", {"a/m.safetensors": ONE, "b/m.safetensors": ONE}))
    last = told(library)[-1]
    assert (last.bytes_done, last.files_done) == (last.bytes_total, last.files_total)


def test_what_is_thrown_away_does_not_count(library: ModelLibrary, fake_hub: FakeHub) -> None:
    """A stopped command would say that more than all of it is here, and will be used."""
    fake_hub.add(FakeRepo("acme/toy", {"one.safetensors": ONE}))
    fake_hub.chaos.add(OtherContent(), host="cdn", times=1)
    fake_hub.settings.rate_bytes_per_s = 4e6
    seen = told(library)
    assert all(one.bytes_done <= one.bytes_total for one in seen)
    assert seen[-1].bytes_done == seen[-1].bytes_total
