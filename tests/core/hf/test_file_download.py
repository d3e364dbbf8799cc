"""What the fake Hub publishes as what can be downloaded, and each way in which it refuses."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

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
    SignInNeededError,
    UsageError,
)
from modelcellar.hf.client import HubClient
from modelcellar.hf.file_download import HubFiles
from modelcellar.hf.oid_index import OidIndex
from modelcellar.network.manager import NetworkManager
from modelcellar.network.secret import Secret
from modelcellar.remotes import Remote
from tests.support.fake_hub import FakeHub, FakeRepo, Header, Portal, Status, Token
from tests.support.models import safetensors_bytes

_T = TypeVar("_T")
ACME = "acme/toy"
FILES = {
    "README.md": b"---\nlicense: mit\n---\nA toy.\n",
    "model.safetensors": safetensors_bytes(seed=1, size_bytes=4096),
    "text encoder/model 100%#1.safetensors": safetensors_bytes(seed=2, size_bytes=64),
    "unet/config.json": b"{}",
    "empty.txt": b"",
}


class Desk:
    """Asks the fake as one run of the program after another does, with the same state on disk."""

    def __init__(self, hub: FakeHub, folder: Path) -> None:
        self.hub = hub
        self.folder = folder
        self.token: str | None = None
        self.offline = False
        self.later_s = 0.0

    def ask(self, work: Callable[[HubFiles], Awaitable[_T]]) -> _T:
        async def run() -> _T:
            now = time.time() + self.later_s
            cache = AnswerCache(self.folder / "answers.db", clock=lambda: now)
            oids = OidIndex(self.folder / "oids.db")
            try:
                async with NetworkManager(offline=self.offline) as network:
                    client = HubClient(
                        CachedNetwork(network, cache),
                        oids=oids,
                        endpoint=self.hub.hub_url,
                        token=None if self.token is None else Secret(self.token),
                    )
                    return await work(HubFiles(client))
            finally:
                cache.close()
                oids.close()

        return asyncio.run(run())

    def remote(self, repo_id: str = ACME, revision: str | None = None) -> Remote:
        return self.ask(lambda files: files.remote(repo_id, revision=revision))

    def sighted(self, sha256: str) -> list[tuple[str, str, str]]:
        oids = OidIndex(self.folder / "oids.db")
        found = [(one.repo_id, one.commit, one.file.path) for one in oids.by_sha256(sha256)]
        oids.close()
        return found


@pytest.fixture
def desk(fake_hub: FakeHub, tmp_path: Path) -> Desk:
    return Desk(fake_hub, tmp_path)


@pytest.fixture
def toy(fake_hub: FakeHub) -> FakeRepo:
    return fake_hub.add(
        FakeRepo(ACME, FILES, card={"license": "mit"}, pipeline_tag="text-to-image")
    )


def as_listed(remote: Remote) -> dict[str, tuple[int | None, str | None, str | None]]:
    return {one.path: (one.size_bytes, one.sha256, one.git_sha1) for one in remote.files}


def as_published(repo: FakeRepo) -> dict[str, tuple[int, str | None, str | None]]:
    return {
        path: (file.size_bytes, file.sha256, None if file.sha256 else file.oid)
        for path, file in repo.head.files.items()
    }


def test_a_repository_at_the_commit_its_branch_is_at(
    desk: Desk, toy: FakeRepo, fake_hub: FakeHub
) -> None:
    remote = desk.remote()
    assert as_listed(remote) == as_published(toy)
    assert (remote.provider, remote.title, remote.repo_id) == ("huggingface", "toy", ACME)
    assert (remote.revision, remote.page) == (toy.sha, f"{fake_hub.hub_url}/{ACME}")
    assert (remote.facts["license"], remote.facts["author"]) == ("mit", "acme")
    assert remote.fetched_at.endswith("Z")
    assert (remote.notes, remote.left_out, remote.authorization) == ((), (), None)
    assert len(fake_hub.log.entries) == 1
    weights = toy.head.files["model.safetensors"]
    assert desk.sighted(weights.content_sha256) == [(ACME, toy.sha, weights.path)]


def test_every_address_leads_to_its_file(desk: Desk, toy: FakeRepo) -> None:
    for file in desk.remote().files:
        assert f"/resolve/{toy.sha}/" in file.url
        answer = httpx.get(file.url, follow_redirects=True, trust_env=False)
        assert answer.content == FILES[file.path]


def test_a_branch_is_asked_anew_and_a_commit_is_not(
    desk: Desk, toy: FakeRepo, fake_hub: FakeHub
) -> None:
    first = desk.remote().revision
    toy.commit({"new.txt": b"new"})
    remote = desk.remote()
    assert remote.revision == toy.sha != first
    assert "new.txt" in as_listed(remote)
    pinned = desk.remote(revision=first)
    assert pinned.revision == first
    fake_hub.log.clear()
    again = desk.remote(revision=first)
    assert (again.files, again.facts, again.notes) == (pinned.files, pinned.facts, ())
    assert fake_hub.log.entries == ()
    desk.offline = True
    assert desk.remote(revision=first) == again
    with pytest.raises(OfflineError):
        desk.remote()


def test_every_kind_of_revision(desk: Desk, toy: FakeRepo) -> None:
    first = toy.sha
    toy.tag("v1.0")
    side = toy.commit({"side.txt": b"side"}, branch="feature/one")
    pull = toy.commit({"pull.txt": b"pull"}, move=False)
    toy.pull_requests["refs/pr/7"] = pull
    kinds = {"main": first, "v1.0": first, "feature/one": side, "refs/pr/7": pull, side: side}
    for revision, commit in kinds.items():
        assert desk.remote(revision=revision).revision == commit


def test_a_commit_whose_host_does_not_answer_is_known_all_the_same(
    desk: Desk, toy: FakeRepo, fake_hub: FakeHub
) -> None:
    pinned = desk.remote(revision=toy.sha)
    fake_hub.chaos.add(Status(503), host="hub", times=None)
    desk.later_s = 365 * 86_400.0
    with pytest.raises(HostUnavailableError):
        desk.remote(revision="main")
    kept = desk.remote(revision=toy.sha)
    assert kept.files == pinned.files
    (note,) = kept.notes
    assert "does not answer: this is what it listed at 20" in note


def test_long_lists_come_in_pages(desk: Desk, fake_hub: FakeHub) -> None:
    fake_hub.settings.tree_page = 7
    files = {f"d{number % 3}/{number:03}.txt": b"%d" % number for number in range(40)}
    repo = fake_hub.add(FakeRepo(ACME, files))
    short = desk.remote()
    # As from a Hub, or a mirror, that leaves out what it should tell of each.
    fake_hub.settings.tells_sizes = False
    assert desk.remote().files == short.files
    assert as_listed(short) == as_published(repo)
    assert len(fake_hub.log.of("hub", containing="/tree/")) == 7  # of 43, with 3 folders


def test_a_renamed_repository(desk: Desk, toy: FakeRepo, fake_hub: FakeHub) -> None:
    fake_hub.hub.renamed |= {"old/name": ACME, "toy": ACME}
    remote = desk.remote("old/name")
    assert remote.repo_id == ACME
    assert remote.notes == (f"old/name is now called {ACME}",)
    assert all(f"/{ACME}/resolve/" in file.url for file in remote.files)
    assert desk.remote("toy").notes == (f"toy is now called {ACME}",)
    # The Hub writes names in any case and sends to the right one; that is no other name.
    assert desk.remote("ACME/Toy", revision=toy.sha).notes == ()


def test_nobody_else_speaks_for_a_repository(desk: Desk, toy: FakeRepo, fake_hub: FakeHub) -> None:
    fake_hub.hub.impostors[ACME] = "somebody/else"
    with pytest.raises(AnswerRefusedError, match="the Hub speaks of somebody/else"):
        desk.remote()
    assert toy.sha


def test_what_is_not_there_without_a_token(desk: Desk, toy: FakeRepo, fake_hub: FakeHub) -> None:
    fake_hub.add(FakeRepo("acme/secret", {"a.txt": b""}, private=True))
    for name in ("acme/secret", "acme/toi"):
        with pytest.raises(NotPublishedError, match=f"no {name} on the Hub, or it is private") as e:
            desk.remote(name)
        assert "hf auth login" in e.value.hint
    assert e.value.hint.startswith(f"Did you mean {ACME}?")
    with pytest.raises(NotPublishedError) as e:
        desk.remote("acne/toy")
    assert e.value.hint.startswith(f"Did you mean {ACME}?")
    assert toy.sha


def test_what_is_not_there_with_a_token(desk: Desk, fake_hub: FakeHub) -> None:
    fake_hub.add(FakeRepo("acme/secret", {"a.txt": b""}, private=True))
    desk.token = fake_hub.add_token("hf_stranger")
    with pytest.raises(NotPublishedError, match="or your token may not see it") as e:
        desk.remote("acme/secret")
    assert "hf auth login" not in e.value.hint
    desk.token = fake_hub.add_token(
        "hf_friend", Token("friend", may_read=frozenset({"acme/secret"}))
    )
    remote = desk.remote("acme/secret")
    assert remote.authorization == Secret("Bearer hf_friend")
    assert "hf_friend" not in repr(remote)


def test_what_was_refused_is_asked_anew(desk: Desk, fake_hub: FakeHub) -> None:
    desk.token = fake_hub.add_token("hf_friend")
    repo = fake_hub.add(FakeRepo("acme/secret", {"a.txt": b""}, private=True))
    with pytest.raises(NotPublishedError):
        desk.remote("acme/secret", repo.sha)
    fake_hub.add_token("hf_friend", Token("friend", may_read=frozenset({"acme/secret"})))
    assert desk.remote("acme/secret", repo.sha).revision == repo.sha


def test_a_token_that_is_no_good_is_left_out(desk: Desk, toy: FakeRepo) -> None:
    desk.token = "hf_nobodys"
    remote = desk.remote()
    assert (remote.revision, remote.authorization) == (toy.sha, None)
    with pytest.raises(NotPublishedError, match="or it is private") as e:
        desk.remote("acme/other")
    assert "Your token is not accepted" in e.value.hint


def test_a_revision_that_is_not_there(desk: Desk, toy: FakeRepo) -> None:
    toy.tag("v1.0")
    toy.commit({"x": b""}, branch="fp16")
    with pytest.raises(NotPublishedError, match="acme/toy has no revision 'fp15'") as e:
        desk.remote(revision="fp15")
    assert e.value.hint.startswith("It has fp16, ")
    assert "v1.0" in e.value.hint
    with pytest.raises(NotPublishedError, match="has no revision"):
        desk.remote(revision="0" * 40)


@pytest.mark.parametrize("status", [401, 403])
def test_a_disabled_repository(desk: Desk, fake_hub: FakeHub, status: int) -> None:
    fake_hub.access.disabled_status = status
    fake_hub.add(FakeRepo(ACME, FILES, disabled=True))
    with pytest.raises(NotPublishedError, match="has been disabled on the Hub") as e:
        desk.remote()
    assert "Did you mean" not in e.value.hint


def test_a_gated_repository_is_listed_and_says_so(desk: Desk, fake_hub: FakeHub) -> None:
    repo = fake_hub.add(FakeRepo(ACME, FILES, gated="manual"))
    remote = desk.remote()
    assert as_listed(remote) == as_published(repo)
    assert remote.facts["gated"] == "manual"
    (note,) = remote.notes
    assert "accept its terms at" in note
    assert "hf auth login" in note
    desk.token = fake_hub.add_token("hf_friend", Token("friend", may_read=frozenset({ACME})))
    assert desk.remote().notes == ()


def refused(desk: Desk, url: str, path: str = "model.safetensors") -> CellarError:
    """What our own error is for the fake's answer to a request for bytes."""
    sign = {"Authorization": f"Bearer {desk.token}"} if desk.token else {}
    answer = httpx.get(url, headers=sign, trust_env=False)
    headers = dict(answer.headers)

    async def work(files: HubFiles) -> CellarError:
        return files.refusal(answer.status_code, headers, repo_id=ACME, path=path)

    return desk.ask(work)


