"""Records of other tools, laid out as those tools do it, and as nobody should."""

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelcellar.origins import Claim
from modelcellar.providers.local_records import claims_for

SHA = "ab" * 32
OTHER_SHA = "cd" * 32
GIT = "12" * 20
COMMIT, NEWER = "0" * 39 + "1", "0" * 39 + "2"


def write(path: Path, content: str | bytes | dict[str, Any] = b"weights") -> Path:
    """A file with its folders; a mapping becomes JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = json.dumps(content) if isinstance(content, dict) else content
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def claim(path: Path) -> Claim:
    """The only claim about a file."""
    (found,) = claims_for(path)
    return found


def origin(found: Claim) -> tuple[str | None, ...]:
    """Where a file is said to come from."""
    return (found.provider, found.repo_id, found.revision, found.path, found.sha256)


@dataclass
class HubCache:
    """The cache of huggingface_hub with one repository."""

    root: Path
    folder: str = "models--acme--toy"

    def add(self, path: str, etag: str, *, commit: str = COMMIT) -> Path:
        """A blob and the link of a snapshot to it; the link."""
        repo = self.root / self.folder
        write(repo / "blobs" / etag)
        link = repo / "snapshots" / commit / path
        link.parent.mkdir(parents=True, exist_ok=True)
        up = "../" * (2 + path.count("/"))
        link.symlink_to(f"{up}blobs/{etag}")
        return link

    def blob(self, etag: str) -> Path:
        """Where the bytes are."""
        return self.root / self.folder / "blobs" / etag


@pytest.fixture
def hub(tmp_path: Path) -> HubCache:
    return HubCache(tmp_path / "hub")


def test_a_snapshot_of_the_hub_s_cache_tells_everything(hub: HubCache) -> None:
    found = claim(hub.add("unet/model.safetensors", SHA))
    assert origin(found) == ("huggingface", "acme/toy", COMMIT, "unet/model.safetensors", SHA)
    assert found.tool == "huggingface_hub"
    assert str(hub.root) not in found.evidence


def test_a_blob_is_called_what_a_snapshot_calls_it(hub: HubCache) -> None:
    hub.add("a.safetensors", OTHER_SHA)
    hub.add("sub/model.safetensors", SHA, commit=NEWER)
    hub.add("model.safetensors", SHA)
    assert origin(claim(hub.blob(SHA)))[2:4] == (COMMIT, "model.safetensors")
    write(hub.root / hub.folder / "refs" / "main", NEWER)
    assert origin(claim(hub.blob(SHA)))[2:4] == (NEWER, "sub/model.safetensors")


def test_a_blob_without_a_snapshot_still_has_its_repository(hub: HubCache) -> None:
    blob = write(hub.blob(SHA))
    assert origin(claim(blob)) == ("huggingface", "acme/toy", None, None, SHA)
    assert claims_for(write(hub.blob("unfinished.incomplete"))) == ()


def test_the_name_of_a_small_file_is_no_sha256(hub: HubCache) -> None:
    assert origin(claim(hub.add("config.json", GIT))) == (
        *("huggingface", "acme/toy", COMMIT, "config.json", None),
    )


def test_a_blob_may_be_a_link_into_the_shared_store(hub: HubCache) -> None:
    link = hub.add("model.safetensors", SHA)
    shared = write(hub.root / "blobs" / "ab" / OTHER_SHA)
    hub.blob(SHA).unlink()
    hub.blob(SHA).symlink_to(os.path.relpath(shared, hub.blob(SHA).parent))
    expected = ("huggingface", "acme/toy", COMMIT, "model.safetensors", SHA)
    assert origin(claim(link)) == expected
    assert origin(claim(hub.blob(SHA))) == expected


def test_links_of_applications_lead_to_the_cache(hub: HubCache, tmp_path: Path) -> None:
    snapshot = hub.add("model.safetensors", SHA)
    direct, twice = tmp_path / "loras" / "x.safetensors", tmp_path / "again.safetensors"
    direct.parent.mkdir()
    direct.symlink_to(snapshot)
    twice.symlink_to("loras/x.safetensors")
    folder = tmp_path / "as-a-folder"
    folder.symlink_to(snapshot.parent)
    for path in (direct, twice, folder / "model.safetensors"):
        assert origin(claim(path)) == origin(claim(snapshot))


def test_where_links_cannot_be_made_a_listing_has_the_digest(hub: HubCache) -> None:
    repo = hub.root / hub.folder
    path = write(repo / "snapshots" / COMMIT / "sub" / "model.safetensors")
    assert claim(path).sha256 is None
    listed = {"size": 7, "blob_id": GIT, "lfs_sha256": SHA, "lfs_size": 7, "xet_hash": OTHER_SHA}
    tree = {"format_version": 1, "files": {"sub/model.safetensors": listed}}
    write(repo / "trees" / f"{COMMIT}.json", tree)
    assert (claim(path).sha256, claim(path).size_bytes) == (SHA, 7)


def test_the_oldest_repositories_have_no_namespace(tmp_path: Path) -> None:
    cache = HubCache(tmp_path, "models--gpt2")
    assert claim(cache.add("model.safetensors", SHA)).repo_id == "gpt2"


@pytest.mark.parametrize(
    "folder", ["models--", "models--..--x", "models--a--b--c", "models--a--.git", "datasets--a--b"]
)
def test_a_folder_that_names_no_repository(folder: str, tmp_path: Path) -> None:
    assert claims_for(HubCache(tmp_path, folder).add("model.safetensors", SHA)) == ()


def test_a_snapshot_that_is_no_commit(hub: HubCache) -> None:
    found = claim(hub.add("model.safetensors", SHA, commit="main"))
    assert origin(found) == ("huggingface", "acme/toy", None, None, SHA)


NOTE = f"{COMMIT}\n{SHA}\n{{}}\n"


def test_a_download_into_a_folder_leaves_a_note(tmp_path: Path) -> None:
    path = write(tmp_path / "toy" / "unet" / "model.safetensors")
    notes = tmp_path / "toy" / ".cache" / "huggingface" / "download"
    note = write(notes / "unet" / "model.safetensors.metadata", NOTE.format(time.time() + 60))
    found = claim(path)
    assert origin(found) == ("huggingface", None, COMMIT, "unet/model.safetensors", SHA)
    assert "changed" not in found.evidence
    write(note, NOTE.format(1.5))
    assert "before the file was changed" in claim(path).evidence


@pytest.mark.parametrize(
    "note", ["", "\n\n\n", f"{COMMIT}\n{SHA}", "main\nx\n1.0\n", b"\xff" * 100, "x" * 10_000]
)
def test_a_note_that_is_none(note: str | bytes, tmp_path: Path) -> None:
    path = write(tmp_path / "model.safetensors")
    write(tmp_path / ".cache/huggingface/download/model.safetensors.metadata", note)
    assert claims_for(path) == ()


@dataclass
class OllamaStore:
    """Ollama's models folder."""

    root: Path

    def blob(self, sha256: str = SHA, content: bytes = b"weights") -> Path:
        """A blob called after its digest."""
        return write(self.root / "blobs" / f"sha256-{sha256}", content)

    def manifest(self, name: str, *layers: object) -> Path:
        """A manifest with these layers."""
        content = {"schemaVersion": 2, "layers": list(layers)}
        return write(self.root / "manifests" / name, content)


