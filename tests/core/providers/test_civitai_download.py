"""What Civitai publishes as what can be downloaded, and each way in which it refuses."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest

from modelcellar.answers.cached import CachedNetwork
from modelcellar.answers.store import AnswerCache
from modelcellar.errors import (
    AnswerRefusedError,
    CellarError,
    HostUnavailableError,
    NotPublishedError,
    OfflineError,
    RateLimitedError,
    SignInNeededError,
    UsageError,
)
from modelcellar.network.manager import NetworkManager
from modelcellar.network.secret import Secret
from modelcellar.providers.civitai import Civitai
from modelcellar.providers.civitai_download import CivitaiFiles
from modelcellar.remotes import Remote
from tests.support.fake_hub import CivitaiFile, CivitaiVersion, FakeHub, Portal, Status
from tests.support.models import safetensors_bytes, sha256

_T = TypeVar("_T")
WEIGHTS = safetensors_bytes(seed=1, size_bytes=4096)
WHOLE = safetensors_bytes(seed=2, size_bytes=9001)
TOY = CivitaiFile(33, "toy.safetensors", WEIGHTS)
FULL = CivitaiFile(34, "toy.safetensors", WHOLE, primary=False, size="full", fp="fp32")
VAE = CivitaiFile(35, "toy.vae.pt", b"vae", type="VAE", primary=False, format="PickleTensor")
CONFIG = CivitaiFile(36, "toy.yaml", b"a: 1\n", type="Config", primary=False, format="Other")
TRAINING = CivitaiFile(37, "t.zip", b"zip", type="Training Data", primary=False, format="Other")


class Desk:
    """Asks the fake, each time as a new run of the program."""

    def __init__(self, hub: FakeHub, folder: Path) -> None:
        self.hub = hub
        self.folder = folder
        self.key: str | None = None
        self.offline = False

    def ask(self, work: Callable[[CivitaiFiles], Awaitable[_T]]) -> _T:
        async def run() -> _T:
            cache = AnswerCache(self.folder / "answers.db")
            async with NetworkManager(offline=self.offline) as network:
                token = None if self.key is None else Secret(self.key)
                cached = CachedNetwork(network, cache)
                files = CivitaiFiles(cached, endpoint=self.hub.civitai_url, token=token)
                try:
                    return await work(files)
                finally:
                    cache.close()

        return asyncio.run(run())

    def remote(self, version_id: int | None = 11, **more: Any) -> Remote:
        return self.ask(lambda files: files.remote(version_id, **more))

    def refused(self, remote: Remote) -> CellarError:
        """What our own error is for the fake's answer to a request for bytes."""
        (file, *_) = remote.files
        headers = {} if self.key is None else {"Authorization": f"Bearer {self.key}"}
        answer = httpx.get(file.url, headers=headers, trust_env=False)
        return self.means(answer.status_code, dict(answer.headers), path=file.path)

    def means(
        self, status: int, headers: Mapping[str, str] | None = None, *, path: str = "x"
    ) -> CellarError:
        async def work(files: CivitaiFiles) -> CellarError:
            return files.refusal(status, headers or {}, repo_id="22", path=path)

        return self.ask(work)


@pytest.fixture
def desk(fake_hub: FakeHub, tmp_path: Path) -> Desk:
    return Desk(fake_hub, tmp_path)


def publish(hub: FakeHub, *files: CivitaiFile, number: int = 11, **more: Any) -> CivitaiVersion:
    return hub.add_version(CivitaiVersion(number, 22, files or (TOY,), **more))


def names(remote: Remote) -> list[tuple[str, bool]]:
    return [(file.path, file.is_default) for file in remote.files]


def test_a_version(desk: Desk, fake_hub: FakeHub) -> None:
    publish(fake_hub, FULL, TOY, VAE, CONFIG, TRAINING, trained_words=("toy style",))
    remote = desk.remote()
    assert names(remote) == [
        ("toy.safetensors", True),
        ("toy.vae.pt", True),
        ("toy.yaml", True),
        ("toy-34.safetensors", False),
        ("t.zip", False),
    ]
    assert remote.notes == ("toy.safetensors is kept as toy-34.safetensors",)
    assert (remote.provider, remote.title) == ("civitai", "Toy v1")
    assert (remote.repo_id, remote.revision) == ("22", "11")
    assert remote.page == f"{fake_hub.civitai_url}/models/22?modelVersionId=11"
    assert remote.facts["trigger_words"] == ["toy style"]
    assert remote.authorization is None
    assert remote.fetched_at.endswith("Z")
    contents = [file.data for file in (TOY, VAE, CONFIG, FULL, TRAINING)]
    for file, content in zip(remote.files, contents, strict=True):
        assert (file.sha256, file.size_bytes) == (sha256(content), len(content))
        answer = httpx.get(file.url, follow_redirects=True, trust_env=False)
        assert answer.content == content


