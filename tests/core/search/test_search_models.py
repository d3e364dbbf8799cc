"""What people type finds what they mean, in an order they expect, with a true count."""

import random
import statistics
import time
from collections.abc import Callable

import pytest

from modelcellar.search.ranking import MAX_CANDIDATES
from modelcellar.search.search_models import search_models
from tests.core.search.conftest import Catalog, Searchable
from tests.core.search.golden import NAMES, QUERIES, extension_of

CatalogOf = Callable[..., Catalog]


@pytest.fixture(scope="module")
def golden() -> Catalog:
    catalog = Catalog()
    catalog.add(*(Searchable(name, extension_of(name)) for name in NAMES))
    return catalog


def test_name_counts_more_than_description(catalog_of: CatalogOf) -> None:
    catalog = catalog_of(
        Searchable("one", description="works with anime models"),
        Searchable("two", tags="anime"),
        Searchable("anime lines"),
        Searchable("four", extension="anime"),
    )
    assert catalog.find("anime") == ["anime lines", "two", "one", "four"]


def test_every_column_is_searched_without_accents(catalog_of: CatalogOf) -> None:
    catalog = catalog_of(Searchable("one", description="tiếng Việt"), Searchable("two", tags="été"))
    assert catalog.find("tieng viet") == ["one"]
    assert catalog.find("ete") == catalog.find('"ete"') == ["two"]


def test_a_phrase_of_cjk_is_found_inside_a_longer_one(catalog_of: CatalogOf) -> None:
    catalog = catalog_of(Searchable("one", tags="写实模型库"), Searchable("two", tags="模具型号"))
    assert catalog.find('"模型"') == catalog.find("模型") == ["one"]


def test_exact_name_comes_first_whatever_its_case(catalog_of: CatalogOf) -> None:
    longer = [f"flux flux flux {n}" for n in range(20)]
    catalog = catalog_of(*longer, "FLUX", "flux lora", "ünder ünder", "ünder 2", "Ünder")
    assert catalog.find("flux")[0] == "FLUX"
    assert catalog.find("Flux", limit=1, offset=0) == ["FLUX"]
    assert catalog.find("ÜNDER")[0] == "Ünder"
    assert catalog.find('"FLUX"')[0] == "FLUX"


def test_exact_name_that_is_excluded_is_not_found(catalog_of: CatalogOf) -> None:
    catalog = catalog_of("-dev", "flux", "flux -dev")
    assert catalog.find("-dev") == ["flux"]
    assert catalog.find("flux -dev") == ["flux"]


def test_empty_query_lists_all_by_name(catalog_of: CatalogOf) -> None:
    catalog = catalog_of("b", "C", "a", "b")
    for text in ("", "   ", "\t\n", "\0", "\ud800", '""'):
        assert catalog.find(text) == ["a", "b", "b", "C"]
    assert catalog.find("", limit=2, offset=1) == ["b", "b"]


def test_only_exclusions_list_the_others(catalog_of: CatalogOf) -> None:
    catalog = catalog_of("sd_xl_base", "sdxl vae", "flux dev", "bge")
    assert catalog.find("-sdxl") == ["bge", "flux dev"]
    assert catalog.find("-sdxl -flux") == ["bge"]
    assert catalog.find('-"flux dev"') == ["bge", "sd_xl_base", "sdxl vae"]


def test_inside_of_a_word_is_the_second_try(catalog_of: CatalogOf) -> None:
    catalog = catalog_of("Instruct-7B", "destruct", "a%b", "a_b", "axb", "🔥hot", "back\\slash")
    assert catalog.find("struc") == ["destruct", "Instruct-7B"]
    assert catalog.find("struc 7b") == ["Instruct-7B"]
    assert catalog.find("nstruct -7b") == []
    assert catalog.find("🔥") == ["🔥hot"]
    assert catalog.find("%") == ["a%b"]
    assert catalog.find("_") == ["a_b"]
    assert catalog.find("\\") == ["back\\slash"]
    assert catalog.find("???") == []


@pytest.mark.parametrize("text", ["common", "common -rare", "", "mm"])
def test_pages_give_every_model_once(catalog_of: CatalogOf, text: str) -> None:
    number = 2 * MAX_CANDIDATES + 500
    catalog = catalog_of(*(f"common {n:05}" for n in range(number)), "rare", "common")
    expected = number + 1 + (text == "")
    pages: list[int] = []
    for offset in range(0, expected + 700, 700):
        hits = search_models(catalog.connection, text, limit=700, offset=offset)
        assert hits.total == expected
        pages.extend(hits.rowids)
    assert len(pages) == len(set(pages)) == expected
    if text == "common":
        assert catalog.names(pages[:1]) == ["common"], "the exact name, though it was added last"


@pytest.mark.parametrize(("limit", "offset"), [(-1, 0), (0, -1)])
def test_negative_page_is_an_error(catalog: Catalog, limit: int, offset: int) -> None:
    with pytest.raises(ValueError, match="negative"):
        search_models(catalog.connection, "x", limit=limit, offset=offset)


def test_limit_zero_counts(catalog_of: CatalogOf) -> None:
    hits = search_models(catalog_of("flux a", "flux b").connection, "flux", limit=0)
    assert (hits.total, hits.rowids) == (2, ())


