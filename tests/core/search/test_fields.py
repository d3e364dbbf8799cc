"""What the fields find, in a catalog whose rows were written from manifests."""

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import apsw
import pytest

from modelcellar import manifest as manifests
from modelcellar.index import MIGRATIONS, Catalog, CatalogRow
from modelcellar.manifest import Fact, Manifest
from modelcellar.records import Digests, FileFormat, FileRecord, Identity
from modelcellar.search import fts5
from modelcellar.search.conditions import where_of
from modelcellar.search.index_text import search_text
from modelcellar.search.parser import parse_query
from modelcellar.search.ranking import matches_of
from modelcellar.search.search_models import search_models

NOW = datetime(2026, 6, 30, 12, tzinfo=UTC)
AT = "2026-06-01T00:00:00.000000Z"
GB = 10**9


def digest(number: int) -> str:
    return random.Random(number).randbytes(32).hex()


def model(
    number: int, name: str, *, size_bytes: int = GB, sha256: str = "", **facts: object
) -> Manifest:
    digests = Digests(blake3=digest(-number), sha256=sha256 or digest(number))
    told = {"name": name, "type": "lora", "format": "safetensors", **facts}
    return Manifest(
        id=f"model-{digest(number)[:8]}",
        content_digest=digest(number),
        added_at=AT,
        files=(FileRecord(f"unet/{name}.x", size_bytes, digests, FileFormat.SAFETENSORS),),
        facts={key: Fact(value, "file content", AT) for key, value in told.items()},  # type: ignore[arg-type]
    )


MODELS = (
    model(1, "dreamer", base_model="stabilityai/stable-diffusion-xl-base-1.0", family="SDXL",
          tags=["anime", "long hair"], license="openrail++"),
    replace(
        model(2, "llama", size_bytes=5 * GB, type="llm", format="gguf", family="Llama 3",
              quantization="Q4_K_M", parameter_count=8_030_000_000, license="apache-2.0"),
        identity=Identity("verified", "huggingface", "bartowski/Llama-3-GGUF"),
        looked_up_at=AT,
        verified_at="2026-06-29T00:00:00.000000Z",
    ),
    replace(
        model(3, "old vae", size_bytes=300 * 10**6, type="vae", family="SD 1.5",
              summary="15 tensors, F32, 83,653,863 parameters", author="Someone Else"),
        added_at="2025-01-31T23:00:00.000000Z",
        identity=Identity("claimed", "civitai", "123"),
        damaged_at=AT,
    ),
    model(4, "dreamer llama copy", sha256=digest(1), type="checkpoint", format="torch_zip"),
)  # fmt: skip
DREAMER, LLAMA, VAE, COPY = (found.facts["name"].value for found in MODELS)


def put(catalog: Catalog, *models: Manifest) -> None:
    with catalog.transaction():
        catalog.put(CatalogRow(one, manifests.encode(one), 1) for one in models)


def find(catalog: Catalog, text: str) -> list[str]:
    hits = search_models(catalog.connection, text, limit=10, now=NOW)
    assert hits.total == len(hits.rowids)
    return [str(found.facts["name"].value) for found in catalog.by_rowids(hits.rowids)]


@pytest.fixture
def open_catalog(tmp_path: Path) -> Iterator[Callable[..., Catalog]]:
    opened = []

    def open_it(migrations: tuple[Callable[[apsw.Connection], None], ...] = MIGRATIONS) -> Catalog:
        path = tmp_path / "catalog.db"
        opened.append(Catalog(path, search_text=search_text, migrations=migrations))
        fts5.migrate_to_fts5(opened[-1].connection)
        return opened[-1]

    yield open_it
    for catalog in opened:
        catalog.close()


