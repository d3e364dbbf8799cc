"""What has come becomes models: the same as those of an import whose origin was looked up."""

import asyncio
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from modelcellar import journal
from modelcellar.bookkeeping import Bookkeeper, Outcome
from modelcellar.catalogs import WholeCatalog
from modelcellar.config import Settings, load_settings
from modelcellar.content import AUTOV1_RANGE
from modelcellar.downloads.assembling import Arrived, Assembled, assemble
from modelcellar.downloads.provenance import with_card
from modelcellar.errors import WrongContentError
from modelcellar.hf.client import HubClient
from modelcellar.hosts import open_hosts
from modelcellar.io import hashing
from modelcellar.library import ModelLibrary
from modelcellar.lookups import index_repositories
from modelcellar.records import Identity, ModelType
from modelcellar.remotes import Remote, RemoteFile
from modelcellar.reports import ImportStatus
from modelcellar.sources import NotTaken
from modelcellar.store import Store
from tests.support.fake_hub import CivitaiFile, CivitaiVersion, FakeHub, FakeRepo
from tests.support.invariants import check_catalog, check_files
from tests.support.models import (
    gguf_bytes,
    safetensors_bytes,
    sha256,
    write_gguf,
    write_transformers_folder,
)
from tests.support.origins import CARD, environment
from tests.support.trees import tree

AT = "2026-01-02T03:04:05Z"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    """The folder that downloads of a repository lie in, on the disk of the library."""
    folder = tmp_path / "whole"
    folder.mkdir()
    return folder


@pytest.fixture
def books(library: ModelLibrary, settings: Settings) -> Iterator[Bookkeeper]:
    """The books of an empty library."""
    books = WholeCatalog(Store(library.path, lock_timeout_s=settings.lock_timeout_s)).books
    yield books
    books.catalog.close()