ALPHABET = (
    *('"', '""', "*", "-", "+", "^", ":", "(", ")", "{", "}", "'", ",", ".", "\\", "%", "_", "?"),
    *(" ", "\t", "\n", "\0", "\x1a", "\u3000", "\u200b", "\ufeff", "“", "”", "/", "|", "&", "!"),
    *("AND", "OR", "NOT", "NEAR", "NEAR(", "and", "or", "name", "words", "rowid", "models_fts"),
    *("flux", "dev", "q4_k_m", "sdxl", "é", "e\u0301", "模型", "日", "🔥", "\ud800", "\udcff", "1"),
)


def test_twenty_thousand_strings_are_no_error(golden: Catalog) -> None:
    rng = random.Random(11)
    for number in range(20_000):
        if number % 2:
            text = "".join(rng.choices(ALPHABET, k=rng.randint(1, 12)))
        else:
            text = "".join(chr(rng.randrange(0x250)) for _ in range(rng.randint(1, 20)))
        hits = search_models(golden.connection, text, limit=5)
        assert 0 <= hits.total <= len(NAMES)
        assert len(hits.rowids) == min(5, hits.total)


@pytest.mark.parametrize(
    "text",
    [
        "a" * 100_000,
        "a1" * 50_000,
        "日" * 100_000,
        '"' * 100_000,
        "-" * 100_000,
        " ".join(["flux"] * 50_000),
        " ".join(f"-x{n}y{n}" for n in range(20_000)),
        " ".join("a1B2c3" * 42 + str(n) for n in range(16)),
        " ".join(("日本語" * 85)[n:] for n in range(16)),
        "%" * 100_000,
        "\0" * 100_000,
        "\udcff" * 100_000,
    ],
    ids=lambda text: f"{text[:8]!a}",
)
def test_huge_text_is_no_error_and_quick(golden: Catalog, text: str) -> None:
    started = time.process_time()
    search_models(golden.connection, text, limit=5)
    assert time.process_time() - started < 2


def test_search_is_quick_in_ten_thousand_models(catalog: Catalog) -> None:
    rng = random.Random(5)
    catalog.add(
        *(
            Searchable(f"{rng.choice(NAMES)}-{rng.choice(NAMES)}-v{n}", rng.choice(["gguf", "pt"]))
            for n in range(10_000)
        )
    )
    texts = [text for text, wanted, _ in QUERIES if wanted]
    times_ms = []
    for text in texts * 3:
        started = time.process_time()
        search_models(catalog.connection, text, limit=20)
        times_ms.append((time.process_time() - started) * 1000)
    p95 = statistics.quantiles(times_ms, n=20)[-1]
    print(f"10,000 models: median {statistics.median(times_ms):.1f} ms, p95 {p95:.1f} ms")  # noqa: T201
    assert p95 < 50


# Facets


def facets_of(catalog: Catalog, text: str) -> dict[str, int]:
    hits = search_models(catalog.connection, text, limit=1, facets=True)
    by_type = {facet.value: facet.count for facet in hits.facets if facet.field == "type"}
    assert sum(by_type.values()) == hits.total
    return by_type


def test_facets_count_all_that_is_found(catalog_of: CatalogOf) -> None:
    catalog = catalog_of("anime one", "anime two", "distanime", "other")
    connection = catalog.connection
    connection.execute("UPDATE models SET type = 'lora' WHERE name LIKE '%anime%'")
    connection.execute(
        "INSERT INTO model_fields (model, name, type, format, identity_status, size_bytes,"
        " added_at, family_key)"
        " SELECT rowid, name, type, format, '', size_bytes, '', 'sdxl' FROM models"
    )
    assert facets_of(catalog, "anime") == {"lora": 3}, "inside of words too"
    assert facets_of(catalog, "anime one") == {"lora": 1}
    assert facets_of(catalog, "-one") == {"lora": 2, "x": 1}
    assert facets_of(catalog, "") == {"lora": 3, "x": 1}
    assert facets_of(catalog, "type:lora") == {"lora": 3}
    assert facets_of(catalog, "anime type:lora") == {"lora": 3}
    assert facets_of(catalog, "nothing") == {}
    hits = search_models(connection, "other", limit=1, facets=True)
    assert [(one.field, one.value, one.count) for one in hits.facets] == [
        ("type", "x", 1),
        ("base", "sdxl", 1),
        ("format", "x", 1),
    ]
    assert search_models(connection, "other", limit=1).facets == ()


def test_a_long_last_word_is_whole_where_very_many_have_it(catalog_of: CatalogOf) -> None:
    catalog = catalog_of(*(f"instruct {n}" for n in range(MAX_CANDIDATES - 1)), "instructor")
    assert len(catalog.find("instruct", limit=9_999)) == MAX_CANDIDATES
    catalog.add("instruct again")
    assert "instructor" not in catalog.find("instruct", limit=9_999)
    assert catalog.find("instructo") == ["instructor"]
    assert "instructor" in catalog.find("instru", limit=9_999), "not a whole word"


def test_exclusions_page_by_name_whatever_their_share(catalog_of: CatalogOf) -> None:
    """One by one where most models stay, by the whole list where hardly any do."""
    names = [f"common {n:05}" for n in range(3_000)]
    catalog = catalog_of(*names, "rare 1", "rare 2")
    assert catalog.find("-common") == ["rare 1", "rare 2"]
    assert catalog.find("-rare", limit=9_999) == names
    assert catalog.find("-rare", limit=5, offset=2_990) == names[2_990:2_995]
