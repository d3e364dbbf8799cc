"""Models, trees, paths and references in the shapes of the Hub's API."""

import hashlib
from urllib.parse import quote

import httpx
import pytest

from tests.fake_hub.contents import FILES, WEIGHTS
from tests.support.fake_hub import FakeHub, FakeRepo

SHA256 = hashlib.sha256(WEIGHTS).hexdigest()


def test_one_model(client: httpx.Client, toy: FakeRepo) -> None:
    shown = client.get("/api/models/acme/toy").json()
    assert shown["id"] == shown["modelId"] == "acme/toy"
    assert (shown["author"], shown["sha"], shown["gated"]) == ("acme", toy.sha, False)
    assert shown["siblings"] == [{"rfilename": path} for path in sorted(FILES)]
    assert {"diffusers", "license:mit", "base_model:quantized:acme/base"} <= set(shown["tags"])
    assert "securityRepoStatus" not in shown


@pytest.mark.parametrize("yes", ["true", "True", "1"])
def test_sizes_and_hashes_when_asked_for(client: httpx.Client, toy: FakeRepo, yes: str) -> None:
    answer = client.get("/api/models/acme/toy", params={"blobs": yes, "securityStatus": yes})
    files = {file["rfilename"]: file for file in answer.json()["siblings"]}
    assert files["model.safetensors"] == {
        "rfilename": "model.safetensors",
        "size": len(WEIGHTS),
        "blobId": toy.head.files["model.safetensors"].oid,
        "lfs": {"sha256": SHA256, "size": len(WEIGHTS), "pointerSize": 130},
    }
    assert "lfs" not in files["config.json"]
    assert answer.json()["securityRepoStatus"]["filesWithIssues"] == [
        {"path": "text encoder/model.safetensors", "level": "unsafe"}
    ]


@pytest.mark.usefixtures("toy")
def test_false_means_false(client: httpx.Client) -> None:
    shown = client.get("/api/models/acme/toy?blobs=False").json()
    assert shown["siblings"][0] == {"rfilename": "README.md"}


def test_chosen_properties(client: httpx.Client, toy: FakeRepo) -> None:
    shown = client.get("/api/models/acme/toy?expand=sha&expand[]=gated").json()
    assert shown == {
        "_id": toy.internal_id,
        "id": "acme/toy",
        "sha": toy.sha,
        "gated": False,
    }
    refused = client.get("/api/models/acme/toy?expand=nonsense")
    assert refused.status_code == 400
    assert "safetensors" in refused.json()["error"]
    assert client.get("/api/models/acme/toy?expand=sha&blobs=true").status_code == 400


def test_a_revision(client: httpx.Client, toy: FakeRepo) -> None:
    first = toy.sha
    toy.commit({"new.txt": b"new"})
    sizes = {
        revision: len(client.get(f"/api/models/acme/toy/revision/{revision}").json()["siblings"])
        for revision in (first, "main", "HEAD")
    }
    assert sizes == {first: len(FILES), "main": len(FILES) + 1, "HEAD": len(FILES) + 1}
    missing = client.get("/api/models/acme/toy/revision/nowhere")
    assert (missing.status_code, missing.headers["X-Error-Code"]) == (404, "RevisionNotFound")


def test_a_tree(client: httpx.Client, toy: FakeRepo) -> None:
    top = client.get("/api/models/acme/toy/tree/main").json()
    assert [entry["path"] for entry in top] == [
        "text encoder",
        "README.md",
        "config.json",
        "model.safetensors",
    ]
    assert top[0]["type"] == "directory"
    assert top[3] == {
        "type": "file",
        "oid": toy.head.files["model.safetensors"].oid,
        "size": len(WEIGHTS),
        "path": "model.safetensors",
        "lfs": {"oid": SHA256, "size": len(WEIGHTS), "pointerSize": 130},
        "xetHash": toy.head.files["model.safetensors"].xet_hash,
    }
    assert "lfs" not in top[1]
    whole = client.get("/api/models/acme/toy/tree/main?recursive=True").json()
    paths = {entry["path"] for entry in whole}
    assert paths == {*FILES, "text encoder", "text encoder/sub"}


@pytest.mark.usefixtures("toy")
@pytest.mark.parametrize("safe", ["", "/"])
def test_a_folder_of_a_tree(client: httpx.Client, safe: str) -> None:
    path = quote("text encoder/sub", safe=safe)
    below = client.get(f"/api/models/acme/toy/tree/main/{path}").json()
    assert [entry["path"] for entry in below] == ["text encoder/sub/config.json"]
    missing = client.get("/api/models/acme/toy/tree/main/none")
    assert (missing.status_code, missing.headers["X-Error-Code"]) == (404, "EntryNotFound")


def test_an_expanded_tree(client: httpx.Client, toy: FakeRepo) -> None:
    second = toy.commit({"config.json": b"{}"}, title="Smaller")
    found = client.get("/api/models/acme/toy/tree/main?recursive=true&expand=true").json()
    by_path = {entry["path"]: entry for entry in found}
    assert by_path["config.json"]["lastCommit"]["id"] == second
    assert by_path["config.json"]["lastCommit"]["title"] == "Smaller"
    assert by_path["model.safetensors"]["lastCommit"]["title"] == "initial commit"
    assert by_path["model.safetensors"]["securityFileStatus"]["status"] == "safe"
    unsafe = by_path["text encoder/model.safetensors"]["securityFileStatus"]
    assert (unsafe["status"], unsafe["avScan"]) == ("unsafe", {"status": "unsafe"})
    assert unsafe["pickleImportScan"] == {"status": "unscanned"}


