"""What ten thousand links cost: to plan, to make, to look at, to plan again, to take away."""

import gc
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.data import remove_tree
from modelcellar import ModelLibrary, Settings
from modelcellar.link_records import LinkKind, SyncReport
from modelcellar.records import ModelType
from tests.support.installations import write_comfyui
from tests.support.models import write_safetensors

LINKS = 10_000
ROUNDS = 3
MAX_PLAN_S = 2.0
MAX_SYNC_S = 10.0


@pytest.fixture(scope="module")
def library(pytestconfig: pytest.Config, place: Path) -> Iterator[ModelLibrary]:
    """So many small models; removed at the end."""
    scale = min(1.0, float(pytestconfig.getoption("--scale")))
    folder = place / "links"
    for number in range(max(100, int(LINKS * scale))):
        write_safetensors(folder / "source" / f"lora {number}.safetensors", seed=number)
    settings = Settings(folder / "library", min_free_bytes=0, offline=True)
    try:
        with ModelLibrary.create(settings.library, settings=settings) as made:
            made.import_paths([folder / "source"], model_type=ModelType.LORA, lookup=False)
            yield made
    finally:
        remove_tree(folder)


@pytest.fixture
def as_the_command_does() -> Iterator[None]:
    """Collect garbage as seldom as ``cellar`` does (`modelcellar_cli.main`)."""
    before = gc.get_threshold()
    gc.set_threshold(100_000, 20, 20)
    yield
    gc.set_threshold(*before)


def timed(work: Callable[[], SyncReport], expected: str, models: int) -> float:
    """Seconds that it takes, if it does what it should."""
    began = time.perf_counter()
    report = work()
    seconds = time.perf_counter() - began
    done = [action for action in report.actions if action.action == expected]
    assert (len(done), report.failures) == (models, ())
    return seconds


@pytest.mark.usefixtures("as_the_command_does")
@pytest.mark.parametrize("kind", [LinkKind.SYMLINK, LinkKind.HARDLINK])
def test_ten_thousand_links(
    benchmark: BenchmarkFixture, library: ModelLibrary, place: Path, kind: LinkKind
) -> None:
    models, _ = library.totals()
    apps = library.applications
    root = write_comfyui(place / f"ComfyUI-{kind}")
    seconds: dict[str, list[float]] = {}

    def plan(expected: str) -> float:
        return timed(lambda: apps.sync(dry_run=True), expected, models)

    def one_round() -> None:
        apps.add("comfyui", root, link=kind)
        seconds.setdefault("plan", []).append(plan("create"))
        seconds.setdefault("sync", []).append(timed(apps.sync, "create", models))
        seconds.setdefault("plan again", []).append(plan("keep"))
        began = time.perf_counter()
        assert len(apps.links()) == models
        seconds.setdefault("links", []).append(time.perf_counter() - began)
        taken = timed(lambda: apps.remove("comfyui"), "remove", models)
        seconds.setdefault("remove", []).append(taken)

    try:
        benchmark.pedantic(one_round, rounds=ROUNDS)
    finally:
        remove_tree(root)
    medians = {name: round(statistics.median(found), 2) for name, found in seconds.items()}
    benchmark.extra_info["models"] = models
    benchmark.extra_info["seconds"] = medians
    print({"models": models, **medians})
    if models == LINKS:
        assert medians["plan"] <= MAX_PLAN_S
        assert medians["plan again"] <= MAX_PLAN_S
        assert medians["sync"] <= MAX_SYNC_S
