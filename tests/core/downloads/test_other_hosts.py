"""Downloads from Civitai and from mere addresses, end to end."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from modelcellar import ModelLibrary
from modelcellar.config import Settings, load_settings
from modelcellar.download_records import Patience
from modelcellar.errors import (
    NotPublishedError,
    SignInNeededError,
    UsageError,
    WrongContentError,
)
from modelcellar.reports import ImportStatus
from tests.support.fake_hub import CivitaiFile, CivitaiVersion, FakeHub, FakeRepo, Token
from tests.support.models import safetensors_bytes, sha256

QUICK = Patience(silence_s=2.0, window_s=2.0, attempts=4, first_wait_s=0.01, longest_wait_s=0.05)
WEIGHTS = safetensors_bytes(seed=1, size_bytes=1 << 20)
WHOLE = safetensors_bytes(seed=2, size_bytes=2 << 20)
TOY = CivitaiFile(33, "toy.safetensors", WEIGHTS)
FULL = CivitaiFile(34, "toy-full.safetensors", WHOLE, primary=False, size="full")


@pytest.fixture
def library(fake_hub: FakeHub, tmp_path: Path) -> Iterator[ModelLibrary]:
    found, _ = load_settings()
    settings: Settings = replace(
        found,
        library=tmp_path / "library",
        hub_endpoint=fake_hub.hub_url,
        civitai_endpoint=fake_hub.civitai_url,
        min_free_bytes=0,
    )
    with ModelLibrary.create(settings.library, settings=settings) as opened:
        yield opened


def contents(library: ModelLibrary) -> dict[str, bytes]:
    return {
        file.path: library.file_path(model, file).read_bytes()
        for model in library.list_models().models
        for file in model.files
    }


def test_a_version_on_civitai(library: ModelLibrary, fake_hub: FakeHub) -> None:
    fake_hub.add_version(CivitaiVersion(11, 22, (FULL, TOY), trained_words=("toy style",)))
    report = library.download("civitai:11", patience=QUICK)
    assert [one.status for one in report.results] == [ImportStatus.IMPORTED]
    assert contents(library) == {"toy.safetensors": WEIGHTS}
    assert any("there is also 'toy-full.safetensors'" in note for note in report.notes)
    (model,) = library.list_models().models
    assert (model.identity.status, model.identity.provider) == ("verified", "civitai")
    assert (model.identity.repo_id, model.identity.revision) == ("22", "11")
    report = library.download("civitai:11", ["*-full*"], patience=QUICK)
    assert contents(library) == {"toy.safetensors": WEIGHTS, "toy-full.safetensors": WHOLE}


def test_a_page_and_a_download_link_of_civitai(library: ModelLibrary, fake_hub: FakeHub) -> None:
    fake_hub.add_version(CivitaiVersion(11, 22, (FULL, TOY)))
    link = f"{fake_hub.civitai_url}/api/download/models/11?type=Model&format=SafeTensor&size=full"
    library.download(link, patience=QUICK)
    assert contents(library) == {"toy-full.safetensors": WHOLE}
    library.download(f"{fake_hub.civitai_url}/models/22/toy", patience=QUICK)
    assert contents(library) == {"toy.safetensors": WEIGHTS, "toy-full.safetensors": WHOLE}


def test_a_size_that_is_not_told_is_asked_for(library: ModelLibrary, fake_hub: FakeHub) -> None:
    rounded = replace(TOY, size_kb=1024.06)
    fake_hub.add_version(CivitaiVersion(11, 22, (rounded,)))
    library.download("civitai:11", patience=QUICK)
    assert contents(library) == {"toy.safetensors": WEIGHTS}


def test_the_key_of_civitai_goes_nowhere_else(
    library: ModelLibrary, fake_hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    unsized = replace(TOY, size_kb=0)
    fake_hub.add_version(CivitaiVersion(11, 22, (unsized,), availability="EarlyAccess"))
    with pytest.raises(SignInNeededError, match="early access"):
        library.download("civitai:11", patience=QUICK)
    fake_hub.civitai.keys["key"] = frozenset({11})
    monkeypatch.setenv("CIVITAI_API_TOKEN", "key")
    library.download("civitai:11", patience=QUICK)
    assert contents(library) == {"toy.safetensors": WEIGHTS}
    assert fake_hub.log.of("cdn")
    assert {one.authorization for one in fake_hub.log.of("cdn")} == {None}


def test_what_is_signed_in_for_is_said_before_anything_is_begun(
    library: ModelLibrary, fake_hub: FakeHub
) -> None:
    fake_hub.add_version(CivitaiVersion(11, 22, (TOY,), wants_login=True))
    with pytest.raises(SignInNeededError, match="to those who signed in"):
        library.download("civitai:11", patience=QUICK)
    with pytest.raises(NotPublishedError):
        library.download("civitai:12", patience=QUICK)


def test_an_address(
    library: ModelLibrary, fake_hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The token is for the Hub's repositories; an address is asked without, wherever it is.
    monkeypatch.setenv("HF_TOKEN", fake_hub.add_token("hf_mine", Token("me")))
    monkeypatch.setenv("CIVITAI_API_TOKEN", "key")
    fake_hub.civitai.keys["key"] = frozenset()
    repo = fake_hub.add(FakeRepo("acme/toy", {"toy model.safetensors": WEIGHTS}))
    link = fake_hub.cdn.signed_url("/x/y", WEIGHTS, etag="e", label="a/toy model.safetensors")
    with pytest.raises(UsageError, match="nothing is known"):
        library.download(link, patience=QUICK)
    with pytest.raises(WrongContentError):
        library.download(link, sha256="ab" * 32, patience=QUICK)
    assert contents(library) == {}
    report = library.download(link, sha256=sha256(WEIGHTS), patience=QUICK)
    assert [one.status for one in report.results] == [ImportStatus.IMPORTED]
    assert contents(library) == {"toy model.safetensors": WEIGHTS}
    assert {one.authorization for one in fake_hub.log.entries} == {None}
    (model,) = library.list_models().models
    told = repr(report) + repr(model) + repr(library.get(model.id))
    assert "Signature" not in told
    kept = [path for path in library.path.rglob("*") if path.is_file()]
    assert not [path for path in kept if b"Signature=" in path.read_bytes()]
    assert repo.sha