def layer(kind: str, sha256: str = SHA, size: object = 7) -> dict[str, object]:
    """A layer of a manifest."""
    kind = f"application/vnd.ollama.image.{kind}"
    return {"mediaType": kind, "digest": f"sha256:{sha256}", "size": size}


@pytest.fixture
def ollama(tmp_path: Path) -> OllamaStore:
    return OllamaStore(tmp_path / "models")


def test_a_blob_of_ollama_has_names(ollama: OllamaStore) -> None:
    ollama.manifest("registry.ollama.ai/library/toy/7b", layer("model"))
    ollama.manifest("registry.ollama.ai/someone/toy/latest", layer("model", OTHER_SHA))
    found = claim(ollama.blob())
    assert origin(found) == ("ollama", "library/toy", "7b", None, SHA)
    assert (found.size_bytes, found.evidence) == (7, "Ollama calls it toy:7b")


def test_a_model_that_ollama_took_from_the_hub(ollama: OllamaStore) -> None:
    ollama.manifest("hf.co/acme/toy-GGUF/Q4_K_M", layer("model"), layer("projector", OTHER_SHA))
    assert origin(claim(ollama.blob())) == ("huggingface", "acme/toy-GGUF", None, None, SHA)
    projector = claim(ollama.blob(OTHER_SHA))
    assert (projector.repo_id, projector.evidence) == (
        "acme/toy-GGUF",
        "Ollama calls it hf.co/acme/toy-GGUF:Q4_K_M",
    )


