"""Whatever goes wrong on the way: the right bytes in the end, or a clear error and nothing."""

from pathlib import Path

import pytest

from tests.core.downloads.chaos_cases import CASES, FILES, Case
from tests.support.downloads import SECRET, Scene
from tests.support.fake_hub import FakeHub, FakeRepo, Token

ALL = [
    pytest.param(case, id=name, marks=[pytest.mark.slow] if case.is_slow else [])
    for name, case in CASES.items()
]
FOR_SEVERAL = [one for one in ALL if not CASES[str(one.id)].is_alone]
SIZE = sum(map(len, FILES.values()))


@pytest.fixture
def scene(fake_hub: FakeHub, tmp_path: Path) -> Scene:
    made = Scene(fake_hub, tmp_path / "library")
    made.create()
    return made


@pytest.fixture
def repo(fake_hub: FakeHub) -> FakeRepo:
    return fake_hub.add(FakeRepo("acme/toy", FILES))


def play(scene: Scene, repo: FakeRepo, case: Case, *, connections: int) -> None:
    """The download ends as it must; and once all is well again, the next one brings the rest."""
    fake = scene.fake
    before = len(fake.log.entries)
    case.set_up(fake, repo)
    end = scene.download(connections=connections)
    assert end.code in case.ends, f"{end}\n{scene.told()}"
    scene.check(end, FILES)
    interruptions = sum(rule.hits for rule in fake.chaos.rules)
    if case.is_bounded:
        scene.check_bytes(SIZE, interruptions=interruptions)
    assert len(fake.log.entries) - before < 150, "a host was asked again and again"
    if end.code != "ok":
        recover(scene, repo, connections=connections)


def recover(scene: Scene, repo: FakeRepo, *, connections: int) -> None:
    fake = scene.fake
    fake.chaos.clear()
    fake.settings.signed_life_s = 3600.0
    repo.private = repo.disabled = repo.gated = False
    fake.add(repo)
    scene.forget_hosts()
    fake.log.clear()
    end = scene.download(connections=connections)
    assert end.code == "ok", f"{end}\n{scene.told()}"
    scene.check(end, FILES)
    scene.check_bytes(SIZE, interruptions=0)
    assert list((scene.root / "staging").iterdir()) == []


@pytest.mark.parametrize("case", ALL)
def test_one_connection_of_somebody_unknown(scene: Scene, repo: FakeRepo, case: Case) -> None:
    play(scene, repo, case, connections=1)


@pytest.mark.parametrize("case", FOR_SEVERAL)
def test_four_connections_of_somebody_signed_in(
    scene: Scene, repo: FakeRepo, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.fake.add_token(SECRET, Token("somebody"))
    monkeypatch.setenv("HF_TOKEN", SECRET)
    play(scene, repo, case, connections=4)
