"""``GET /api/models`` and quick search."""

import httpx
import pytest

from tests.support.fake_hub import FakeHub, FakeRepo

QUANTS = [f"quants/toy-{number}" for number in range(5)]


@pytest.fixture(autouse=True)
def quants(fake_hub: FakeHub, toy: FakeRepo) -> None:
    """Five quantised forms of the toy."""
    for number, name in enumerate(QUANTS):
        fake_hub.add(
            FakeRepo(name, {"toy.gguf": b"GGUF"}, base_model=toy.repo_id, downloads=number,
                     likes=5 - number, created_at=1e9 + number)
        )  # fmt: skip


def ids(client: httpx.Client, query: str) -> list[str]:
    answer = client.get(f"/api/models?{query}")
    assert answer.status_code == 200
    return [model["id"] for model in answer.json()]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("search=TOY-3", ["quants/toy-3"]),
        ("search=quants/toy-4", ["quants/toy-4"]),
        ("search=toy quants", []),
        ("author=acme", ["acme/toy"]),
        ("filter=gguf&filter=base_model:quantized:acme/toy&search=-1", ["quants/toy-1"]),
        ("filter=gguf&filter=diffusers", []),
        ("filter=base_model:quantized:acme/base", ["acme/toy"]),
        ("filter=base_model:finetune:acme/base", []),
        ("filter=text-to-image", ["acme/toy"]),
        ("pipeline_tag=text-to-image", ["acme/toy"]),
        ("gated=True", []),
    ],
)
def test_conditions(client: httpx.Client, query: str, expected: list[str]) -> None:
    assert ids(client, query) == expected


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("downloads", QUANTS[::-1]),
        ("likes", QUANTS),
        ("createdAt", QUANTS[::-1]),
        ("id", QUANTS),
    ],
)
def test_order(client: httpx.Client, sort: str, expected: list[str]) -> None:
    assert ids(client, f"author=quants&sort={sort}&direction=-1") == expected


def test_unknown_order(client: httpx.Client) -> None:
    assert client.get("/api/models?sort=nonsense").status_code == 400


def test_pages_keep_the_conditions(fake_hub: FakeHub, client: httpx.Client) -> None:
    url, found = "/api/models?filter=gguf&filter=region:us&sort=downloads&limit=2", []
    while url:
        answer = client.get(url)
        found += [model["id"] for model in answer.json()]
        url = answer.links.get("next", {}).get("url", "")
    assert found == QUANTS[::-1]
    filters = [[value for name, value in entry.query if name == "filter"]
               for entry in fake_hub.log.of("hub")]  # fmt: skip
    assert filters == [["gguf", "region:us"]] * 3


def test_the_server_decides_about_the_largest_page(fake_hub: FakeHub, client: httpx.Client) -> None:
    fake_hub.settings.models_page = 4
    answer = client.get("/api/models?limit=500")
    assert len(answer.json()) == 4
    assert "next" in answer.links


def test_little_unless_more_is_asked_for(client: httpx.Client, toy: FakeRepo) -> None:
    plain = client.get("/api/models?author=acme").json()[0]
    assert {"_id", "id", "modelId", "likes", "downloads", "tags", "createdAt"} <= set(plain)
    assert not {"siblings", "sha", "cardData"} & set(plain)
    full = client.get("/api/models?author=acme&full=True").json()[0]
    assert full["sha"] == toy.sha
    assert {"rfilename": "config.json"} in full["siblings"]
    card = client.get("/api/models?author=acme&cardData=true").json()[0]
    assert card["cardData"] == {"license": "mit"}
    some = client.get("/api/models?author=acme&expand=sha").json()[0]
    assert set(some) == {"_id", "id", "sha"}
    assert client.get("/api/models?expand=sha&full=true").status_code == 400


def test_quick_search(client: httpx.Client) -> None:
    found = client.get("/api/quicksearch?q=toy&type=model&limit=3").json()
    assert len(found["models"]) == 3
    assert found["modelsCount"] == 6
    assert set(found["models"][0]) == {"id", "private", "trendingWeight"}
    assert (found["datasets"], found["datasetsCount"]) == ([], 0)
    assert client.get("/api/quicksearch?q=toy&type=dataset").json()["models"] == []
    assert client.get("/api/quicksearch?q=toy&limit=21").status_code == 400
