"""``kill -9`` at every call while links are made, replaced, taken away and brought back.

After each kill everything of the user's is as it was, the next sync ends where an undisturbed one
does, and undo leads back to the folders as they were before any application was added.
"""

import shutil
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from modelcellar import ModelLibrary
from modelcellar.errors import NothingToUndoError
from modelcellar.link_records import LinkKind
from tests.crash.test_kill import spread
from tests.support.installations import LORAS, import_loras, write_comfyui
from tests.support.strace import CHANGING_CALLS, kill_at, require_strace, trace
from tests.support.trees import TreeEntry, tree
from tests.support.worker import command, settings

CALLS = (*CHANGING_CALLS, "flock", "openat")
NAMES = ("anime", "flat", "photo")
APPS = {"copies": LinkKind.COPY, "hard": LinkKind.HARDLINK, "soft": LinkKind.SYMLINK}
DEEP = {"lora": "models/loras/new/deep"}


@dataclass(frozen=True, slots=True)
class Site:
    """A library, three installations, and how they were before any was added."""

    folder: Path
    before: dict[bytes, TreeEntry]

    @property
    def root(self) -> Path:
        """The library's folder."""
        return self.folder / "library"

    def open(self) -> ModelLibrary:
        """The library, in this process."""
        return ModelLibrary(self.root, settings=settings(self.root))

    def installations(self) -> dict[bytes, TreeEntry]:
        """What stands in the folders of the applications."""
        return tree(self.folder / "apps")


def added(site: Site) -> None:
    """The applications are on the list, and nothing is linked."""
    with site.open() as library:
        for name, kind in APPS.items():
            root = site.folder / "apps" / name
            library.applications.add(name, root, preset="comfyui", link=kind, folders=DEEP)


def synced(site: Site) -> None:
    """Everything is linked."""
    added(site)
    with site.open() as library:
        library.sync()


def changed(site: Site) -> None:
    """Everything is linked, and is to be linked otherwise."""
    synced(site)
    with site.open() as library:
        for name, kind in zip(
            APPS, (LinkKind.SYMLINK, LinkKind.COPY, LinkKind.HARDLINK), strict=True
        ):
            root = site.folder / "apps" / name
            library.applications.add(name, root, preset="comfyui", link=kind, folders=DEEP)


def removed(site: Site) -> None:
    """A model that was linked is in the trash."""
    synced(site)
    with site.open() as library:
        library.remove("flat")


def without_hard(site: Site) -> None:
    """An application that had links is not on the list any more."""
    synced(site)
    with site.open() as library:
        library.applications.remove("hard")


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is killed, and what it begins with."""

    begin: Callable[[Site], object]
    action: tuple[str, ...]
    points: int


SCENARIOS = {
    "sync": Scenario(added, ("sync",), 30),
    "sync that replaces": Scenario(changed, ("sync",), 30),
    "undo a sync": Scenario(synced, ("undo",), 15),
    "remove a model": Scenario(synced, ("remove", "flat"), 15),
    "undo a removal": Scenario(removed, ("undo",), 15),
    "remove an application": Scenario(synced, ("remove-app", "hard"), 15),
    "undo of that": Scenario(without_hard, ("undo",), 15),
}


class Sites:
    """Makes one site after the other, each with a state folder of its own."""

    def __init__(self, folder: Path, scenario: Scenario, environ: pytest.MonkeyPatch) -> None:
        self._folder = folder
        self._scenario = scenario
        self._environ = environ

    def new(self, name: str) -> Site:
        """A site that begins as the scenario does; from now on its state folder is in force."""
        folder = self._folder / name
        self._environ.setenv("XDG_STATE_HOME", str(folder / "state"))
        for app in APPS:
            root = write_comfyui(folder / "apps" / app)
            (root / LORAS / "my own.safetensors").write_text("mine")
        site = Site(folder, tree(folder / "apps"))
        with ModelLibrary.create(site.root, settings=settings(site.root)) as library:
            import_loras(library, folder / "sources", NAMES)
        self._scenario.begin(site)
        return site

    def drop(self, site: Site) -> None:
        """Remove a site that is no longer needed."""
        for path in [*site.root.rglob("*")]:
            if path.is_dir() and not path.is_symlink():
                path.chmod(0o755)
        shutil.rmtree(site.folder)


def check(site: Site) -> None:
    """The user's files are there, a sync completes what was begun, undo takes all of it back."""
    for path, entry in site.before.items():
        assert site.installations().get(path) == entry, path
    with site.open() as library:
        library.sync()
        assert {action.action.value for action in library.sync().actions} <= {"keep"}
        states = library.applications.links()
        assert {one.health.value for one in states} <= {"ok"}
        ours = {one.link.target for one in states}
        models = library.list_models().total
        assert len(ours) == models * len(library.applications.list())
        files = {path for path in (site.folder / "apps").rglob("*") if not path.is_dir()}
        assert len(files) - len(ours) == sum(entry[0] == "file" for entry in site.before.values())
        taken_back = []
        while library.applications.list() or library.list_models().total < len(NAMES):
            taken_back.append(library.undo().command)
            assert "import" not in taken_back
        assert library.applications.links() == ()
    assert site.installations() == site.before


def test_the_check_finds_what_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sites = Sites(tmp_path, SCENARIOS["undo a sync"], monkeypatch)
    check(sites.new("well"))
    site = sites.new("litter")
    (site.folder / "apps" / "hard" / LORAS / ".modelcellar-1.partial").write_text("x")
    with pytest.raises(AssertionError):
        check(site)
    site = sites.new("lost")
    (site.folder / "apps" / "hard" / LORAS / "my own.safetensors").unlink()
    with pytest.raises(AssertionError):
        check(site)


@pytest.mark.parametrize("name", SCENARIOS)
def test_killed(name: str, memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require_strace()
    scenario = SCENARIOS[name]
    sites = Sites(memory, scenario, monkeypatch)
    opened = trace(command(sites.new("started").root, "list"), calls=CALLS).calls.get("openat", 0)
    counted = trace(command(sites.new("counted").root, *scenario.action), calls=CALLS)
    assert counted.exit_code == 0, counted.stdout
    points = spread(counted.calls, opened, scenario.points)
    came, wrong = 0, []
    for call, nth in points:
        site = sites.new(f"{call}-{nth}")
        run = kill_at(command(site.root, *scenario.action), call, nth)
        came += run.exit_code == -signal.SIGKILL
        try:
            check(site)
        except (AssertionError, OSError, NothingToUndoError) as error:
            wrong.append(f"killed at {call} {nth}: {type(error).__name__}: {error}")
        sites.drop(site)
    assert not wrong, f"{len(wrong)} of {len(points)} points:\n" + "\n".join(wrong[:10])
    assert came >= len(points) * 0.9
