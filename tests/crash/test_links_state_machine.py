"""Whatever happens in whatever order, the user's files stay as they are and ours are all known.

The machine keeps a plain record of what the user put into the folders of the applications. After
every step each of those entries is what it was, and everything else that stands there is a link
that the ledger has. At the end the applications are removed, and only the user's things are left.
"""

import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from modelcellar import ModelLibrary
from modelcellar.errors import NothingToUndoError, UsageError
from modelcellar.link_records import ActionKind, LinkKind
from modelcellar.links.app_list import app_from_json
from modelcellar.records import EditChanges, ModelType
from tests.support.installations import write_comfyui
from tests.support.models import write_safetensors
from tests.support.worker import settings

STEPS_MIN = 1000
EXAMPLES = 40
STEPS_MAX = 50
APPS = ("one", "two")
FOLDERS = ("models/loras", "models/loras/new", "models/vae")
NAMES = ("anime", "Anime", "flat", "photo")
CHANGES = (ActionKind.CREATE, ActionKind.REPLACE, ActionKind.REMOVE)

Entry = tuple[str, bytes]
apps = st.sampled_from(APPS)
kinds = st.sampled_from([None, LinkKind.SYMLINK, LinkKind.HARDLINK, LinkKind.COPY])
places = st.tuples(apps, st.sampled_from(FOLDERS), st.sampled_from(NAMES))


def entry_of(path: Path) -> Entry | None:
    """What stands there, and what is in it."""
    if path.is_symlink():
        return ("link", os.fsencode(path.readlink()))
    if path.is_dir():
        return ("folder", b"")
    return ("file", path.read_bytes()) if path.exists() else None