def test_the_license_of_a_model_of_ollama(ollama: OllamaStore) -> None:
    ollama.blob(OTHER_SHA, b"\n  TOY LICENSE 1.0\nPermission is granted ...")
    ollama.manifest(
        "registry.ollama.ai/library/toy/7b", layer("model"), layer("license", OTHER_SHA)
    )
    assert claim(ollama.blob()).facts == {"license": "TOY LICENSE 1.0"}


def test_without_a_manifest_a_blob_has_its_digest(ollama: OllamaStore) -> None:
    assert origin(claim(ollama.blob())) == ("ollama", None, None, None, SHA)


def test_one_blob_may_have_several_names_but_not_without_end(ollama: OllamaStore) -> None:
    for number in range(9):
        ollama.manifest(f"registry.ollama.ai/library/toy/{number}", layer("model"))
    assert len(claims_for(ollama.blob())) == 4


@pytest.mark.parametrize(
    "layers",
    [
        [7, None, [], "x", {"digest": [SHA]}, {"digest": {}, "mediaType": []}],
        [layer("license")],
        [{"mediaType": ["application/vnd.ollama.image.model"], "digest": f"sha256:{SHA}"}],
    ],
)
def test_manifests_of_other_kinds_name_nothing(layers: list[object], ollama: OllamaStore) -> None:
    ollama.manifest("registry.ollama.ai/library/toy/7b", *layers)
    assert claim(ollama.blob()).repo_id is None


@pytest.mark.parametrize("size", [-1, True, "x", None, 2.5, 10**400, [7]])
def test_a_size_of_another_kind_is_left_out(size: object, ollama: OllamaStore) -> None:
    ollama.manifest("registry.ollama.ai/library/toy/7b", layer("model", size=size))
    found = claim(ollama.blob())
    assert (found.repo_id, found.size_bytes) == ("library/toy", None)


def test_a_store_that_leads_in_circles(ollama: OllamaStore) -> None:
    folder = ollama.root / "manifests" / "registry.ollama.ai" / "library"
    folder.mkdir(parents=True)
    (folder / "loop").symlink_to("..")
    (folder / "self").symlink_to("self")
    write(folder / "broken" / "7b", "{" + SHA)
    assert claim(ollama.blob()).repo_id is None


VERSION: dict[str, Any] = {
    "id": 11,
    "modelId": 22,
    "name": "v1",
    "baseModel": "SDXL 1.0",
    "trainedWords": ["toy", "toy style"],
    "description": "<p>What is <b>new</b> &amp; better</p>",
    "model": {"name": "Toy", "type": "LORA", "tags": ["style"]},
    "creator": {"username": "acme"},
    "files": [
        {"name": "other.safetensors", "hashes": {"SHA256": OTHER_SHA.upper()}},
        {"name": "toy.safetensors", "primary": True, "hashes": {"SHA256": SHA.upper()}},
    ],
}
FACTS = {
    "author": "acme",
    "base_model": "SDXL 1.0",
    "description": "What is new & better",
    "tags": ["style"],
    "trigger_words": ["toy", "toy style"],
    "civitai_model_id": 22,
    "civitai_version_id": 11,
}
URL = "https://civitai.com/models/22?modelVersionId=11"


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    """A LoRA without records."""
    return write(tmp_path / "toy.safetensors")


