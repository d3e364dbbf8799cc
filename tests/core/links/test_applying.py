"""A plan is made at one moment and done at another: what changed in between is looked at again."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from modelcellar.link_records import (
    Action,
    App,
    Applied,
    LinkKind,
    Plan,
    Wish,
)
from modelcellar.links.applying import BATCH, apply_plan
from modelcellar.links.judging import Judge, SourceFile
from modelcellar.links.keeper import LinkKeeper
from modelcellar.links.place import Place
from modelcellar.records import JournalEntry
from tests.support.models import sha256

AT = "2030-01-01T00:00:00.000000Z"
CONTENT = b"the bytes of a model"


class Bench:
    """A library of files without manifests, one application, and what is ours in it."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "library"
        (self.root / "staging").mkdir(parents=True)
        self.app = App("app", "comfyui", folder / "app")
        self.app.root.mkdir()
        place = Place(self.root, lambda _: ())
        self.keeper = LinkKeeper(place, "test", lock_timeout_s=1)
        self.keeper.ledger.add_app(self.app)

    def wish(self, name: str, kind: LinkKind, content: bytes | None = None) -> Wish:
        return Wish(self.app.root / "new" / name, "model-12345678", name, (kind,), content)

    def plan(self, *wishes: Wish) -> Plan:
        judge = Judge(self.app, self.root, self.keeper.rows())
        return Plan(tuple(judge.wished(wish, self.file(wish)) for wish in wishes))

    def file(self, wish: Wish) -> SourceFile:
        if wish.content is not None:
            return SourceFile("", sha256(wish.content), len(wish.content))
        path = self.root / "models" / wish.model_id / wish.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(CONTENT)
        return SourceFile(str(path.relative_to(self.root)), sha256(CONTENT), len(CONTENT))

    def apply(self, plan: Plan, entry_id: str | None = None) -> Applied:
        return apply_plan(plan, self.keeper.ledger, self.root, entry_id=entry_id, at=AT)

    def removal(self) -> Plan:
        return self.keeper.plan_removal(list(self.keeper.rows().values()))


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Nothing is linked yet."""
    made = Bench(tmp_path)
    yield made
    made.keeper.close()


def kinds(actions: tuple[Action, ...]) -> list[str]:
    return [action.action.value for action in actions]


@pytest.mark.parametrize("kind", [LinkKind.SYMLINK, LinkKind.HARDLINK, LinkKind.COPY])
def test_what_came_meanwhile_is_not_overwritten(bench: Bench, kind: LinkKind) -> None:
    plan = bench.plan(bench.wish("a", kind), bench.wish("b", kind))
    target = plan.actions[0].target
    target.parent.mkdir()
    target.write_text("mine")
    done = bench.apply(plan)
    assert kinds(done.actions) == ["conflict", "create"]
    assert target.read_text() == "mine"
    assert [link.target.name for link in bench.keeper.ledger.links()] == ["b"]
    assert bench.keeper.ledger.intents() == []


@pytest.mark.parametrize("kind", [LinkKind.SYMLINK, LinkKind.HARDLINK, LinkKind.COPY])
def test_what_was_replaced_meanwhile_is_not_removed(bench: Bench, kind: LinkKind) -> None:
    bench.apply(bench.plan(bench.wish("a", kind), bench.wish("b", kind)))
    plan = bench.removal()
    assert kinds(plan.actions) == ["remove", "remove"]
    target = plan.actions[0].target
    target.unlink()
    target.write_text("mine")
    done = bench.apply(plan)
    assert kinds(done.actions) == ["skip", "remove"]
    assert target.read_text() == "mine"
    assert bench.keeper.ledger.links() == []


def test_what_was_replaced_meanwhile_is_not_replaced_by_us(bench: Bench) -> None:
    bench.apply(bench.plan(bench.wish("a", LinkKind.SYMLINK)))
    plan = bench.plan(bench.wish("a", LinkKind.HARDLINK))
    assert kinds(plan.actions) == ["replace"]
    target = plan.actions[0].target
    target.unlink()
    target.symlink_to("nowhere")
    assert kinds(bench.apply(plan).actions) == ["conflict"]
    assert str(target.readlink()) == "nowhere"
    assert not (target.parent / "nowhere").exists()


def test_a_file_that_vanished_meanwhile_makes_no_dangling_link(bench: Bench) -> None:
    plan = bench.plan(bench.wish("a", LinkKind.SYMLINK))
    source = plan.actions[0].source
    assert source is not None
    source.unlink()
    assert kinds(bench.apply(plan).actions) == ["skip"]
    assert not os.path.lexists(plan.actions[0].target)


def test_more_links_than_one_batch_take(bench: Bench) -> None:
    wishes = [bench.wish(f"{number:04}", LinkKind.HARDLINK) for number in range(BATCH + 7)]
    told: list[Action] = []
    plan = bench.plan(*wishes)
    applied = apply_plan(
        plan, bench.keeper.ledger, bench.root, entry_id=None, at=AT, on_action=told.append
    )
    assert tuple(told) == applied.actions == plan.actions
    assert len(bench.keeper.ledger.links()) == BATCH + 7
    assert bench.keeper.ledger.intents() == []


def test_cancelled_between_two_links(bench: Bench) -> None:
    """What was made until then is known, and what was not is no longer intended."""

    def cancel(action: Action) -> None:
        if action.target.name == "b":
            raise KeyboardInterrupt

    plan = bench.plan(*(bench.wish(name, LinkKind.COPY) for name in "abcd"))
    with pytest.raises(KeyboardInterrupt):
        apply_plan(plan, bench.keeper.ledger, bench.root, entry_id="e", at=AT, on_action=cancel)
    assert [row.target.name for row in bench.keeper.ledger.links()] == ["a", "b"]
    with bench.keeper.changing():
        assert bench.keeper.ledger.intents() == []
        bench.keeper.take_back(_entry("e"), AT)
    assert list(bench.app.root.iterdir()) == []


def test_a_generated_file_is_kept_changed_and_brought_back(bench: Bench) -> None:
    first = bench.wish("list.json", LinkKind.GENERATED, b"one")
    second = bench.wish("list.json", LinkKind.GENERATED, b"one and two")
    bench.apply(bench.plan(first), "first")
    assert kinds(bench.plan(first).actions) == ["keep"]
    assert kinds(bench.plan(second).actions) == ["replace"]
    bench.apply(bench.plan(second), "second")
    target = first.target
    assert target.read_bytes() == b"one and two"
    with bench.keeper.changing():
        bench.keeper.take_back(_entry("second"), AT)
        assert target.read_bytes() == b"one"
        assert kinds(bench.plan(first).actions) == ["keep"]
        bench.keeper.take_back(_entry("first"), AT)
    assert list(bench.app.root.iterdir()) == []


def test_a_generated_file_that_the_application_changed_is_the_users(bench: Bench) -> None:
    wish = bench.wish("list.json", LinkKind.GENERATED, b"one")
    bench.apply(bench.plan(wish))
    wish.target.write_bytes(b"two")
    assert kinds(bench.plan(wish).actions) == ["conflict"]
    assert kinds(bench.apply(bench.removal()).actions) == ["skip"]
    assert wish.target.read_bytes() == b"two"


@pytest.mark.parametrize("kind", [LinkKind.SYMLINK, LinkKind.HARDLINK, LinkKind.COPY])
def test_a_link_that_was_made_and_not_yet_written_down(bench: Bench, kind: LinkKind) -> None:
    """As a process leaves it that is killed between the two."""
    (action,) = bench.plan(bench.wish("a", kind)).actions
    assert action.row is not None
    bench.apply(Plan((action,)))
    made = bench.keeper.ledger.links()
    bench.keeper.ledger.gone([action.target])
    bench.keeper.ledger.intend([action.row])
    never = replace(action.row, target=action.target.with_name("never"))
    bench.keeper.ledger.intend([never])
    assert set(bench.keeper.rows()) == {action.target}
    with bench.keeper.changing():
        (found,) = bench.keeper.ledger.links()
        assert (found.inode, found.mtime_ns) == (made[0].inode, made[0].mtime_ns)
        assert bench.keeper.ledger.intents() == []
    assert kinds(bench.apply(bench.removal()).actions) == ["remove"]


def _entry(entry_id: str) -> JournalEntry:
    return JournalEntry(entry_id, AT, "sync", ())