def test_it_is_described_as_one_that_is_looked_up(desk: Desk, fake_hub: FakeHub) -> None:
    publish(fake_hub)

    async def work(_: CivitaiFiles) -> Mapping[str, Any]:
        async with NetworkManager() as network:
            cache = AnswerCache(desk.folder / "other.db")
            civitai = Civitai(CachedNetwork(network, cache), endpoint=fake_hub.civitai_url)
            found = await civitai.by_sha256([sha256(WEIGHTS)])
            cache.close()
            return found[sha256(WEIGHTS)].facts

    assert desk.remote().facts == desk.ask(work)


def test_it_is_asked_anew(desk: Desk, fake_hub: FakeHub) -> None:
    publish(fake_hub)
    desk.remote()
    fake_hub.civitai.versions.clear()
    with pytest.raises(NotPublishedError):
        desk.remote()


def test_the_version_that_the_page_of_a_model_shows(desk: Desk, fake_hub: FakeHub) -> None:
    publish(fake_hub)
    assert desk.remote(None, model_id=22).notes == ()
    publish(fake_hub, FULL, number=12, name="v2", published_at=2e9)
    remote = desk.remote(None, model_id=22)
    assert (remote.revision, remote.title) == ("12", "Toy v2")
    assert remote.notes == ("of 2 versions this is v2 (civitai:12)",)


def test_a_version_of_another_model(desk: Desk, fake_hub: FakeHub) -> None:
    publish(fake_hub)
    assert desk.remote(11, model_id=22).notes == ()
    assert desk.remote(11, model_id=23).notes == ("version 11 is of model 22, not of 23",)


@pytest.mark.parametrize(
    ("asked", "first"),
    [
        ({"file_id": 34}, FULL),
        ({"filters": [("type", "Model"), ("size", "full"), ("fp", "fp32")]}, FULL),
        ({"filters": [("type", "model"), ("format", "SAFETENSOR")]}, TOY),
        ({"filters": [("type", "VAE")]}, VAE),
    ],
)
def test_what_a_download_link_asks_for(
    desk: Desk, fake_hub: FakeHub, asked: Mapping[str, Any], first: CivitaiFile
) -> None:
    publish(fake_hub, TOY, FULL, VAE)
    remote = desk.remote(**asked)
    assert remote.files[0].sha256 == sha256(first.data)
    assert next(file.path for file in remote.files if file.is_default) == first.name
    assert len(remote.files) == 3


def test_a_link_to_a_file_that_is_not_there(desk: Desk, fake_hub: FakeHub) -> None:
    publish(fake_hub, TOY)
    for asked, said in (({"filters": [("fp", "fp8")]}, "fp=fp8"), ({"file_id": 7}, "fileid=7")):
        with pytest.raises(NotPublishedError, match=f"no file with {said}") as e:
            desk.remote(**asked)
        assert e.value.hint == "It has toy.safetensors."


@pytest.mark.parametrize(
    ("size_kb", "size_bytes"),
    [
        (9.0, 9216),
        (0.0009765625, 1),
        (6775430.353515625, 6938040682),
        (144.11, None),
        (0, None),
        (-1.0, None),
        (float("nan"), None),
        (float("inf"), None),
        (1e300, None),
    ],
)
def test_sizes_are_told_whole_or_not_at_all(
    desk: Desk, fake_hub: FakeHub, size_kb: float, size_bytes: int | None
) -> None:
    publish(fake_hub, CivitaiFile(1, "x.safetensors", b"x", size_kb=size_kb))
    assert desk.remote().files[0].size_bytes == size_bytes


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("../../etc/passwd", ".._.._etc_passwd"),
        ("a:b?.safetensors", "a_b_.safetensors"),
        ("nul.pt", "nul_.pt"),
        ("tab\t.pt", "tab_.pt"),
    ],
)
def test_names_that_cannot_be(desk: Desk, fake_hub: FakeHub, name: str, kept: str) -> None:
    publish(fake_hub, CivitaiFile(1, name, b"x"))
    remote = desk.remote()
    assert remote.files[0].path == kept
    (note,) = remote.notes
    assert note.endswith(f"is kept as {kept}")
    assert note.isprintable()


def test_what_has_no_digest_cannot_be_verified(desk: Desk, fake_hub: FakeHub) -> None:
    unscanned = CivitaiFile(40, "new.safetensors", b"new", primary=False, hashes={"AutoV2": "AB"})
    publish(fake_hub, TOY, unscanned)
    remote = desk.remote()
    assert names(remote) == [("toy.safetensors", True)]
    assert remote.left_out == (("new.safetensors", "Civitai has published no SHA-256 of it"),)
    assert len(remote.notes) == 1
    with pytest.raises(NotPublishedError, match=r"no SHA-256 of new\.safetensors"):
        desk.remote(file_id=40)


def test_what_scanners_warn_of_is_said(desk: Desk, fake_hub: FakeHub) -> None:
    publish(fake_hub, CivitaiFile(1, "bad.pt", b"x", scan="Danger"))
    assert desk.remote().notes == ("bad.pt: Civitai's scanners say Danger",)


@pytest.mark.parametrize(("mode", "said"), [("Archived", "archived"), ("TakenDown", "taken down")])
def test_archived_and_taken_down(desk: Desk, fake_hub: FakeHub, mode: str, said: str) -> None:
    publish(fake_hub, mode=mode)
    for asked in ({"version_id": 11}, {"version_id": None, "model_id": 22}):
        with pytest.raises(NotPublishedError, match=f"has been {said}"):
            desk.remote(**asked)