def test_refused_bytes_of_a_gated_repository(desk: Desk, fake_hub: FakeHub) -> None:
    fake_hub.add(FakeRepo(ACME, FILES, gated="auto"))
    url = desk.remote().files[0].url
    page = f"{fake_hub.hub_url}/{ACME}"
    for token in (None, "hf_nobodys"):
        desk.token = token
        error = refused(desk, url)
        assert isinstance(error, SignInNeededError)
        assert page in error.hint
        assert "hf auth login" in error.hint
    desk.token = fake_hub.add_token("hf_stranger")
    error = refused(desk, url)
    assert isinstance(error, SignInNeededError)
    assert "your account has no access" in error.message
    assert page in error.hint


def test_refused_bytes_of_what_changed_meanwhile(
    desk: Desk, toy: FakeRepo, fake_hub: FakeHub
) -> None:
    url = desk.remote().files[0].url
    gone = refused(desk, f"{fake_hub.hub_url}/{ACME}/resolve/{toy.sha}/gone.bin", "gone.bin")
    assert isinstance(gone, NotPublishedError)
    assert gone.message == "gone.bin is gone from acme/toy meanwhile"
    toy.disabled = True
    disabled = refused(desk, url)
    assert isinstance(disabled, NotPublishedError)
    assert "disabled" in disabled.message
    toy.disabled, toy.private = False, True
    private = refused(desk, url)
    assert isinstance(private, NotPublishedError)
    assert "or it is private" in private.message
    desk.token = "hf_nobodys"
    unknown = refused(desk, url)
    assert isinstance(unknown, SignInNeededError)
    assert "does not accept your token" in unknown.message


