"""Anything a user may do, in any order, against a plain dictionary that does the same."""

import random
import shutil
import tempfile
from dataclasses import dataclass, field, replace
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
from modelcellar.errors import NothingToUndoError
from modelcellar.records import EditChanges
from modelcellar.reports import ImportStatus
from tests.support.invariants import Content, check_catalog, check_files, files_below, sha256
from tests.support.models import write_gguf, write_safetensors
from tests.support.worker import settings

STEPS_MIN = 1000
EXAMPLES = 40
STEPS_MAX = 50

CHOICES = st.integers(min_value=0, max_value=10**6)


@dataclass(frozen=True, slots=True)
class Known:
    """What the dictionary knows about a model."""

    content: Content
    note: str = ""


@dataclass(slots=True)
class Change:
    """A change that can be taken back, with what it takes for that."""

    kind: str
    before: dict[str, Known]
    ids: list[str] = field(default_factory=list)


def make_sources(folder: Path) -> dict[Path, Content]:
    """Files and folder models; two have one content under two names."""
    files = [write_safetensors(folder / f"net-{n}.safetensors", seed=n) for n in range(4)]
    files.append(write_gguf(folder / "llm.gguf", seed=9))
    files.append(Path(shutil.copyfile(files[0], folder / "other name.safetensors")))
    whole = [folder / "text", folder / "image"]
    for number, model in enumerate(whole):
        write_safetensors(model / "model.safetensors", seed=20 + number)
        write_safetensors(model / "original" / "consolidated.safetensors", seed=30 + number)
        (model / "config.json").write_text(f'{{"model_type": "m", "number": {number}}}')
    contents = {path: frozenset([sha256(path)]) for path in files}
    contents |= {path: frozenset(map(sha256, files_below(path))) for path in whole}
    return contents


