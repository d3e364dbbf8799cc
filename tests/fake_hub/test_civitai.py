"""Civitai and CivArchive."""

import hashlib
import struct
import zlib

import httpx
import pytest
from blake3 import blake3

from tests.support.fake_hub import ArchivedFile, CivitaiFile, CivitaiVersion, FakeHub

HEADER = b'{"w":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}'
SMALL = struct.pack("<Q", len(HEADER)) + HEADER + b"\1\2\3\4"
LARGE = bytes(range(256)) * 8192 + b"end"
MISS = "0" * 64


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def toy(fake_hub: FakeHub) -> CivitaiVersion:
    """A version with one file."""
    file = CivitaiFile(33, "toy.safetensors", SMALL, blake3=blake3(SMALL).hexdigest())
    return fake_hub.add_version(
        CivitaiVersion(11, 22, (file,), trained_words=("toy",), published_at=2e9)
    )


@pytest.fixture
def url(fake_hub: FakeHub) -> str:
    return f"{fake_hub.civitai_url}/api/v1/model-versions/by-hash"


@pytest.mark.usefixtures("toy")
def test_every_kind_of_hash_in_any_case(client: httpx.Client, url: str) -> None:
    hashes = {
        "AutoV2": sha256(SMALL)[:10],
        "AutoV3": sha256(b"\1\2\3\4")[:12],
        "SHA256": sha256(SMALL),
        "CRC32": f"{zlib.crc32(SMALL):08x}",
        "BLAKE3": blake3(SMALL).hexdigest(),
    }
    for found in hashes.values():
        assert client.get(f"{url}/{found}").json()["id"] == 11
        assert client.get(f"{url}/{found.upper()}").json()["id"] == 11
    shown = client.get(f"{url}/{sha256(SMALL)}").json()["files"][0]["hashes"]
    assert shown == {name: value.upper() for name, value in hashes.items()}


def test_autov1_is_of_large_files_only(fake_hub: FakeHub, client: httpx.Client, url: str) -> None:
    fake_hub.add_version(CivitaiVersion(1, 2, (CivitaiFile(3, "large.ckpt", LARGE),)))
    part = sha256(LARGE[0x100000:0x110000])[:8]
    assert client.get(f"{url}/{part}").json()["files"][0]["hashes"]["AutoV1"] == part.upper()


def test_shape(fake_hub: FakeHub, client: httpx.Client, url: str, toy: CivitaiVersion) -> None:
    shown = client.get(f"{url}/{sha256(SMALL)}").json()
    assert shown["modelId"] == toy.model_id
    assert shown["air"] == "urn:air:sdxl:lora:civitai:22@11"
    assert shown["model"] == {"name": "Toy", "type": "LORA", "nsfw": False, "poi": False}
    assert shown["trainedWords"] == ["toy"]
    assert shown["files"][0]["sizeKB"] == len(SMALL) / 1024
    assert shown["files"][0]["downloadUrl"].startswith(fake_hub.civitai_url)


def test_misses(fake_hub: FakeHub, client: httpx.Client, url: str) -> None:
    def answer(version: CivitaiVersion | None) -> tuple[int, object]:
        fake_hub.civitai.versions[:] = [version] if version else []
        found = client.get(f"{url}/{sha256(SMALL)}")
        return found.status_code, found.json().get("error")

    files = (CivitaiFile(3, "toy.safetensors", SMALL),)
    assert answer(None) == (404, "Model not found")
    assert answer(CivitaiVersion(1, 2, files, status="Draft")) == (404, "Model not found")
    assert answer(CivitaiVersion(1, 2, files, mode="Archived")) == (404, "Missing model file")
    assert answer(CivitaiVersion(1, 2, files)) == (200, None)


@pytest.mark.usefixtures("toy")
def test_the_oldest_published_version_answers(
    fake_hub: FakeHub, client: httpx.Client, url: str
) -> None:
    files = (CivitaiFile(3, "again.safetensors", SMALL),)
    fake_hub.add_version(CivitaiVersion(9, 8, files, published_at=1e9))
    fake_hub.add_version(CivitaiVersion(7, 6, files, published_at=1, status="Draft"))
    assert client.get(f"{url}/{sha256(SMALL)}").json()["id"] == 9


@pytest.mark.usefixtures("toy")
def test_many_at_once(client: httpx.Client, url: str) -> None:
    found = client.post(url, json=[sha256(SMALL), MISS]).json()
    assert [version["id"] for version in found] == [11]
    short = client.post(f"{url}/ids", json=[MISS, sha256(SMALL)]).json()
    assert short == [{"modelVersionId": 11, "modelId": 22, "hash": sha256(SMALL).upper()}]