@pytest.fixture
def catalog(open_catalog: Callable[..., Catalog]) -> Catalog:
    made = open_catalog()
    put(made, *MODELS)
    return made


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("type:lora", [DREAMER]),
        ("type:LoRA,vae", [DREAMER, VAE]),
        ("-type:lora,vae", [COPY, LLAMA]),
        ("type:diffusion-model", []),
        ("format:gguf", [LLAMA]),
        ("format:ckpt", [COPY]),
        ("base:sdxl", [DREAMER]),
        ("base:stable-diffusion-xl", [DREAMER]),
        ('base:"SD 1.5"', [VAE]),
        ("base:sd1.5", [VAE]),
        ("family:llama", [LLAMA]),
        ("-family:sdxl", [COPY, LLAMA, VAE]),
        ("tag:anime", [DREAMER]),
        ('tag:"long hair"', [DREAMER]),
        ("-tag:anime", [COPY, LLAMA, VAE]),
        ("author:bartowski", [LLAMA]),
        ('author:"someone else"', [VAE]),
        ("bartowski", [LLAMA]),
        ("license:apache", [LLAMA]),
        ("quant:q4_k_m", [LLAMA]),
        ("quant:Q4", [LLAMA]),
        ("source:hf", [LLAMA]),
        ("source:civitai", [VAE]),
        ("size>4GB", [LLAMA]),
        ("size>=5GB size<5GiB", [LLAMA]),
        ("size<=500MB", [VAE]),
        ("params<=8B", [VAE]),
        ("params>8B", [LLAMA]),
        ("-params>8B", [DREAMER, COPY, VAE]),
        ("added:<30d", [DREAMER, COPY, LLAMA]),
        ("added:>1y", [VAE]),
        ("added:2025-01-31", [VAE]),
        ("added>2025-01-31", [DREAMER, COPY, LLAMA]),
        ("added<2025-01-31", []),
        ("added<=2025-01", [VAE]),
        ("added:<999999y", [DREAMER, COPY, LLAMA, VAE]),
        ("verified:<30d", [LLAMA]),
        ("verified:no", [DREAMER, COPY, VAE]),
        ("is:broken", [VAE]),
        ("is:pending", [DREAMER, COPY, VAE]),
        ("is:duplicate", [DREAMER, COPY]),
        (f"hash:{digest(2)[:6]}", [LLAMA]),
        (f"hash:{digest(-3).upper()}", [VAE]),
        ("path:unet/old", [VAE]),
        ("path:%", []),
        ("dreamer type:lora", [DREAMER]),
        ("dreamer -type:lora", [COPY]),
        ("dreamer or type:vae", [DREAMER, COPY, VAE]),
        ("dreamer or vae", [VAE, COPY, DREAMER]),
        ("type:vae or type:lora", [DREAMER, VAE]),
        ("type:llm or -tag:anime", [COPY, LLAMA, VAE]),
        ("reame type:lora", [DREAMER]),
        ("sort:size-", [LLAMA, DREAMER, COPY, VAE]),
        ("sort:size dreamer or vae", [VAE, DREAMER, COPY]),
        ("sort:added type:lora,vae", [VAE, DREAMER]),
    ],
)  # fmt: skip
def test_field(catalog: Catalog, text: str, expected: list[str]) -> None:
    assert find(catalog, text) == expected


def test_few_hits_are_followed_by_names_that_hold_the_word(catalog: Catalog) -> None:
    put(catalog, model(5, "mydreamers"))
    assert find(catalog, "dreamer") == [DREAMER, COPY, "mydreamers"]
    assert find(catalog, "dreamer type:lora") == [DREAMER, "mydreamers"]
    assert sorted(find(catalog, "dreamer -mydreamers")) == [DREAMER, COPY]


def _put_and_fail(catalog: Catalog) -> None:
    with catalog.transaction():
        catalog.put([CatalogRow(MODELS[0], manifests.encode(MODELS[0]), 1)])
        raise OSError("power")