def test_a_note_of_civitai_helper(toy: Path) -> None:
    write(toy.with_name("toy.civitai.info"), VERSION)
    found = claim(toy)
    assert origin(found) == ("civitai", None, None, "toy.safetensors", SHA)
    assert (found.tool, found.evidence, found.url) == ("civitai_helper", "toy.civitai.info", URL)
    assert found.facts == FACTS


def test_a_renamed_file_is_the_primary_one(tmp_path: Path) -> None:
    path = write(tmp_path / "my-toy.safetensors")
    write(tmp_path / "my-toy.civitai.info", VERSION)
    assert claim(path).sha256 == SHA


def test_a_record_of_lora_manager(toy: Path) -> None:
    record = {
        "file_name": "toy",
        "file_path": "/home/someone/loras/toy.safetensors",
        "sha256": SHA,
        "size": 7,
        "base_model": "SDXL",
        "modelDescription": "<p>A toy</p>",
        "tags": ["style", "toy"],
        "civitai": VERSION,
    }
    write(toy.with_name("toy.metadata.json"), record)
    found = claim(toy)
    assert origin(found) == ("civitai", None, None, "toy.safetensors", SHA)
    assert (found.tool, found.size_bytes, found.url) == ("lora_manager", 7, URL)
    assert found.facts == {
        **FACTS,
        "base_model": "SDXL",
        "description": "A toy",
        "tags": ["style", "toy"],
    }


def test_a_record_without_an_origin_is_no_claim(toy: Path) -> None:
    record = {"sha256": SHA, "size": 7, "from_civitai": False, "civitai": {}, "notes": "mine"}
    write(toy.with_name("toy.metadata.json"), record)
    write(toy.with_name("toy.cm-info.json"), {"ModelName": "x", "Source": 1, "Hashes": {}})
    assert claims_for(toy) == ()


def test_a_record_of_stability_matrix(toy: Path) -> None:
    record = {
        "ModelId": 22,
        "VersionId": 11,
        "ModelDescription": "<p>What is <b>new</b> &amp; better</p>",
        "Tags": ["style"],
        "BaseModel": "SDXL 1.0",
        "AuthorUsername": "acme",
        "RemoteFileName": "toy.safetensors",
        "Hashes": {"SHA256": SHA.upper(), "BLAKE3": OTHER_SHA},
        "TrainedWords": ["toy", "toy style"],
    }
    write(toy.with_name("toy.cm-info.json"), record)
    found = claim(toy)
    assert origin(found) == ("civitai", None, None, "toy.safetensors", SHA)
    assert (found.tool, found.url, found.facts) == ("stability_matrix", URL, FACTS)


def test_a_record_may_carry_the_whole_name(toy: Path) -> None:
    write(toy.with_name("toy.safetensors.civitai.info"), VERSION)
    assert claim(toy).sha256 == SHA


def test_all_tools_are_heard(toy: Path) -> None:
    write(toy.with_name("toy.civitai.info"), VERSION)
    write(toy.with_name("toy.cm-info.json"), {"ModelId": 22})
    notes = toy.parent / ".cache" / "huggingface" / "download"
    write(notes / "toy.safetensors.metadata", NOTE.format(time.time() + 60))
    tools = ["huggingface_hub", "civitai_helper", "stability_matrix"]
    assert [one.tool for one in claims_for(toy)] == tools