@pytest.mark.parametrize(("path", "most"), [("", 100), ("/ids", 10_000)])
def test_limits_of_many(client: httpx.Client, url: str, path: str, most: int) -> None:
    assert client.post(url + path, json=[MISS] * most).json() == []
    for wrong in ([MISS] * (most + 1), [], ["short"], {"a": 1}, [7]):
        assert client.post(url + path, json=wrong).status_code == 400
    assert client.post(url + path, content=b"no json").status_code == 400


def test_versions_and_models_by_number(
    fake_hub: FakeHub, client: httpx.Client, toy: CivitaiVersion
) -> None:
    fake_hub.add_version(CivitaiVersion(12, 22, toy.files, name="v2", published_at=3e9))
    fake_hub.add_version(CivitaiVersion(13, 22, toy.files, status="Draft"))
    api = f"{fake_hub.civitai_url}/api/v1"
    assert client.get(f"{api}/model-versions/11").json() == toy.shown(fake_hub.civitai_url)
    shown = client.get(f"{api}/models/22").json()
    assert (shown["id"], shown["name"], shown["type"]) == (22, "Toy", "LORA")
    assert [version["id"] for version in shown["modelVersions"]] == [12, 11]
    for missing in ("model-versions/13", "model-versions/5", "models/5"):
        assert client.get(f"{api}/{missing}").status_code == 404


def test_who_may_have_a_file(fake_hub: FakeHub, client: httpx.Client) -> None:
    other = CivitaiFile(4, "other.safetensors", LARGE, primary=False)
    toy = CivitaiFile(3, "toy.safetensors", SMALL)
    login = fake_hub.add_version(CivitaiVersion(1, 2, (other, toy), wants_login=True))
    early = fake_hub.add_version(CivitaiVersion(5, 2, (toy,), availability="EarlyAccess"))
    fake_hub.add_version(CivitaiVersion(6, 2, (toy,), mode="Archived"))
    fake_hub.civitai.keys |= {"anybody": frozenset(), "buyer": frozenset({early.id})}

    def status(number: int, key: str | None = None, query: str = "") -> int:
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        url = f"{fake_hub.civitai_url}/api/download/models/{number}{query}"
        return client.get(url, headers=headers).status_code

    assert [status(login.id), status(login.id, "anybody")] == [401, 307]
    assert [status(early.id), status(early.id, "anybody"), status(early.id, "buyer")] == [
        *(403, 403, 307)
    ]
    assert [status(6), status(7), status(1, "buyer", "?fileId=9")] == [410, 404, 404]
    url = f"{fake_hub.civitai_url}/api/download/models/{login.id}"
    for query, content in (("", SMALL), ("?fileId=4", LARGE)):
        answer = client.get(url + query, headers={"Authorization": "Bearer buyer"})
        assert client.get(answer.headers["location"]).content == content


def test_a_download_leads_to_a_store_that_wants_no_token(
    fake_hub: FakeHub, client: httpx.Client, toy: CivitaiVersion
) -> None:
    fake_hub.civitai.keys["key"] = frozenset()
    url = f"{fake_hub.civitai_url}/api/download/models/{toy.id}"
    assert client.get(url, headers={"Authorization": "Bearer other"}).status_code == 401
    answer = client.get(url, headers={"Authorization": "Bearer key"})
    assert (answer.status_code, answer.headers["Cache-Control"]) == (307, "no-store")
    assert answer.headers["location"].startswith(fake_hub.cdn_url)
    assert client.get(answer.headers["location"]).content == SMALL
    assert client.get(f"{fake_hub.civitai_url}/api/download/models/5").status_code == 404
    assert fake_hub.log.leaks == ()


def test_civarchive(fake_hub: FakeHub, client: httpx.Client) -> None:
    place = ArchivedFile("huggingface", "/models/1", "toy.safetensors", model_id=22)
    fake_hub.civarchive.files[sha256(SMALL)] = (place,)
    fake_hub.civarchive.models[sha256(SMALL)] = ({"id": 22, "name": "Toy"},)
    url = f"{fake_hub.civarchive_url}/api/v1/sha256"
    for asked in (sha256(SMALL), sha256(SMALL).upper()):
        found = client.get(f"{url}/{asked}").json()
        assert found["models"] == [{"id": 22, "name": "Toy"}]
        assert found["files"] == [
            {
                "source": "huggingface",
                "url": "/models/1",
                "filename": "toy.safetensors",
                "model_id": 22,
                "model_version_id": None,
                "is_gated": False,
                "is_paid": False,
                "deleted_at": None,
            }
        ]
    missed = client.get(f"{url}/{MISS}")
    assert (missed.status_code, missed.json()) == (200, {"files": [], "models": []})