def git_sha1(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def published(files: Mapping[str, bytes], **more: Any) -> Remote:
    """A repository with these files: weights in LFS, the others in git."""
    url = f"https://hub.test/some/repo/resolve/{COMMIT}/"
    found = [
        RemoteFile(name, url + name, len(data), sha256=sha256(data))
        if name.endswith((".safetensors", ".gguf"))
        else RemoteFile(name, url + name, len(data), git_sha1=git_sha1(data))
        for name, data in files.items()
    ]
    known = {"repo_id": "some/repo", "revision": COMMIT, "page": "https://hub.test/some/repo"}
    return Remote("huggingface", "repo", tuple(found), **{**known, "fetched_at": AT, **more})


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def arrive(
    whole: Path, remote: Remote, files: Mapping[str, bytes], *, is_read: bool = True
) -> list[Arrived]:
    """The files lie there; their digests are known, but none of ranges of them."""
    arrived = []
    for file in remote.files:
        path = whole / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(files[file.path])
        arrived.append(Arrived(file.path, hashing.hash_file(path) if is_read else None, file))
    return arrived


def publish(
    books: Bookkeeper, whole: Path, arrived: Sequence[Arrived], remote: Remote, **more: Any
) -> list[Outcome]:
    """Assemble and publish; what is there in the library then is sound."""
    with books.store.change() as staging:
        found = assemble(whole, arrived, remote, staging=staging, at=books.timestamp(), **more)
        models = [one.model for one in found if isinstance(one, Assembled)]
        entry = journal.new_entry("download", books.next_entry_at())
        outcomes, _ = books.publish(staging, models, entry)
    assert list((books.store.root / "staging").iterdir()) == []
    check_files(books.store.root)
    check_catalog(books.store.root)
    return outcomes


def download(
    books: Bookkeeper, whole: Path, files: Mapping[str, bytes], remote: Remote | None = None
) -> list[Outcome]:
    remote = remote if remote is not None else published(files)
    return publish(books, whole, arrive(whole, remote, files), remote)


def manifest_of(root: Path, model_id: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((root / "manifests" / f"{model_id}.json").read_bytes())
    return document


class TestContent:
    def test_paths_stay_and_nothing_is_left(self, books: Bookkeeper, whole: Path) -> None:
        files = {
            "BF16/x y-00001-of-00001.gguf": write_gguf(whole / "a", seed=1).read_bytes(),
            ".gitattributes": b"*.gguf filter=lfs\n",
            "docs/.DS_Store": b"\0\1",
            "docs/empty": b"",
            "README.md": b"# Words\n",
        }
        (whole / "a").unlink()
        [outcome] = download(books, whole, files)
        content = books.store.content_path(outcome.manifest.id)
        assert files_of(content) == files
        assert files_of(whole) == {}
        assert {mode for _, mode, _ in tree(content).values()} == {0o444, 0o555}

    def test_what_several_have_is_with_each(self, books: Bookkeeper, whole: Path) -> None:
        files = {f"{name}.safetensors": safetensors_bytes(seed=ord(name)) for name in "abc"}
        notes = {"README.md": b"# Words\n", "LICENSE": b"free\n"}
        outcomes = download(books, whole, {**files, **notes})
        contents = [files_of(books.store.content_path(one.manifest.id)) for one in outcomes]
        assert contents == [{name: data, **notes} for name, data in files.items()]
        assert files_of(whole) == {}

    def test_what_is_refused_stays(self, books: Bookkeeper, whole: Path) -> None:
        bad, good = safetensors_bytes(seed=1)[:-9], safetensors_bytes(seed=2)
        remote = published({"bad.safetensors": bad, "good.safetensors": good})
        arrived = arrive(whole, remote, {"bad.safetensors": bad, "good.safetensors": good})
        with books.store.change() as staging:
            refused, made = assemble(whole, arrived, remote, staging=staging, at=AT)
        assert isinstance(refused, NotTaken)
        assert refused.path == whole / "bad.safetensors"
        assert isinstance(made, Assembled)
        assert made.model.content.parent.parent == staging.path
        assert files_of(whole) == {"bad.safetensors": bad}

    def test_name_and_type_are_the_users(self, books: Bookkeeper, whole: Path) -> None:
        files = {"a.safetensors": safetensors_bytes(seed=1)}
        remote = published(files)
        arrived = arrive(whole, remote, files)
        kind = ModelType.VAE
        [found] = publish(books, whole, arrived, remote, name="Mine", model_type=kind)
        assert {name: fact.value for name, fact in found.manifest.edits.items()} == {
            "name": "Mine",
            "type": "vae",
        }
        assert found.manifest.id.startswith("mine-")

    def test_twice_is_a_duplicate(self, books: Bookkeeper, whole: Path) -> None:
        files = {"a.safetensors": safetensors_bytes(seed=1), "README.md": b"# Words\n"}
        first, second = (download(books, whole, files)[0] for _ in range(2))
        assert (first.duplicate, second.duplicate) == (False, True)

    def test_a_later_import_is_a_duplicate(
        self, books: Bookkeeper, library: ModelLibrary, whole: Path, source_folder: Path
    ) -> None:
        write_transformers_folder(source_folder / "llama", seed=1)
        files = {**files_of(source_folder / "llama"), ".gitattributes": b"x"}
        [outcome] = download(books, whole, files)
        [result] = library.import_paths([source_folder]).results
        assert result.status is ImportStatus.DUPLICATE
        assert result.model_id == outcome.manifest.id


class TestDigests:
    @pytest.fixture
    def big(self) -> bytes:
        """Long enough for all that image tools know a file by."""
        return safetensors_bytes(seed=1, size_bytes=AUTOV1_RANGE[1] + 4000)

    def records(self, model: Assembled | NotTaken) -> list[tuple[Any, ...]]:
        assert isinstance(model, Assembled)
        return [(one.digests, one.tensor_sha256, one.autov1) for one in model.model.manifest.files]

    def test_are_those_of_an_import(
        self, library: ModelLibrary, books: Bookkeeper, whole: Path, source_folder: Path, big: bytes
    ) -> None:
        (source_folder / "big.safetensors").write_bytes(big)
        [result] = library.import_paths([source_folder]).results
        imported = manifest_of(library.path, str(result.model_id))
        assert imported["files"][0]["tensor_sha256"]
        assert imported["files"][0]["autov1"]
        library.remove(str(result.model_id))
        [outcome] = download(books, whole, {"big.safetensors": big})
        downloaded = manifest_of(library.path, outcome.manifest.id)
        assert downloaded["files"] == imported["files"]
        for key in ("id", "content_digest", "security"):
            assert downloaded[key] == imported[key]

    def test_that_are_known_are_not_taken_again(
        self, books: Bookkeeper, whole: Path, big: bytes
    ) -> None:
        """What the transfer has found is believed; the marks show that nothing was read again."""
        remote = published({"big.safetensors": big})
        [one] = arrive(whole, remote, {"big.safetensors": big})
        start = len(big) - AUTOV1_RANGE[1] - 4000
        ranges = (AUTOV1_RANGE, (start, len(big)))
        assert one.hashed is not None
        marked = replace(one.hashed, range_sha256=("a" * 64, "b" * 64))
        with books.store.change() as staging:
            known = replace(one, hashed=marked, ranges=ranges)
            [found] = assemble(whole, [known], remote, staging=staging, at=AT)
        assert self.records(found) == [(marked.digests, "b" * 64, "a" * 8)]

    @pytest.mark.parametrize("ranges", [(), (AUTOV1_RANGE, (0, 9))])
    def test_of_other_ranges_are_taken_again(
        self, books: Bookkeeper, whole: Path, big: bytes, ranges: tuple[tuple[int, int], ...]
    ) -> None:
        remote = published({"big.safetensors": big})
        [one] = arrive(whole, remote, {"big.safetensors": big})
        assert one.hashed is not None
        marked = replace(one.hashed, range_sha256=("a" * 64,) * len(ranges))
        with books.store.change() as staging:
            known = replace(one, hashed=marked, ranges=ranges)
            [found] = assemble(whole, [known], remote, staging=staging, at=AT)
        window = hashlib.sha256(big[slice(*AUTOV1_RANGE)]).hexdigest()[:8]
        tensors = sha256(big[len(big) - AUTOV1_RANGE[1] - 4000 :])
        assert self.records(found) == [(one.hashed.digests, tensors, window)]

    @pytest.mark.parametrize("name", ["a.safetensors", "config.json", "README.md"])
    def test_of_other_bytes_stop_all(self, books: Bookkeeper, whole: Path, name: str) -> None:
        files = {
            "a.safetensors": safetensors_bytes(seed=1),
            "b.safetensors": safetensors_bytes(seed=2),
            "config.json": b"{}",
            "README.md": b"# Words\n",
        }
        remote = published(files)
        files[name] = files[name][:-1] + b"!"
        arrived = arrive(whole, remote, files, is_read=False)
        with books.store.change() as staging, pytest.raises(WrongContentError) as caught:
            assemble(whole, arrived, remote, staging=staging, at=AT)
        assert caught.value.expected != caught.value.actual
        assert files_of(whole) == files


class TestOrigin:
    """The manifest says the same as that of a file whose origin was looked up."""

    @pytest.fixture
    def online(self, fake_hub: FakeHub, settings: Settings, tmp_path: Path) -> Settings:
        environ = {**environment(fake_hub), "MODELCELLAR_LIBRARY": str(settings.library)}
        found = load_settings(environ=environ, config_file=tmp_path / "none.toml")[0]
        return replace(found, min_free_bytes=0)

    def remote(self, online: Settings, repo_id: str) -> Remote:
        """What the Hub says of a repository, as what can be downloaded."""

        async def ask() -> Remote:
            async with open_hosts(online) as hosts:
                return await _remote(hosts.hub, repo_id)

        return asyncio.run(ask())

    def looked_up(self, online: Settings, folder: Path, *repo_ids: str) -> dict[str, Any]:
        """The manifest of the one model in a folder, imported and asked about; then removed."""
        index_repositories(repo_ids, online)
        with ModelLibrary(online.library, settings=online) as library:
            [result] = library.import_paths([folder], lookup=False).results
            library.enrich([str(result.model_id)])
            document = manifest_of(library.path, str(result.model_id))
            library.remove(str(result.model_id))
        assert document["identity"]["status"] == "verified", document["identity"]
        return document

    @pytest.mark.parametrize("with_notes", [False, True])
    def test_of_a_file_on_the_hub(
        self,
        fake_hub: FakeHub,
        online: Settings,
        books: Bookkeeper,
        whole: Path,
        source_folder: Path,
        with_notes: bool,
    ) -> None:
        data = safetensors_bytes(seed=1)
        files = {"toy lora.safetensors": data} | ({"README.md": CARD} if with_notes else {})
        repo = FakeRepo("artist/toy_lora", files, tags=("style",), scans={"x": "unsafe"})
        fake_hub.add(repo)
        (source_folder / "toy lora.safetensors").write_bytes(data)
        expected = self.looked_up(online, source_folder, repo.repo_id)
        remote = self.remote(online, repo.repo_id)
        [outcome] = download(books, whole, files, remote)
        found = manifest_of(online.library, outcome.manifest.id)
        assert found["identity"]["path"] == "toy lora.safetensors"
        assert found["looked_up_at"] is not None
        assert ("description" in found["facts"]) is with_notes
        assert [one for one in found["files"] if "role" not in one] == expected["files"]
        assert _without_times({**found, "files": 0}) == _without_times({**expected, "files": 0})

    def test_of_a_whole_repository(
        self,
        fake_hub: FakeHub,
        online: Settings,
        books: Bookkeeper,
        whole: Path,
        source_folder: Path,
    ) -> None:
        write_transformers_folder(source_folder / "Llama-7B", seed=1)
        files = files_of(source_folder / "Llama-7B") | {"README.md": CARD}
        (source_folder / "Llama-7B" / "README.md").write_bytes(CARD)
        fake_hub.add(FakeRepo("meta/Llama-7B", files))
        expected = self.looked_up(online, source_folder, "meta/Llama-7B")
        [outcome] = download(books, whole, files, self.remote(online, "meta/Llama-7B"))
        found = manifest_of(online.library, outcome.manifest.id)
        assert found["identity"]["evidence"].startswith("5 of 5 files: its ")
        assert found["identity"]["path"] is None
        assert _without_times(found) == _without_times(expected)

    def test_of_a_version_on_civitai(
        self,
        fake_hub: FakeHub,
        online: Settings,
        books: Bookkeeper,
        whole: Path,
        source_folder: Path,
    ) -> None:
        data = safetensors_bytes(seed=5)
        file = CivitaiFile(33, "comic.safetensors", data)
        fake_hub.add_version(
            CivitaiVersion(11, 22, (file,), model_name="Comic", trained_words=("comic style",))
        )
        (source_folder / "comic.safetensors").write_bytes(data)
        expected = self.looked_up(online, source_folder)

        async def ask() -> Mapping[str, Any]:
            async with open_hosts(online) as hosts:
                [match] = (await hosts.identifier.civitai.by_sha256([sha256(data)])).values()
                return {"facts": match.facts, "page": match.url, "fetched_at": match.fetched_at}

        said = asyncio.run(ask())
        url = f"{fake_hub.civitai_url}/api/download/models/11"
        remote = Remote(
            "civitai",
            "Comic v1",
            (RemoteFile("comic.safetensors", url, len(data), sha256=sha256(data)),),
            repo_id="22",
            revision="11",
            **said,
        )
        [outcome] = download(books, whole, {"comic.safetensors": data}, remote)
        found = manifest_of(online.library, outcome.manifest.id)
        assert _without_times(found) == _without_times(expected)

    def test_of_a_part_of_a_repository(self, books: Bookkeeper, whole: Path) -> None:
        """The paths of its files are those in the repository already."""
        names = [f"BF16/x-{number:05}-of-00002.gguf" for number in (1, 2)]
        files = {name: gguf_bytes(seed=seed) for seed, name in enumerate(names)}
        files["README.md"] = b"# Words\n"
        [outcome] = download(books, whole, files)
        assert outcome.manifest.identity == Identity(
            "verified",
            "huggingface",
            "some/repo",
            COMMIT,
            None,
            "2 of 2 files: its SHA-256 equals the published one",
        )
        page = outcome.manifest.facts["page"].value
        assert page == f"https://hub.test/some/repo/blob/{COMMIT}/{names[0]}"

    def test_that_is_proved_is_not_asked_for(
        self, fake_hub: FakeHub, online: Settings, books: Bookkeeper, whole: Path
    ) -> None:
        files = {"a.safetensors": safetensors_bytes(seed=1)}
        download(books, whole, files)
        before = len(fake_hub.log.entries)
        with ModelLibrary(online.library, settings=online) as library:
            assert library.enrich().results == ()
        assert len(fake_hub.log.entries) == before

    def test_of_an_address(self, books: Bookkeeper, library: ModelLibrary, whole: Path) -> None:
        data = safetensors_bytes(seed=1)
        url = "https://me:secret@files.test/a/x.safetensors?token=secret#part"
        file = RemoteFile("x.safetensors", url, len(data), sha256=sha256(data))
        remote = Remote("web", "x.safetensors", (file,), page=url)
        [outcome] = download(books, whole, {"x.safetensors": data}, remote)
        found = manifest_of(library.path, outcome.manifest.id)
        assert found["identity"] == {
            "status": "verified",
            "provider": "web",
            "repo_id": None,
            "revision": None,
            "path": "x.safetensors",
            "evidence": "it came from files.test and has the SHA-256 that was given for it",
        }
        assert found["facts"]["page"]["value"] == "https://files.test/a/x.safetensors"
        assert found["looked_up_at"] is None
        assert library.search("source:web").total == 1
        (exported,) = library.export().models
        assert [one.url for one in exported.sources] == ["https://files.test/a/x.safetensors"]
        assert "secret" not in json.dumps(found)

    def test_a_card_is_one_on_the_hub_only(self, whole: Path) -> None:
        (whole / "README.md").write_bytes(CARD)
        remote = published({})
        told = {
            "description": "A photorealistic model that does what people want it to do, mostly."
        }
        assert with_card(remote, whole).facts == told
        for other in (replace(remote, provider="web"), replace(remote, facts={"description": "x"})):
            assert with_card(other, whole) is other

    def test_without_a_digest_is_only_claimed(self, books: Bookkeeper, whole: Path) -> None:
        data = safetensors_bytes(seed=1)
        file = RemoteFile("x.safetensors", "https://civitai.test/api/download/models/1", len(data))
        remote = Remote("civitai", "X v1", (file,), repo_id="2", revision="1", page="https://c.t/2")
        [outcome] = download(books, whole, {"x.safetensors": data}, remote)
        identity = outcome.manifest.identity
        assert (identity.status, identity.provider, identity.repo_id) == ("claimed", "civitai", "2")
        assert outcome.manifest.looked_up_at is None


async def _remote(hub: HubClient, repo_id: str) -> Remote:
    found = await hub.repository(repo_id)
    assert found is not None
    listing = found.listing
    files = [
        RemoteFile(
            one.path,
            f"{hub.endpoint}/{repo_id}/resolve/{listing.commit}/{one.path}",
            one.size_bytes,
            sha256=one.sha256,
            git_sha1=one.git_sha1,
            scan=one.scan,
        )
        for one in listing.files
    ]
    return Remote(
        "huggingface",
        repo_id.rpartition("/")[2],
        tuple(files),
        repo_id=listing.repo_id,
        revision=listing.commit,
        page=hub.page_of(repo_id),
        facts=found.facts,
        fetched_at=listing.fetched_at,
    )


def _without_times(document: Mapping[str, Any]) -> dict[str, Any]:
    """A manifest but for the instants at which things were found out here."""
    local = ("file name", "file content")
    facts = {
        name: {**fact, "at": ""} if fact["source"] in local else fact
        for name, fact in document["facts"].items()
    }
    return {**document, "facts": facts, "added_at": "", "looked_up_at": ""}