class LibraryMachine(RuleBasedStateMachine):
    """``present`` is what the library must hold, ``changes`` what undo must take back."""

    folder: ClassVar[Path]
    sources: ClassVar[dict[Path, Content]]
    steps: ClassVar[int] = 0

    @initialize()
    def create(self) -> None:
        self.home = Path(tempfile.mkdtemp(dir=self.folder))
        self.root = self.home / "library"
        self.moves = 0
        self.present: dict[str, Known] = {}
        self.changes: list[Change] = []
        self.may_be_littered = False
        self.library = ModelLibrary.create(self.root, settings=settings(self.root))

    def teardown(self) -> None:
        if hasattr(self, "library"):
            self.library.close()
            shutil.rmtree(self.home, ignore_errors=True)

    def reopened(self) -> None:
        self.library.close()
        self.library = ModelLibrary(self.root, settings=settings(self.root))

    def some_id(self, choice: int) -> str:
        return sorted(self.present)[choice % len(self.present)]

    @rule(choices=st.lists(CHOICES, min_size=1, max_size=4))
    def import_some(self, choices: list[int]) -> None:
        names = list(self.sources)
        paths = list(dict.fromkeys(names[choice % len(names)] for choice in choices))
        results = {Path(found.source): found for found in self.library.import_paths(paths).results}
        change = Change("import", {})
        for path in paths:
            content, found = self.sources[path], results[path]
            there = [known for known in self.present.values() if known.content == content]
            if there:
                assert found.status is ImportStatus.DUPLICATE
            else:
                assert found.status is ImportStatus.IMPORTED
                assert found.model_id is not None
                self.present[found.model_id] = Known(content)
                change.ids.append(found.model_id)
        if change.ids:
            self.changes.append(change)
        self.may_be_littered = False

    @precondition(lambda self: self.present)
    @rule(choice=CHOICES)
    def remove(self, choice: int) -> None:
        model_id = self.some_id(choice)
        self.library.remove(model_id)
        self.changes.append(Change("remove", {model_id: self.present.pop(model_id)}))
        self.may_be_littered = False

    @precondition(lambda self: self.present)
    @rule(choice=CHOICES, note=st.sampled_from(["", "first", "second", "drittens: ä"]))
    def edit(self, choice: int, note: str) -> None:
        model_id = self.some_id(choice)
        before = self.present[model_id]
        assert self.library.edit(model_id, EditChanges(note=note)).note == note
        if note != before.note:
            self.changes.append(Change("edit", {model_id: before}))
        self.present[model_id] = replace(before, note=note)
        self.may_be_littered = False

    @rule()
    def undo(self) -> None:
        if not self.changes:
            with pytest.raises(NothingToUndoError):
                self.library.undo()
            return
        change = self.changes.pop()
        assert self.library.undo().command == change.kind
        for model_id in change.ids:
            self.present.pop(model_id, None)
        for model_id, known in change.before.items():
            if change.kind == "edit":
                if model_id in self.present:
                    self.present[model_id] = replace(self.present[model_id], note=known.note)
            elif known.content not in {other.content for other in self.present.values()}:
                self.present[model_id] = known
        self.may_be_littered = False

    @rule()
    def reopen(self) -> None:
        self.reopened()

    @rule()
    def delete_the_catalog(self) -> None:
        self.library.close()
        shutil.rmtree(self.root / "catalog")
        self.reopened()

    @rule(seed=CHOICES, whole_pages=st.booleans())
    def damage_the_catalog(self, seed: int, whole_pages: bool) -> None:
        self.library.close()
        path = self.root / "catalog" / "catalog.db"
        data = bytearray(path.read_bytes())
        chance = random.Random(seed)
        for _ in range(4):
            length = 4096 if whole_pages else 7
            start = chance.randrange(len(data))
            data[start : start + length] = chance.randbytes(min(length, len(data) - start))
        path.write_bytes(data)
        self.reopened()
        self.library.rebuild()
        self.may_be_littered = False

    @rule(length=st.integers(min_value=0, max_value=6000))
    def cut_the_catalog_off(self, length: int) -> None:
        self.library.close()
        path = self.root / "catalog" / "catalog.db"
        path.write_bytes(path.read_bytes()[:length])
        self.reopened()

    @rule()
    def rebuild(self) -> None:
        assert self.library.rebuild().models == len(self.present)
        self.may_be_littered = False

    @rule()
    def move_the_library(self) -> None:
        self.library.close()
        self.moves += 1
        self.root = self.root.rename(self.home / f"moved-{self.moves}")
        self.reopened()

    @rule()
    def copy_the_library(self) -> None:
        """To another disk, with a program that does not keep times."""
        self.library.close()
        self.moves += 1
        target = self.home / f"copied-{self.moves}"
        shutil.copytree(self.root, target, copy_function=shutil.copyfile)
        self.root = target
        self.reopened()

    @rule(number=CHOICES)
    def leave_litter(self, number: int) -> None:
        """What processes that died can leave: a staging folder, and content not yet published."""
        staging = self.root / "staging" / f"{number}-0123456789abcdef"
        write_safetensors(staging / "content" / "1" / "half.safetensors", seed=1)
        (staging / "manifests").mkdir(exist_ok=True)
        (staging / "manifests" / "half-01234567.json").write_bytes(b'{"format": 1, "id": "ha')
        staging.with_suffix(".lock").touch()
        write_safetensors(self.root / "models" / "half-01234567" / "half.safetensors", seed=1)
        self.may_be_littered = True

    @invariant()
    def is_as_the_dictionary_says(self) -> None:
        if not hasattr(self, "library"):
            return
        type(self).steps += 1
        models = self.library.list_models().models
        assert {model.id: model.note for model in models} == {
            model_id: known.note for model_id, known in self.present.items()
        }
        assert check_files(self.root) == {k: known.content for k, known in self.present.items()}
        for model in models:
            assert model.id in {found.id for found in self.library.search(model.name).models}
        if not self.may_be_littered:
            assert list((self.root / "staging").iterdir()) == []
            assert {path.name for path in (self.root / "models").iterdir()} == set(self.present)

    @rule()
    def look_at_the_catalog(self) -> None:
        self.library.close()
        check_catalog(self.root)
        self.reopened()


def test_any_order(memory: Path) -> None:
    LibraryMachine.folder = memory
    LibraryMachine.sources = make_sources(memory / "sources")
    LibraryMachine.steps = 0
    before = {path: sha256(path) for path in files_below(memory / "sources")}
    run_state_machine_as_test(
        LibraryMachine,
        settings=hypothesis_settings(
            database=None,
            deadline=None,
            derandomize=True,
            max_examples=EXAMPLES,
            stateful_step_count=STEPS_MAX,
            suppress_health_check=list(HealthCheck),
        ),
    )
    assert LibraryMachine.steps >= STEPS_MIN
    assert {path: sha256(path) for path in files_below(memory / "sources")} == before