def test_archived_meanwhile(desk: Desk, fake_hub: FakeHub) -> None:
    publish(fake_hub)
    remote = desk.remote()
    fake_hub.civitai.versions.clear()
    assert isinstance(desk.refused(remote), NotPublishedError)
    publish(fake_hub, mode="Archived")
    error = desk.refused(remote)
    assert isinstance(error, NotPublishedError)
    assert "toy.safetensors has been archived" in error.message


def test_what_is_not_there(desk: Desk, fake_hub: FakeHub) -> None:
    publish(fake_hub, status="Draft")
    with pytest.raises(NotPublishedError, match="no version 11 on Civitai"):
        desk.remote()
    with pytest.raises(NotPublishedError, match="no model 22 on Civitai"):
        desk.remote(None, model_id=22)
    fake_hub.add_version(CivitaiVersion(12, 22, ()))
    with pytest.raises(NotPublishedError, match="has no files"):
        desk.remote(12)


@pytest.mark.parametrize("number", [None, 0, -1])
def test_what_is_no_number(desk: Desk, fake_hub: FakeHub, number: int | None) -> None:
    with pytest.raises(UsageError):
        desk.remote(number)
    assert fake_hub.log.entries == ()


def test_files_for_those_who_signed_in(desk: Desk, fake_hub: FakeHub) -> None:
    publish(fake_hub, wants_login=True)
    remote = desk.remote()
    error = desk.refused(remote)
    assert isinstance(error, SignInNeededError)
    assert "to those who signed in" in error.message
    assert f"{fake_hub.civitai_url}/user/account" in error.hint
    assert "CIVITAI_API_TOKEN" in error.hint
    desk.key = "unknown"
    error = desk.refused(remote)
    assert isinstance(error, SignInNeededError)
    assert "the account of your CIVITAI_API_TOKEN" in error.message
    fake_hub.civitai.keys["good"] = frozenset()
    desk.key = "good"
    remote = desk.remote()
    assert remote.authorization == Secret("Bearer good")
    assert "good" not in repr(remote)


def test_a_key_that_is_no_good_is_left_out(desk: Desk, fake_hub: FakeHub) -> None:
    publish(fake_hub)
    desk.key = "unknown"
    assert desk.remote().authorization is None


def test_early_access(desk: Desk, fake_hub: FakeHub) -> None:
    publish(fake_hub, availability="EarlyAccess")
    fake_hub.civitai.keys["poor"] = frozenset()
    for desk.key in (None, "poor"):
        remote = desk.remote()
        assert "is in early access" in remote.notes[0]
        error = desk.refused(remote)
        assert isinstance(error, SignInNeededError)
        assert "in early access" in error.message
        assert "CIVITAI_API_TOKEN" in error.hint
        assert f"{fake_hub.civitai_url}/models/22" in error.hint


def test_other_refusals(desk: Desk) -> None:
    limited = desk.means(429, {"retry-after": "100"})
    assert isinstance(limited, RateLimitedError)
    assert limited.retry_at is not None
    page = {"content-type": "text/html; charset=utf-8"}
    assert isinstance(desk.means(200, page), SignInNeededError)
    for error in (desk.means(403, page), desk.means(451), desk.means(400)):
        assert isinstance(error, AnswerRefusedError)
        assert error.hint


@pytest.mark.parametrize(
    "answer",
    ["{}", "[]", '{"id":12,"modelId":22}', '{"id":11,"modelId":"22"}', '{"id":11,"files":7}'],
)
def test_an_answer_that_is_no_version(desk: Desk, fake_hub: FakeHub, answer: str) -> None:
    fake_hub.chaos.add(Status(200, answer), host="civitai", times=None)
    with pytest.raises(AnswerRefusedError, match="makes no sense"):
        desk.remote()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ('{"id":22,"name":"Toy","modelVersions":[]}', "Toy has no published version"),
        ('{"id":22,"modelVersions":[{"id":1,"status":"Draft"}]}', "model 22 has no published"),
        ('{"id":22,"name":"Toy","mode":"TakenDown","modelVersions":[]}', "Toy has been taken down"),
        ("[7]", "has no published version"),
    ],
)
def test_a_model_without_versions(desk: Desk, fake_hub: FakeHub, answer: str, said: str) -> None:
    fake_hub.chaos.add(Status(200, answer), host="civitai", times=None)
    with pytest.raises(NotPublishedError, match=said):
        desk.remote(None, model_id=22)


def test_a_captive_portal_and_no_host(desk: Desk, fake_hub: FakeHub) -> None:
    publish(fake_hub)
    fake_hub.chaos.add(Portal(), host="civitai", times=None)
    with pytest.raises(AnswerRefusedError, match="no answer that makes sense"):
        desk.remote()
    fake_hub.chaos.clear()
    fake_hub.chaos.add(Status(503), host="civitai", times=None)
    with pytest.raises(HostUnavailableError):
        desk.remote()
    desk.offline = True
    with pytest.raises(OfflineError):
        desk.remote()