def test_another_refusal_says_what_the_hub_said(desk: Desk, toy: FakeRepo) -> None:
    async def work(files: HubFiles) -> CellarError:
        headers = {"x-error-message": "not \x1b[31mhere\x07"}
        return files.refusal(451, headers, repo_id=ACME, path="a\nb")

    error = desk.ask(work)
    assert isinstance(error, AnswerRefusedError)
    assert "(451): not  [31mhere" in error.message
    assert error.message.isprintable()
    assert toy.sha


def test_names_that_cannot_be_kept_are_told_of(desk: Desk, fake_hub: FakeHub) -> None:
    odd = {
        "a:b.json": b"{}",
        "C:/x": b"",
        "ab:c": b"",
        "nul.txt": b"",
        "end.": b"",
        "tab\t.txt": b"",
    }
    fake_hub.add(FakeRepo(ACME, {**FILES, **odd}))
    remote = desk.remote()
    assert set(as_listed(remote)) == set(FILES)
    assert {path for path, _ in remote.left_out} == set(odd)
    assert len(remote.notes) == 6
    assert "C:/x is left out: its name begins with a Windows drive" in remote.notes
    assert remote.notes[-1] == "1 more files are left out for their names"
    assert all(note.isprintable() for note in remote.notes)


@pytest.mark.parametrize("path", ["../x", "a/../../x", "/etc/passwd", "\\\\host\\x", "./x"])
def test_a_path_that_leads_out_is_refused(desk: Desk, fake_hub: FakeHub, path: str) -> None:
    fake_hub.add(FakeRepo(ACME, {**FILES, path: b""}))
    with pytest.raises(AnswerRefusedError, match="leads out of its folder"):
        desk.remote()


