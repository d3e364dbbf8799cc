"""Where the words of a query are in what was found."""

import random
from collections.abc import Callable

import pytest

from modelcellar.records import Digests, FileRecord, Finding, ModelRecord
from modelcellar.search.highlights import EXCERPT, highlights, spans_of
from modelcellar.search.parser import parse_query
from modelcellar.search.search_models import search_models
from tests.core.search.conftest import Catalog
from tests.core.search.golden import NAMES, QUERIES


def marked(name: str, text: str) -> str:
    """``name`` with brackets around what ``text`` hits."""
    parts, done = [], 0
    for start, end in spans_of(name, parse_query(text).wanted):
        parts += [name[done:start], "[", name[start:end], "]"]
        done = end
    return "".join([*parts, name[done:]])


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("FLUX.1-dev", "flux", "[FLUX].1-dev"),
        ("FLUX.1-dev", "flux dev", "[FLUX].1-[dev]"),
        ("FLUX.1-dev", "flux1", "[FLUX.1]-dev"),
        ("sd_xl_base_1.0", "sdxl", "[sd_xl]_base_1.0"),
        ("Qwen2.5-Q4_K_M", "q4km", "Qwen2.5-[Q4_K_M]"),
        ("JuggernautXL_v9", "jugger", "[Jugger]nautXL_v9"),
        ("distilbert", "bert", "distil[bert]"),
        ("bert-distilbert", "bert", "[bert]-distilbert"),
        ("loralora", "lora", "[lora]lora"),
        ("baselora base", "lora x", "base[lora] base"),
        ("Café Noir", "cafe", "[Café] Noir"),
        ("cafe\u0301-noir", "café", "[cafe\u0301]-noir"),
        ("国风模型", "模型", "国风[模型]"),
        ("flux-flux", "flux", "[flux]-[flux]"),
        ("flux dev", "-dev flux", "[flux] dev"),
        ("flux dev", '"flux dev"', "[flux dev]"),
        ("flux dev", "type:lora", "flux dev"),
        ("", "flux", ""),
        ("???", "???", "???"),
    ],
)
def test_what_is_marked(name: str, text: str, expected: str) -> None:
    assert marked(name, text) == expected


def test_fields_in_order_and_files_only_where_nothing_else_is() -> None:
    model = ModelRecord(
        "x-12345678",
        "plain name",
        (FileRecord("unet/anime.safetensors", 1, Digests("0" * 64, "0" * 64)),),
        "2026-01-01T00:00:00.000000Z",
        tags=("anime", "style"),
        family="SDXL",
        note="x " * 200 + "an anime model" + " y" * 200,
        findings={"trigger_words": Finding(["animegirl", "other"], "metadata")},
    )
    found = highlights(model, parse_query("anime"))
    assert [one.field for one in found] == ["tag", "trigger_words", "note"]
    assert found[0].text == "anime"
    [(start, end)] = found[2].spans
    assert found[2].text[start:end] == "anime"
    assert len(found[2].text) == 2 * EXCERPT + len("anime")
    [file] = highlights(model, parse_query("unet"))
    assert (file.field, file.spans) == ("file", ((0, 4),))
    [tag] = highlights(model, parse_query("tag:style"))
    assert tag.field == "tag"
    assert highlights(model, parse_query("nothing")) == ()


def test_spans_of_anything_are_in_order_and_inside() -> None:
    chance = random.Random(3)
    letters = "aB1 _-.é模型ß🔥\u0301İſﬁ"
    for _ in range(5_000):
        name = "".join(chance.choices(letters, k=chance.randint(0, 12)))
        text = "".join(chance.choices(letters, k=chance.randint(0, 4)))
        done = 0
        for start, end in spans_of(name, parse_query(text).wanted):
            assert done <= start < end <= len(name)
            done = end


def test_nearly_every_hit_among_real_names_is_marked(
    catalog_of: Callable[..., Catalog],
) -> None:
    """Those that are not are found by other words of the model than its name."""
    golden = catalog_of(*NAMES)
    unmarked = 0
    shown = 0
    for text, wanted, _ in QUERIES:
        query = parse_query(text)
        if not wanted or not query.wanted or query.sort:
            continue
        for name in golden.names(search_models(golden.connection, text, limit=3).rowids):
            shown += 1
            unmarked += not spans_of(name, query.wanted)
    assert shown > 100
    assert unmarked / shown < 0.1