class LinksMachine(RuleBasedStateMachine):
    """``theirs`` is what the user put into the folders of the applications."""

    folder: ClassVar[Path]
    environ: ClassVar[pytest.MonkeyPatch]
    steps: ClassVar[int] = 0

    @initialize()
    def begin(self) -> None:
        self.home = Path(tempfile.mkdtemp(dir=self.folder))
        self.environ.setenv("XDG_STATE_HOME", str(self.home / "state"))
        self.root = self.home / "library"
        self.moves = 0
        self.away: set[str] = set()
        self.theirs: dict[Path, Entry] = {}
        for name in APPS:
            installation = write_comfyui(self.home / name)
            for path in (installation, *installation.rglob("*")):
                entry = entry_of(path)
                assert entry is not None
                self.theirs[path] = entry
        self.library = ModelLibrary.create(self.root, settings=settings(self.root))
        self.take_in(0)
        self.take_in(1)

    def teardown(self) -> None:
        if not hasattr(self, "library"):
            return
        try:
            for name in sorted(self.away):
                self.mount(name)
            for app in self.library.applications.list():
                self.library.applications.remove(app.name)
            self.check()
            assert self.library.applications.links() == ()
            needed = {parent for path in self.theirs for parent in path.parents}
            for name in APPS:
                left = set((self.home / name).rglob("*"))
                assert left <= self.theirs.keys() | needed
        finally:
            self.library.close()
            shutil.rmtree(self.home, ignore_errors=True)

    @rule(number=st.integers(0, 3), kind=st.sampled_from([ModelType.LORA, ModelType.VAE]))
    def take_in(self, number: int, kind: ModelType = ModelType.LORA) -> None:
        path = self.home / f"source-{number}" / f"{NAMES[number]}.safetensors"
        write_safetensors(path, seed=number, size_bytes=64)
        self.library.import_paths([path], model_type=kind, lookup=False)

    @rule(
        name=apps,
        kind=kinds,
        folder=st.sampled_from([None, *FOLDERS, ""]),
        only=st.sampled_from(["", "anime"]),
    )
    def add(self, name: str, kind: LinkKind | None, folder: str | None, only: str) -> None:
        if name in self.away:
            return
        folders = {} if folder is None else {"lora": folder}
        self.library.applications.add(
            name, self.home / name, preset="comfyui", link=kind, folders=folders, only=only
        )

    @rule(name=apps)
    def remove_app(self, name: str) -> None:
        if name in {app.name for app in self.library.applications.list()} - self.away:
            self.library.applications.remove(name)

    @rule()
    def sync(self) -> None:
        planned = self.library.sync(dry_run=True)
        done = self.library.sync()
        assert done.actions == planned.actions
        assert not done.failures
        again = self.library.sync(dry_run=True)
        assert not [action for action in again.actions if action.action in CHANGES]

    @precondition(lambda self: self.library.totals()[0])
    @rule(number=st.integers(0, 3))
    def remove_model(self, number: int) -> None:
        models = self.library.list_models().models
        self.library.remove(models[number % len(models)].id)

    @precondition(lambda self: self.library.totals()[0])
    @rule(number=st.integers(0, 3), kind=st.sampled_from([ModelType.LORA, ModelType.VAE]))
    def change_type(self, number: int, kind: ModelType) -> None:
        models = self.library.list_models().models
        self.library.edit(models[number % len(models)].id, EditChanges(model_type=kind))

    @rule()
    def undo(self) -> None:
        with suppress(NothingToUndoError):
            entry = self.library.undo(dry_run=True)
            if entry.command == "app remove":
                assert app_from_json(entry.details["app"]).name in APPS
            if self.away:
                with suppress(UsageError):
                    self.library.undo()
            else:
                self.library.undo()

    @rule(place=places, kind=st.sampled_from(["file", "folder", "link", "nothing"]))
    def user_does(self, place: tuple[str, str, str], kind: str) -> None:
        """The user puts something in a place where a link may be, or takes it away."""
        app, folder, name = place
        if app in self.away:
            return
        path = self.home / app / folder / f"{name}.safetensors"
        for parent in reversed(path.relative_to(self.home).parents[:-1]):
            if not (self.home / parent).exists():
                (self.home / parent).mkdir()
                self.theirs[self.home / parent] = ("folder", b"")
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        else:
            path.unlink(missing_ok=True)
        self.theirs.pop(path, None)
        if kind == "file":
            path.write_text("mine")
        elif kind == "folder":
            path.mkdir()
        elif kind == "link":
            path.symlink_to("nowhere")
        entry = entry_of(path)
        if entry is not None:
            self.theirs[path] = entry

    @rule(name=apps)
    def unmount(self, name: str) -> None:
        if name not in self.away:
            (self.home / name).rename(self.home / f"{name} away")
            self.away.add(name)

    @rule(name=apps)
    def mount(self, name: str) -> None:
        if name in self.away:
            (self.home / f"{name} away").rename(self.home / name)
            self.away.remove(name)

    @rule()
    def move_the_library(self) -> None:
        self.library.close()
        self.moves += 1
        self.root = self.root.rename(self.home / f"moved-{self.moves}")
        self.library = ModelLibrary(self.root, settings=settings(self.root))

    @rule()
    def copy_the_library(self) -> None:
        """To another disk, and the old one is given away."""
        self.library.close()
        self.moves += 1
        target = self.home / f"copied-{self.moves}"
        shutil.copytree(self.root, target)
        for path in [self.root, *self.root.rglob("*")]:
            if path.is_dir():
                path.chmod(0o755)
        shutil.rmtree(self.root)
        self.root = target
        self.library = ModelLibrary(self.root, settings=settings(self.root))

    @invariant()
    def check(self) -> None:
        if not hasattr(self, "library"):
            return
        type(self).steps += 1
        for path, entry in self.theirs.items():
            assert entry_of(self.now(path)) == entry, path
        ours = {one.link.target for one in self.library.applications.links()}
        for name in APPS:
            place = self.now(self.home / name)
            for path in place.rglob("*"):
                plain = self.home / name / path.relative_to(place)
                if path.is_symlink() or not path.is_dir():
                    assert plain in ours or plain in self.theirs, plain

    def now(self, path: Path) -> Path:
        """Where a path is while its disk may be away."""
        name = path.relative_to(self.home).parts[0]
        if name not in self.away:
            return path
        return self.home / f"{name} away" / path.relative_to(self.home / name)


def test_any_order(memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    LinksMachine.folder = memory
    LinksMachine.environ = monkeypatch
    LinksMachine.steps = 0
    run_state_machine_as_test(
        LinksMachine,
        settings=hypothesis_settings(
            database=None,
            deadline=None,
            derandomize=True,
            max_examples=EXAMPLES,
            stateful_step_count=STEPS_MAX,
            suppress_health_check=list(HealthCheck),
        ),
    )
    assert LinksMachine.steps >= STEPS_MIN
