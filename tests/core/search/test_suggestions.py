"""What is suggested where nothing is found."""

from collections.abc import Callable

import pytest

from modelcellar.search.search_models import search_models
from tests.core.search.conftest import Catalog


def suggested(catalog: Catalog, text: str) -> str | None:
    return search_models(catalog.connection, text, limit=5).did_you_mean


@pytest.fixture
def models(catalog_of: Callable[..., Catalog]) -> Catalog:
    return catalog_of("Llama-3.2-1B", "llava-1.5", "juggernautXL_v9", "FLUX.1-dev", "Qwen2-VL-7B")


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("lamma", "llama"),
        ("LAMMA 3", "llama 3"),
        ("jugernaut", "juggernaut"),
        ("-vl lamma", "-vl llama"),
        ("fluz dev", "flux dev"),
        ("nobody-here/FLUX.1-dev", "FLUX.1-dev"),
        ("lamma or fluz", "llama or flux"),
    ],
)
def test_nearly_the_same_word(models: Catalog, text: str, meant: str) -> None:
    assert suggested(models, text) == meant


@pytest.mark.parametrize(
    "text",
    [
        "llama",  # is found
        "",
        "xyzzyplugh",  # nothing is near
        "fl",  # too short to guess
        "fxxx dev",  # two wrong letters of four
        '"lamma"',  # an exact phrase
        "lamma -llama",  # would find nothing
        "type:lora",  # no word
    ],
)
def test_no_suggestion(models: Catalog, text: str) -> None:
    assert suggested(models, text) is None


def test_a_catalog_that_is_empty(catalog: Catalog) -> None:
    assert suggested(catalog, "llama") is None