def test_pickles_are_looked_into(fake_hub: FakeHub, client: httpx.Client) -> None:
    files = {"good.bin": b"1", "bad.bin": b"2"}
    fake_hub.add(FakeRepo("acme/old", files, scans={"bad.bin": "unsafe"}))
    found = client.get("/api/models/acme/old/tree/main?expand=true").json()
    pickles = {entry["path"]: entry["securityFileStatus"]["pickleImportScan"] for entry in found}
    imports = {path: scan["pickleImports"][0]["safety"] for path, scan in pickles.items()}
    assert imports == {"good.bin": "innocuous", "bad.bin": "dangerous"}


@pytest.mark.usefixtures("toy")
def test_pages_of_a_tree(fake_hub: FakeHub, client: httpx.Client) -> None:
    whole = client.get("/api/models/acme/toy/tree/main?recursive=true").json()
    fake_hub.settings.tree_page = 3
    url, found, pages = "/api/models/acme/toy/tree/main?recursive=true", [], 0
    while url:
        answer = client.get(url)
        found += answer.json()
        url = answer.links.get("next", {}).get("url", "")
        assert not url or url.startswith(fake_hub.hub_url)
        pages += 1
    assert found == whole
    assert pages == 3


@pytest.mark.usefixtures("toy")
def test_a_cursor_has_to_be_taken_as_it_is(client: httpx.Client) -> None:
    answer = client.get("/api/models/acme/toy/tree/main?limit=1")
    url = answer.links["next"]["url"]
    assert "limit=1" in url
    assert "%3D" in url
    assert client.get(url.replace("%3D", "")).status_code == 400


@pytest.mark.parametrize("expand", [True, False])
def test_paths_as_json_and_as_a_form(client: httpx.Client, toy: FakeRepo, expand: bool) -> None:
    paths = ["model.safetensors", "no such file", "text encoder"]
    url = "/api/models/acme/toy/paths-info/main"
    as_json = client.post(url, json={"paths": paths, "expand": expand}).json()
    as_form = client.post(url, data={"paths": paths, "expand": str(expand)}).json()
    assert as_json == as_form
    assert [entry["path"] for entry in as_json] == ["model.safetensors", "text encoder"]
    assert as_json[0]["lfs"]["oid"] == SHA256
    assert ("lastCommit" in as_json[0]) is expand
    assert toy.sha == client.post(url, json={"paths": []}).headers["X-Repo-Commit"]


@pytest.mark.usefixtures("toy")
def test_not_too_many_paths(client: httpx.Client) -> None:
    url = "/api/models/acme/toy/paths-info/main"
    assert client.post(url, json={"paths": ["x"] * 2000}).json() == []
    assert client.post(url, json={"paths": ["x"] * 2001}).status_code == 400


def test_references_and_scans(client: httpx.Client, toy: FakeRepo) -> None:
    toy.tag("v1")
    toy.pull_requests["refs/pr/1"] = toy.sha
    target = {"targetCommit": toy.sha}
    plain = client.get("/api/models/acme/toy/refs").json()
    assert plain["branches"] == [{"name": "main", "ref": "refs/heads/main", **target}]
    assert plain["tags"] == [{"name": "v1", "ref": "refs/tags/v1", **target}]
    assert "pullRequests" not in plain
    more = client.get("/api/models/acme/toy/refs?include_prs=1").json()
    assert [one["ref"] for one in more["pullRequests"]] == ["refs/pr/1"]
    assert client.get("/api/models/acme/toy/revision/refs%2Fpr%2F1").json()["sha"] == toy.sha
    scan = client.get("/api/models/acme/toy/scan").json()
    assert scan["scansDone"] is True
    assert scan["filesWithIssues"][0]["level"] == "unsafe"


def test_a_model_that_tells_little_or_calls_itself_something_else(
    fake_hub: FakeHub, client: httpx.Client, toy: FakeRepo
) -> None:
    fake_hub.settings.tells_sizes = False
    fake_hub.hub.impostors[toy.repo_id] = "somebody/else"
    shown = client.get("/api/models/acme/toy", params={"blobs": "true"}).json()
    assert shown["id"] == "somebody/else"
    assert shown["siblings"] == [{"rfilename": path} for path in sorted(FILES)]


@pytest.mark.usefixtures("toy")
@pytest.mark.parametrize("old", ["old/toy", "toy", "Acme/TOY"])
def test_other_names_redirect_with_everything_after_them(
    fake_hub: FakeHub, client: httpx.Client, old: str
) -> None:
    fake_hub.hub.renamed |= {"old/toy": "acme/toy", "toy": "acme/toy"}
    for path in (
        "/api/models/{}?blobs=true",
        "/api/models/{}/tree/main/text%20encoder%2Fsub?expand=true",
        "/{}/resolve/main/config.json",
    ):
        answer = client.get(path.format(old))
        assert answer.status_code == 307
        assert answer.headers["location"] == path.format("acme/toy")


def test_a_name_may_lead_to_another_repository(fake_hub: FakeHub, client: httpx.Client) -> None:
    first = fake_hub.add(FakeRepo("acme/toy", FILES))
    second = FakeRepo("new/toy", FILES)
    assert client.get("/api/models/acme/toy").json()["_id"] == first.internal_id
    fake_hub.hub.remove("acme/toy")
    fake_hub.add(second)
    fake_hub.hub.renamed["acme/toy"] = "new/toy"
    found = client.get("/api/models/acme/toy", follow_redirects=True).json()
    assert (found["id"], found["_id"]) == ("new/toy", second.internal_id)
    assert second.internal_id != first.internal_id