@pytest.mark.parametrize("name", ["", "a/b/c", "a b/c", "../c", "a/b.git", "a/..", "a?b/c"])
def test_what_cannot_be_a_repository_is_not_asked_for(
    desk: Desk, fake_hub: FakeHub, name: str
) -> None:
    with pytest.raises(UsageError, match="cannot be the name of a repository"):
        desk.remote(name)
    assert fake_hub.log.entries == ()


@pytest.mark.parametrize("revision", ["", "..", ".", "a\nb", "x" * 256])
def test_what_cannot_be_a_revision_is_not_asked_for(
    desk: Desk, fake_hub: FakeHub, revision: str
) -> None:
    with pytest.raises(UsageError, match="cannot be a revision"):
        desk.remote(revision=revision)
    assert fake_hub.log.entries == ()


@pytest.mark.parametrize("page", ['{"error":"no"}', "[7]", '[{"type":"file","path":"x"}]', "null"])
def test_a_list_that_makes_no_sense_is_refused(
    desk: Desk, toy: FakeRepo, fake_hub: FakeHub, page: str
) -> None:
    fake_hub.settings.tells_sizes = False
    fake_hub.chaos.add(Status(200, page), path="*/tree/*", times=None)
    with pytest.raises(AnswerRefusedError, match="the list of files of acme/toy: it"):
        desk.remote()
    assert toy.sha


