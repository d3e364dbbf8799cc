"""Downloads end to end: a real server, a real library, whole files."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from modelcellar import ModelLibrary
from modelcellar.config import Settings, load_settings
from modelcellar.download_records import FileState, Patience
from modelcellar.errors import NotPublishedError, SignInNeededError, WrongContentError
from modelcellar.reports import ImportStatus
from tests.support.fake_hub import Cut, FakeHub, FakeRepo, FlippedByte, RangeIgnored, Status, Token
from tests.support.models import gguf_bytes, safetensors_bytes

QUICK = Patience(silence_s=2.0, window_s=2.0, attempts=4, first_wait_s=0.01, longest_wait_s=0.05)
BIG = 3 << 20


@pytest.fixture
def settings(fake_hub: FakeHub, tmp_path: Path) -> Settings:
    found, _ = load_settings()
    return replace(
        found,
        library=tmp_path / "library",
        hub_endpoint=fake_hub.hub_url,
        civitai_endpoint=fake_hub.civitai_url,
        min_free_bytes=0,
    )


@pytest.fixture
def library(settings: Settings) -> Iterator[ModelLibrary]:
    with ModelLibrary.create(settings.library, settings=settings) as opened:
        yield opened


@pytest.fixture
def pipeline(fake_hub: FakeHub) -> FakeRepo:
    """A repository that is one model, with large and small files in folders."""
    return fake_hub.add(
        FakeRepo(
            "acme/toy",
            {
                ".gitattributes": b"*.safetensors filter=lfs\n",
                "README.md": b"# Toy\n",
                "model_index.json": json.dumps(
                    {
                        "_class_name": "ToyPipeline",
                        "unet": ["diffusers", "UNet"],
                        "vae": ["diffusers", "VAE"],
                    }
                ).encode(),
                "unet/config.json": b'{"_class_name": "UNet"}',
                "unet/diffusion_pytorch_model.safetensors": safetensors_bytes(
                    seed=1, size_bytes=BIG
                ),
                "vae/config.json": b'{"_class_name": "VAE"}',
                "vae/diffusion_pytorch_model.safetensors": safetensors_bytes(
                    seed=2, size_bytes=400_000
                ),
            },
        )
    )


def contents(library: ModelLibrary) -> dict[str, bytes]:
    """Every file of every model, by its path inside the model."""
    found = {}
    for model in library.list_models().models:
        for file in model.files:
            data = library.file_path(model, file).read_bytes()
            assert file.digests is not None
            assert hashlib.sha256(data).hexdigest() == file.digests.sha256
            found[file.path] = data
    return found


def published(repo: FakeRepo) -> dict[str, bytes]:
    commit = repo.find("main")
    assert commit is not None
    return {path: bytes(file.content) for path, file in commit.files.items()}


class TestWholeRepositories:
    def test_every_file_comes_under_its_path(
        self, library: ModelLibrary, pipeline: FakeRepo, fake_hub: FakeHub
    ) -> None:
        report = library.download("acme/toy", patience=QUICK)
        assert [one.status for one in report.results] == [ImportStatus.IMPORTED]
        assert contents(library) == published(pipeline)
        (model,) = library.list_models().models
        assert model.identity.status == "verified"
        assert model.identity.repo_id == "acme/toy"
        assert report.bytes_fetched == sum(map(len, published(pipeline).values()))
        assert not fake_hub.log.leaks
        assert list((library.path / "staging").iterdir()) == []

    def test_a_second_time_nothing_is_fetched(
        self, library: ModelLibrary, pipeline: FakeRepo, fake_hub: FakeHub
    ) -> None:
        library.download("acme/toy", patience=QUICK)
        fake_hub.log.clear()
        report = library.download(pipeline.repo_id, patience=QUICK)
        assert [one.status for one in report.results] == [ImportStatus.DUPLICATE]
        assert report.bytes_fetched == 0
        assert {one.state for one in report.files} == {FileState.LIBRARY}
        assert not fake_hub.log.of("cdn")

    def test_undo_takes_it_out_again(self, library: ModelLibrary, pipeline: FakeRepo) -> None:
        library.download(pipeline.repo_id, patience=QUICK)
        assert library.undo().command == "download"
        assert library.list_models().total == 0

    def test_a_dry_run_tells_and_fetches_nothing(
        self, library: ModelLibrary, pipeline: FakeRepo, fake_hub: FakeHub
    ) -> None:
        report = library.download(pipeline.repo_id, ["unet/*"], dry_run=True)
        assert [one.path for one in report.files] == [
            "unet/config.json",
            "unet/diffusion_pytorch_model.safetensors",
        ]
        assert {one.state for one in report.files} == {FileState.MISSING}
        assert not fake_hub.log.of("cdn")
        assert library.list_models().total == 0


class TestQuantisations:
    def test_each_is_a_model_of_its_own(self, library: ModelLibrary, fake_hub: FakeHub) -> None:
        fake_hub.add(
            FakeRepo(
                "acme/toy-GGUF",
                {
                    "README.md": b"# Toy\n",
                    "toy-Q4_K_M.gguf": gguf_bytes(seed=1, size_bytes=BIG),
                    "toy-Q8_0.gguf": gguf_bytes(seed=2, size_bytes=BIG),
                },
            )
        )
        report = library.download("acme/toy-GGUF:q4_k_m", patience=QUICK)
        assert [one.path for one in report.files] == ["toy-Q4_K_M.gguf"]
        report = library.download("acme/toy-GGUF", patience=QUICK)
        statuses = {one.source: one.status for one in report.results}
        assert statuses == {
            "acme/toy-GGUF/toy-Q4_K_M.gguf": ImportStatus.DUPLICATE,
            "acme/toy-GGUF/toy-Q8_0.gguf": ImportStatus.IMPORTED,
        }


class TestTrouble:
    def test_a_cut_is_gone_on_with(
        self, library: ModelLibrary, pipeline: FakeRepo, fake_hub: FakeHub
    ) -> None:
        rule = fake_hub.chaos.add(Cut(1_000_000, reset=True), host="cdn", path="*unet*", times=2)
        library.download(pipeline.repo_id, patience=QUICK)
        assert rule.hits == 2
        assert contents(library) == published(pipeline)
        total = sum(map(len, published(pipeline).values()))
        assert fake_hub.log.bytes_sent() <= 1.05 * total + (2 << 20)

    def test_a_flipped_byte_is_fetched_once_more(
        self, library: ModelLibrary, pipeline: FakeRepo, fake_hub: FakeHub
    ) -> None:
        fake_hub.chaos.add(FlippedByte(1_234_567), host="cdn", path="*unet*", times=1)
        report = library.download(pipeline.repo_id, patience=QUICK)
        assert any("other bytes than are published" in note for note in report.notes)
        assert contents(library) == published(pipeline)

    def test_one_that_stays_is_an_error_with_both_digests(
        self, library: ModelLibrary, pipeline: FakeRepo, fake_hub: FakeHub
    ) -> None:
        fake_hub.chaos.add(FlippedByte(1_234_567), host="cdn", path="*unet*", times=None)
        data = published(pipeline)["unet/diffusion_pytorch_model.safetensors"]
        wrong = bytearray(data)
        wrong[1_234_567] ^= 0xFF
        with pytest.raises(WrongContentError) as caught:
            library.download(pipeline.repo_id, patience=QUICK)
        assert caught.value.expected == hashlib.sha256(data).hexdigest()
        assert caught.value.actual == hashlib.sha256(wrong).hexdigest()
        assert library.list_models().total == 0

    def test_what_came_is_used_by_the_next_run(
        self, library: ModelLibrary, pipeline: FakeRepo, fake_hub: FakeHub
    ) -> None:
        rule = fake_hub.chaos.add(Status(503), host="cdn", path="*vae*", times=None)
        with pytest.raises(Exception, match="could not be fetched"):
            library.download(pipeline.repo_id, patience=QUICK)
        (unfinished,) = library.unfinished_downloads()
        assert unfinished.target == "acme/toy"
        assert unfinished.held_bytes >= BIG
        fake_hub.chaos.remove(rule)
        fake_hub.log.clear()
        library.download(pipeline.repo_id, patience=QUICK)
        assert contents(library) == published(pipeline)
        assert not [one for one in fake_hub.log.of("cdn") if "unet" in one.label]
        assert library.unfinished_downloads() == ()

    def test_a_host_without_ranges(
        self, library: ModelLibrary, pipeline: FakeRepo, fake_hub: FakeHub
    ) -> None:
        fake_hub.chaos.add(RangeIgnored(), host="cdn", times=None)
        fake_hub.chaos.add(Cut(2_000_000), host="cdn", path="*unet*", times=1)
        library.download(pipeline.repo_id, patience=QUICK)
        assert contents(library) == published(pipeline)

    def test_missing_gated_and_unknown(self, library: ModelLibrary, fake_hub: FakeHub) -> None:
        with pytest.raises(NotPublishedError):
            library.download("acme/nothing", patience=QUICK)
        fake_hub.add(FakeRepo("acme/gated", {"a.gguf": gguf_bytes(seed=1)}, gated="manual"))
        with pytest.raises(SignInNeededError):
            library.download("acme/gated", patience=QUICK)


class TestSources:
    def test_the_cache_of_the_hubs_own_client(
        self, library: ModelLibrary, pipeline: FakeRepo, fake_hub: FakeHub, settings: Settings
    ) -> None:
        files = published(pipeline)
        blobs = settings.hub_home / "hub" / "models--acme--toy" / "blobs"
        blobs.mkdir(parents=True)
        for data in files.values():
            (blobs / hashlib.sha256(data).hexdigest()).write_bytes(data)
        report = library.download(pipeline.repo_id, patience=QUICK)
        assert contents(library) == files
        assert not fake_hub.log.of("cdn")
        states = {one.path: one.state for one in report.files}
        assert states["unet/diffusion_pytorch_model.safetensors"] is FileState.CACHE

    def test_a_damaged_file_in_it_is_fetched(
        self, library: ModelLibrary, pipeline: FakeRepo, settings: Settings
    ) -> None:
        data = published(pipeline)["unet/diffusion_pytorch_model.safetensors"]
        blobs = settings.hub_home / "hub" / "models--acme--toy" / "blobs"
        blobs.mkdir(parents=True)
        blob = blobs / hashlib.sha256(data).hexdigest()
        blob.write_bytes(b"x" + data[1:])
        report = library.download(pipeline.repo_id, patience=QUICK)
        assert contents(library) == published(pipeline)
        assert any("is damaged" in note for note in report.notes)
        assert blob.read_bytes() == b"x" + data[1:]

    def test_a_private_repository_with_a_token(
        self,
        library: ModelLibrary,
        fake_hub: FakeHub,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        data = gguf_bytes(seed=3, size_bytes=BIG)
        fake_hub.add(FakeRepo("acme/secret", {"a.gguf": data}, private=True))
        fake_hub.add_token("hf_good", Token("me", may_read=frozenset({"acme/secret"})))
        monkeypatch.setenv("HF_TOKEN", "hf_good")
        library.download("acme/secret", patience=QUICK)
        assert contents(library) == {"a.gguf": data}
        assert not fake_hub.log.leaks
