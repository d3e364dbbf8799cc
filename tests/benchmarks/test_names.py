"""The made-up models of the search benchmark."""

from collections import Counter
from itertools import islice

from benchmarks.names import made_models
from benchmarks.searches import SEARCHES


def test_the_first_models_are_the_same_however_many_are_made() -> None:
    few = list(made_models(50))
    assert few == list(islice(made_models(1_000), 50))
    assert few != list(made_models(50, seed=1))


def test_few_words_are_common_and_most_are_rare() -> None:
    counts = Counter(made.values["name"].split("_")[0] for made in made_models(5_000))
    times = sorted(counts.values(), reverse=True)
    assert times[0] > 50
    assert times[len(times) // 2] == 1


def test_every_model_can_be_a_file() -> None:
    for made in made_models(2_000):
        assert made.values["name"]
        assert "/" not in made.path
        assert made.size_bytes > 0


def test_the_searches_are_many_and_different() -> None:
    assert len(SEARCHES) == len(set(SEARCHES)) >= 60
