"""Rounds, their order, and which of them count; with invented seconds instead of work."""

import itertools
from collections import Counter
from collections.abc import Iterator

from benchmarks.contest import Entry, Quiet, Sample, rotated, run_contest
from benchmarks.results import against_best_peer, make_rows


def sample(seconds: float, *, written: int = 0) -> Sample:
    return Sample(seconds, seconds, 1000, written, 0, written, 5)


def steady() -> Quiet:
    return Quiet(lambda: 1.0, lambda: 0.0)


def test_everybody_stands_equally_often_at_each_place() -> None:
    names = ["a", "b", "c", "d", "e"]
    orders = [rotated(names, number) for number in range(10)]
    assert all(sorted(order) == names for order in orders)
    for place in range(5):
        assert Counter(order[place] for order in orders) == dict.fromkeys(names, 2)


def test_everybody_stands_before_and_after_each_neighbour() -> None:
    pairs: Counter[tuple[str, str]] = Counter()
    for number in range(6):
        order = rotated(["a", "b", "c"], number)
        pairs.update(itertools.pairwise(order))
    assert pairs["a", "b"] == pairs["b", "a"] > 0


def test_nobody_is_a_contest_too() -> None:
    assert rotated([], 3) == []


def test_noisy_rounds_are_discarded_and_repeated() -> None:
    speeds: Iterator[float] = iter([1.0, 1.0, 1.0, 1.2, 1.0, 1.01, 1.0, 1.0])
    steals: Iterator[float] = iter([0.0, 0.0, 0.0, 0.05, 0.0])
    seconds = iter([1.0, 9.0, 9.0, 2.0])
    quiet = Quiet(lambda: next(speeds), lambda: next(steals))
    outcome = run_contest([Entry("a", lambda: sample(next(seconds)))], rounds=2, quiet=quiet)
    assert [one["a"].seconds for one in outcome.rounds] == [1.0, 2.0]
    assert outcome.discarded == 2
    assert outcome.reasons == ["speed changed by 20.0%", "5.0% steal time"]


def test_a_machine_that_is_never_quiet_ends_the_contest() -> None:
    quiet = Quiet(lambda: 1.0, lambda: 0.5)
    outcome = run_contest([Entry("a", lambda: sample(1))], rounds=3, quiet=quiet)
    assert (outcome.rounds, outcome.discarded) == ([], 6)


def test_ratios_are_taken_within_a_round() -> None:
    slow_rounds = iter([1.0, 5.0, 2.0])
    pace = [1.0]

    def first() -> Sample:
        return sample(pace[0])

    def next_round(_: object) -> None:
        pace[0] = next(slow_rounds)

    next_round(None)
    entries = [Entry("F1", first), Entry("twice", lambda: sample(2 * pace[0]))]
    seen: list[int] = []
    outcome = run_contest(
        entries,
        rounds=2,
        quiet=steady(),
        on_round=lambda found: (seen.append(len(found)), next_round(found)),
    )
    assert outcome.ratios("twice", "F1") == [2.0, 2.0]
    assert outcome.ratio("twice", "F1").median == 2.0
    assert seen == [2, 2]


def test_slow_contenders_sit_out_rounds() -> None:
    entries = [Entry("F1", lambda: sample(1)), Entry("slow", lambda: sample(8), every=3)]
    outcome = run_contest(entries, rounds=7, quiet=steady())
    assert outcome.ratios("slow", "F1") == [8.0, 8.0, 8.0]
    assert len(outcome.ratios("F1", "F1")) == 7


def test_rows_are_sorted_and_by_the_byte() -> None:
    entries = [
        Entry("F1", lambda: sample(2.0)),
        Entry("ours", lambda: sample(1.0, written=1000)),
        Entry("peer", lambda: sample(4.0)),
        Entry("slow peer", lambda: sample(5.0)),
    ]
    outcome = run_contest(entries, rounds=3, quiet=steady())
    names = [("F1", False), ("ours", True), ("peer", False), ("absent", False)]
    rows = make_rows(outcome, names, "F1", 1000)
    assert [(row.name, row.ratio.median) for row in rows] == [("ours", 0.5), ("F1", 1), ("peer", 2)]
    assert rows[0].mb_per_s == 0.001
    assert (rows[0].read_share, rows[0].write_share, rows[1].write_share) == (1, 1, 0)
    best, ratio, said = against_best_peer(outcome, "ours", ["slow peer", "peer", "absent"])
    assert (best, said) == ("peer", "faster")
    assert ratio is not None
    assert ratio.median == 0.25
    assert against_best_peer(outcome, "ours", []) == ("", None, "")
