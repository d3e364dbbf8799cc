"""The golden set: what people type finds what they mean, and not what they do not mean."""

from collections.abc import Callable, Iterator

import pytest

from modelcellar.index import Catalog
from modelcellar.search.fts5 import migrate_to_fts5
from modelcellar.search.index_text import search_text
from modelcellar.search.search_models import search_models
from tests.core.search import golden_others, golden_pictures, golden_queries, golden_text_queries
from tests.core.search.golden import NAMES, QUERIES, extension_of
from tests.core.search.golden_model import Model
from tests.core.search.golden_text_queries import MUST_NOT, TYPOS

MIN_RECALL = 0.95
MIN_SUGGESTED = 0.9
FIRST = 10
ALL = 10_000

MODELS = (
    *(Model(name, extension=extension_of(name)) for name in NAMES),
    *(
        Model(model) if isinstance(model, str) else model
        for models in (
            golden_pictures.CHECKPOINTS,
            golden_pictures.LORAS,
            golden_pictures.PARTS,
            golden_others.LANGUAGE,
            golden_others.SOUND_AND_OTHERS,
        )
        for model in models
    ),
)
TYPED = (
    *golden_queries.PICTURES,
    *golden_queries.PARTS,
    *golden_text_queries.LANGUAGE,
    *golden_text_queries.SOUND_AND_OTHERS,
    *golden_text_queries.HABITS,
    *golden_text_queries.SYNTAX,
)

Find = Callable[[str, int], list[str]]


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalog]:
    """A catalog of the whole set."""
    path = tmp_path_factory.mktemp("golden") / "catalog.db"
    catalog = Catalog(path, search_text=search_text)
    migrate_to_fts5(catalog.connection)
    with catalog.transaction():
        catalog.put(model.row(number) for number, model in enumerate(MODELS))
    yield catalog
    catalog.close()


@pytest.fixture(scope="module")
def find(catalog: Catalog) -> Find:
    """``find(text, limit)``: the names that it gives, the best first."""

    def names(text: str, limit: int) -> list[str]:
        hits = search_models(catalog.connection, text, limit=limit)
        assert len(hits.rowids) == min(limit, hits.total)
        query = "SELECT name FROM models WHERE rowid = ?"
        return [str(catalog.connection.execute(query, (rowid,)).get) for rowid in hits.rowids]

    return names


def test_first_ten_hold_what_was_meant(find: Find) -> None:
    """Recall@10, the mean over all queries."""
    recalls, misses = [], []
    for text, wanted in TYPED:
        missed = set(wanted).difference(find(text, FIRST))
        recalls.append(1 - len(missed) / len(wanted))
        misses += [f"{text!r} misses {name!r}" for name in sorted(missed)]
    recall = sum(recalls) / len(recalls)
    assert recall >= MIN_RECALL, "\n".join([f"recall@10 is {recall:.1%}", *misses])


@pytest.mark.parametrize(("text", "wanted", "unwanted"), QUERIES, ids=[q[0] for q in QUERIES])
def test_finds_these_and_not_those(
    find: Find, text: str, wanted: tuple[str, ...], unwanted: tuple[str, ...]
) -> None:
    found = find(text, ALL)
    assert set(wanted) <= set(found)
    assert not set(unwanted) & set(found)
    if not wanted:
        assert found == []


@pytest.mark.parametrize(("text", "name"), MUST_NOT)
def test_must_not_find(find: Find, text: str, name: str) -> None:
    assert name not in find(text, ALL)


@pytest.mark.parametrize("name", [model.name for model in MODELS])
def test_every_name_finds_itself_first(find: Find, name: str) -> None:
    assert find(name, 1) == [name]
    assert find(name.upper(), 1) == [name]
    assert name in find(f'"{name}"', ALL)


@pytest.mark.parametrize("model", MODELS, ids=[model.name for model in MODELS])
def test_every_file_name_finds_its_model(find: Find, model: Model) -> None:
    for path in model.paths:
        assert model.name in find(path.rpartition("/")[2], ALL)


@pytest.mark.parametrize(("typed", "meant"), TYPOS)
def test_a_typo_needs_a_suggestion(find: Find, typed: str, meant: str) -> None:
    assert find(typed, 1) == []
    assert find(meant, 1) != []


def test_what_was_meant_is_suggested(catalog: Catalog, find: Find) -> None:
    """It need not be spelled alike: it must find first what was meant."""
    missed = []
    for typed, meant in TYPOS:
        suggested = search_models(catalog.connection, typed, limit=1).did_you_mean
        if suggested is None or not set(find(suggested, 3)) & set(find(meant, FIRST)):
            missed.append((typed, meant, suggested))
    assert len(missed) <= len(TYPOS) * (1 - MIN_SUGGESTED), missed


def test_the_set_is_large_and_sound() -> None:
    names = [model.name for model in MODELS]
    assert len(names) == len({name.casefold() for name in names}) >= 500
    texts = [text for text, _ in TYPED]
    assert len(texts) == len(set(texts)) >= 300
    assert all(wanted and len(wanted) == len(set(wanted)) <= FIRST for _, wanted in TYPED)
    assert len(QUERIES) == len({text for text, _, _ in QUERIES}) >= 90
    assert len(MUST_NOT) == len(set(MUST_NOT)) >= 70
    assert len(TYPOS) == len(set(TYPOS)) >= 40
    spoken_of = {name for _, wanted in TYPED for name in wanted}
    spoken_of |= {name for _, wanted, unwanted in QUERIES for name in (*wanted, *unwanted)}
    spoken_of |= {name for _, name in MUST_NOT}
    assert spoken_of <= set(names)