ENDINGS = [".civitai.info", ".metadata.json", ".cm-info.json"]
BROKEN = [
    *(b"", b"{", b"[]", b"null", b"7", b'"x"', b"\xff\xfe\x00", b"\x00" * 100, b"{}"),
    *(b"[" * 100_000, b'{"id":' * 50_000, b'{"id": 1' + b"0" * 5000 + b"}", b'{"id": NaN}'),
    *(b'{"id": 1e999}', b'{"id": -1}', b'{"id": true}', b'{"id": "x"}', b'{"id": 2.5}'),
]


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("data", BROKEN)
def test_a_broken_record_is_none(data: bytes, ending: str, toy: Path) -> None:
    write(toy.with_name(f"toy{ending}"), data)
    assert claims_for(toy) == ()


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_record_of_a_hundred_megabytes_is_not_read(ending: str, toy: Path) -> None:
    record = write(toy.with_name(f"toy{ending}"), VERSION)
    os.truncate(record, 100 << 20)
    began = time.perf_counter()
    assert claims_for(toy) == ()
    assert time.perf_counter() - began < 0.5


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are of POSIX")
def test_a_record_may_be_anything_but_a_file(toy: Path) -> None:
    os.mkfifo(toy.with_name("toy.civitai.info"))
    toy.with_name("toy.metadata.json").mkdir()
    toy.with_name("toy.cm-info.json").symlink_to("toy.cm-info.json")
    assert claims_for(toy) == ()


def test_links_that_lead_in_circles(tmp_path: Path) -> None:
    loop, ping, pong = tmp_path / "loop", tmp_path / "ping", tmp_path / "pong"
    loop.symlink_to("loop")
    ping.symlink_to("pong")
    pong.symlink_to("ping")
    for path in (loop, loop / "model.safetensors", ping, tmp_path / "missing", Path("/"), Path()):
        assert claims_for(path) == ()
    assert claims_for(tmp_path / "a\0b") == ()
    assert claims_for(tmp_path / ("x" * 5000)) == ()


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "C:\\x", "a\\..\\b", "..", ""])
def test_a_name_in_a_record_leads_nowhere(name: str, toy: Path) -> None:
    write(toy.with_name("toy.cm-info.json"), {"ModelId": 22, "RemoteFileName": name})
    assert claim(toy).path is None


def test_texts_are_bounded_and_clean(toy: Path) -> None:
    record = {
        "ModelId": "22",
        "AuthorUsername": "a\u202eb\x1b[31m" + "x" * 10_000,
        "BaseModel": ["SDXL"],
        "ModelDescription": "<b>" * 100_000 + "&#" + "9" * 6000 + ";",
        "Tags": ["t" * 10_000, 7, None, *map(str, range(10_000))],
        "TrainedWords": "not a list",
        "Hashes": [SHA],
    }
    write(toy.with_name("toy.cm-info.json"), record)
    found = claim(toy)
    facts = dict(found.facts)
    assert facts.pop("civitai_model_id") == 22
    assert len(facts["author"].encode()) <= 256
    assert facts["author"].startswith("a b [31m")
    assert len(facts["tags"]) == 64
    assert all(len(tag.encode()) <= 256 for tag in facts["tags"])
    assert len(facts.get("description", "").encode()) <= 4096
    assert set(facts) <= {"author", "tags", "description"}
    assert found.sha256 is None


def test_a_description_with_a_number_too_long_to_read(toy: Path) -> None:
    record = {"ModelId": 22, "ModelDescription": "see &#" + "9" * 6000 + ";"}
    write(toy.with_name("toy.cm-info.json"), record)
    assert claim(toy).facts["description"].startswith("see &#99")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just(SHA),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
KEYS = [
    *("id", "modelId", "model", "creator", "files", "baseModel", "trainedWords", "civitai"),
    *("ModelId", "VersionId", "Hashes", "Tags", "RemoteFileName", "sha256", "size", "description"),
]


# Beside another test that has the processor, drawing the first values takes too long to be judged.
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    record=st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=6),
    ending=st.sampled_from(ENDINGS),
)
def test_values_of_any_type_raise_nothing(record: dict[str, Any], ending: str, toy: Path) -> None:
    for one in ENDINGS:
        toy.with_name(f"toy{one}").unlink(missing_ok=True)
    write(toy.with_name(f"toy{ending}"), {"id": 1, "ModelId": 1, **record})
    for found in claims_for(toy):
        assert found.provider == "civitai"
        assert found.sha256 in (None, SHA)
        json.dumps(dict(found.facts)).encode()