def test_a_list_that_goes_on_elsewhere_is_refused(
    desk: Desk, toy: FakeRepo, fake_hub: FakeHub
) -> None:
    fake_hub.settings.tells_sizes = False
    link = f'<{fake_hub.elsewhere_url}/api>; rel="next"'
    fake_hub.chaos.add(Header("Link", link), path="*/tree/*", times=None)
    with pytest.raises(AnswerRefusedError, match="it goes on at another host"):
        desk.remote()
    assert fake_hub.log.of("elsewhere") == ()
    assert toy.sha


def test_a_list_without_end_is_refused(desk: Desk, toy: FakeRepo, fake_hub: FakeHub) -> None:
    fake_hub.settings.tells_sizes = False
    link = f'<{fake_hub.hub_url}/api/models/{ACME}/tree/{toy.sha}?recursive=true>; rel="next"'
    fake_hub.chaos.add(Header("Link", link), path="*/tree/*", times=None)
    with pytest.raises(AnswerRefusedError, match="it goes on in a circle"):
        desk.remote()


def test_another_commit_than_the_one_asked_for_is_refused(
    desk: Desk, toy: FakeRepo, fake_hub: FakeHub
) -> None:
    body = json.dumps({"id": ACME, "sha": "0" * 40, "siblings": []})
    fake_hub.chaos.add(Status(200, body), host="hub", times=None)
    with pytest.raises(AnswerRefusedError, match=f"the Hub speaks of {'0' * 40}"):
        desk.remote(revision=toy.sha)


def test_a_repository_whose_list_is_gated(desk: Desk, fake_hub: FakeHub) -> None:
    refused = Status(401, "{}", {"X-Error-Code": "GatedRepo"})
    fake_hub.chaos.add(refused, host="hub", times=None)
    with pytest.raises(SignInNeededError, match="is gated") as e:
        desk.remote()
    assert f"{fake_hub.hub_url}/{ACME}" in e.value.hint


def test_that_it_is_not_there_is_said_also_where_nothing_else_is_known(
    desk: Desk, toy: FakeRepo, fake_hub: FakeHub
) -> None:
    fake_hub.chaos.add(Portal(), path="/api/models", times=None)
    with pytest.raises(NotPublishedError) as e:
        desk.remote("acme/toi")
    assert e.value.hint.startswith("Check the name.")
    assert toy.sha


@pytest.mark.parametrize("document", ["{}", '{"id":"acme/toy","sha":"main"}', "[]", "null"])
def test_an_answer_that_is_no_repository_is_refused(
    desk: Desk, fake_hub: FakeHub, document: str
) -> None:
    fake_hub.chaos.add(Status(200, document), host="hub", times=None)
    with pytest.raises(AnswerRefusedError, match="makes no sense"):
        desk.remote()


ORACLE = """
import json, sys
from huggingface_hub import HfApi
info = HfApi(endpoint=sys.argv[1]).model_info(sys.argv[2], files_metadata=True)
told = ((one.rfilename, one.size, one.lfs, one.blob_id) for one in info.siblings)
files = {path: [size, lfs and lfs.sha256, blob] for path, size, lfs, blob in told}
json.dump([info.id, info.sha, files], sys.stdout)
"""


@pytest.mark.parametrize("tells_sizes", [True, False])
def test_the_hubs_own_client_sees_the_same(
    desk: Desk, fake_hub: FakeHub, tmp_path: Path, tells_sizes: bool
) -> None:
    pytest.importorskip("huggingface_hub")
    files = {**FILES, "small.bin": b"lfs", "big.txt": b"x" * 10_000_000, "ünïcode/ключ.txt": b"?"}
    fake_hub.add(FakeRepo(ACME, files, plain=frozenset({"small.bin"})))
    run = subprocess.run(
        [sys.executable, "-c", ORACLE, fake_hub.hub_url, ACME],
        env={**os.environ, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_DISABLE_XET": "1"},
        capture_output=True,
        check=True,
    )
    repo_id, commit, listed = json.loads(run.stdout)
    fake_hub.settings.tells_sizes = tells_sizes
    remote = desk.remote()
    assert (remote.repo_id, remote.revision) == (repo_id, commit)
    assert {
        one.path: [one.size_bytes, one.sha256, one.git_sha1 or listed[one.path][2]]
        for one in remote.files
    } == listed
    assert all((one.sha256 is None) != (one.git_sha1 is None) for one in remote.files)
