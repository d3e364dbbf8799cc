"""The statistics of the contest."""

import statistics

import pytest

from benchmarks.figures import Figure, figure, verdict

VALUES = [1.02, 0.97, 1.05, 0.99, 1.31, 1.0, 0.98, 1.01, 1.03, 0.96, 1.04, 1.0, 0.99, 1.02, 1.01]


def test_the_median_lies_in_its_interval() -> None:
    found = figure(VALUES)
    assert found.median == statistics.median(VALUES)
    assert min(VALUES) <= found.low < found.median < found.high <= max(VALUES)
    assert found.count == len(VALUES)


def test_one_wild_value_hardly_moves_it() -> None:
    assert figure([*VALUES, 40.0]).high < 1.1


def test_the_same_values_give_the_same_interval() -> None:
    assert figure(VALUES) == figure(VALUES)
    assert figure(VALUES, seed=1) != figure(VALUES, seed=2)


def test_more_values_narrow_it() -> None:
    few, many = figure(VALUES), figure(VALUES * 20)
    assert many.high - many.low < few.high - few.low


def test_one_value_is_its_own_interval() -> None:
    assert figure([2.0]) == Figure(2.0, 2.0, 2.0, 1)


def test_no_values_are_refused() -> None:
    with pytest.raises(ValueError, match="no values"):
        figure([])


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.80, 0.96, "faster"),
        (0.80, 0.98, "level"),
        (1.02, 1.20, "level"),
        (1.04, 1.20, "slower"),
    ],
)
def test_a_claim_needs_the_whole_interval_beyond_the_margin(
    low: float, high: float, expected: str
) -> None:
    assert verdict(Figure((low + high) / 2, low, high, 9)) == expected