def test_fields_follow_every_change_of_a_row(catalog: Catalog) -> None:
    changed = replace(
        MODELS[0],
        edits={"type": Fact("vae", "user", AT), "tags": Fact(["new"], "user", AT)},
        looked_up_at=AT,
        identity=Identity("verified", "huggingface", "newcomer/x"),
    )
    put(catalog, changed)
    assert find(catalog, "type:lora") == find(catalog, "tag:anime") == []
    assert find(catalog, "type:vae tag:new author:newcomer source:hf -is:pending") == [DREAMER]
    with pytest.raises(OSError, match="power"):
        _put_and_fail(catalog)
    assert find(catalog, "type:lora") == []
    with catalog.transaction():
        catalog.delete([changed.id])
    assert find(catalog, "type:vae tag:new") == []
    assert fts5.integrity_check(catalog.connection)


def test_an_older_catalog_is_brought_up_from_its_own_rows(
    open_catalog: Callable[..., Catalog],
) -> None:
    catalog = open_catalog()
    put(catalog, *MODELS)
    catalog.connection.execute(
        "DROP TABLE models_fts; DROP TRIGGER models_fts_insert; DROP TRIGGER models_fts_update;"
        "DROP TRIGGER models_fts_delete; DROP TABLE models_names; DROP TRIGGER models_names_insert;"
        "DROP TRIGGER models_names_update; DROP TRIGGER models_names_delete;"
        "DROP TABLE model_fields; DROP TABLE known_words; ALTER TABLE models DROP COLUMN kinds;"
        "ALTER TABLE models DROP COLUMN author; PRAGMA user_version = 2"
    )
    catalog.close()

    def fails(_: apsw.Connection) -> None:
        raise OSError("killed")

    with pytest.raises(OSError, match="killed"):
        open_catalog((*MIGRATIONS, fails))
    again = open_catalog()
    assert find(again, "type:llm author:bartowski params>8B") == [LLAMA]
    assert find(again, "is:broken") == [VAE]
    assert again.never_looked_up() == 3
    assert fts5.integrity_check(again.connection)


def test_words_are_looked_up_before_rows(catalog: Catalog) -> None:
    """A filter beside words must not read every row."""
    plan = catalog.connection.execute(
        "EXPLAIN QUERY PLAN SELECT models_fts.rowid FROM models_fts "
        "CROSS JOIN model_fields v ON v.model = models_fts.rowid "
        "WHERE models_fts MATCH 'x' AND v.type = 'lora' AND v.size_bytes > 1"
    )
    steps = [step for *_, step in plan]
    assert steps[0].startswith("SCAN models_fts VIRTUAL TABLE INDEX 0:M")
    assert steps[1:] == ["SEARCH v USING INTEGER PRIMARY KEY (rowid=?)"]


def test_a_type_is_listed_in_the_order_of_an_index(catalog: Catalog) -> None:
    where = where_of(parse_query("type:lora"), NOW)
    plan = catalog.connection.execute(
        f"EXPLAIN QUERY PLAN SELECT {where.rowid} FROM {where.source} WHERE {where.sql} "
        f"ORDER BY {where.name} COLLATE NOCASE, {where.rowid}",
        where.values,
    )
    [step] = [step for *_, step in plan]
    assert step == "SEARCH v USING COVERING INDEX model_fields_type (type=?)"


def test_a_type_beside_words_is_a_word_itself(catalog: Catalog) -> None:
    """So that no row is looked up for it, as there is for a size."""
    asked = matches_of(parse_query("anime type:lora not format:gguf"), NOW)
    assert asked is not None
    assert (asked.source, asked.where) == ("models_fts", "models_fts MATCH ?")
    sized = matches_of(parse_query("anime type:lora size>4GB"), NOW)
    assert sized is not None
    plan = catalog.connection.execute(f"EXPLAIN QUERY PLAN {sized.sql}", sized.values)
    steps = [step for *_, step in plan]
    assert steps[0].startswith("SCAN models_fts VIRTUAL TABLE")
    assert steps[1:] == [
        "SEARCH v USING COVERING INDEX model_fields_numbers (model=? AND size_bytes>?)"
    ]
