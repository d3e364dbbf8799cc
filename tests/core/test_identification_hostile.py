"""Answers that are wrong, stale, hostile or of somebody else, and what must not come of them."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from modelcellar.config import Settings, load_settings
from modelcellar.hosts import Hosts, open_hosts
from modelcellar.identification import Identification, Question
from modelcellar.lookups import index_repositories
from modelcellar.origins import Claim, Match, Standing, Subject
from modelcellar.questions import of_whole_model
from modelcellar.records import Digests, FileRecord
from tests.support.fake_hub import ArchivedFile, FakeHub, FakeRepo, Portal, Redirect, Status
from tests.support.models import safetensors_bytes, sha256
from tests.support.origins import environment

DATA = safetensors_bytes(seed=1)
NAME = "toymodel.safetensors"


def settings_for(hub: FakeHub, folder: Path, **more: str) -> Settings:
    environ = {**environment(hub), **more}
    return load_settings(environ=environ, config_file=folder / "none.toml")[0]


@pytest.fixture
def settings(fake_hub: FakeHub, tmp_path: Path) -> Settings:
    return settings_for(fake_hub, tmp_path)


def question(data: bytes = DATA, name: str = NAME, *claims: Claim) -> Question:
    subject = Subject(name, len(data), sha256(data), format="safetensors")
    return Question(subject, claims)


def identify(settings: Settings, *asked: Question, refresh: bool = False) -> list[Identification]:
    async def work(hosts: Hosts) -> list[Identification]:
        return list(await hosts.identifier.identify(asked))

    async def run() -> list[Identification]:
        async with open_hosts(settings, refresh=refresh) as hosts:
            return await work(hosts)

    return asyncio.run(run())


def best(found: Identification) -> Match:
    return found.matches[0]


def test_what_one_endpoint_listed_proves_nothing_at_another(
    fake_hub: FakeHub, settings: Settings, tmp_path: Path
) -> None:
    with FakeHub([FakeRepo("google/gemma", {NAME: DATA})]) as mirror:
        theirs = settings_for(mirror, tmp_path)
        assert index_repositories(["google/gemma"], theirs).listings
        assert identify(theirs, question())[0].is_verified
    assert not identify(settings, question())[0].is_verified
    assert fake_hub.log.of("hub")


def test_only_the_hub_s_own_redirect_renames_a_repository(
    fake_hub: FakeHub, settings: Settings
) -> None:
    fake_hub.add(FakeRepo("acme/toymodel", {NAME: DATA}))
    fake_hub.hub.renamed["old/toymodel"] = "acme/toymodel"
    (listing,) = index_repositories(["old/toymodel"], settings).listings
    assert listing.repo_id == "acme/toymodel"


def test_one_hostile_lead_is_the_end_of_nothing(fake_hub: FakeHub, settings: Settings) -> None:
    homeless = safetensors_bytes(seed=5)
    url = "https://[huggingface.co/a/b"
    fake_hub.civarchive.files[sha256(homeless)] = (ArchivedFile("huggingface", url, "x"),)
    fake_hub.add(FakeRepo("acme/toymodel", {NAME: DATA}))
    found = identify(settings, question(homeless, "homeless.safetensors"), question())
    assert [one.is_verified for one in found] == [False, True]


def test_the_page_of_a_repository_that_is_another_s_now_is_not_believed(
    fake_hub: FakeHub, settings: Settings
) -> None:
    fake_hub.add(FakeRepo("acme/toymodel", {NAME: DATA}, card={"license": "mit"}))
    index_repositories(["acme/toymodel"], settings)
    fake_hub.hub.remove("acme/toymodel")
    other = {"other.safetensors": safetensors_bytes(seed=9)}
    fake_hub.add(FakeRepo("acme/toymodel", other, card={"license": "evil"}))
    (found,) = identify(settings, question(), refresh=True)
    assert (best(found).status, best(found).repo_id) == (Standing.VERIFIED, "acme/toymodel")
    assert "license" not in best(found).facts


def test_a_new_warning_of_the_scanners_is_seen_at_once(
    fake_hub: FakeHub, settings: Settings
) -> None:
    fake_hub.add(FakeRepo("acme/toymodel", {NAME: DATA}))
    index_repositories(["acme/toymodel"], settings)
    fake_hub.hub.remove("acme/toymodel")
    fake_hub.add(FakeRepo("acme/toymodel", {NAME: DATA}, scans={NAME: "unsafe"}))
    (found,) = identify(settings, question(), refresh=True)
    assert best(found).facts["scan"] == "unsafe"


def test_content_that_is_everywhere_costs_few_calls(fake_hub: FakeHub, settings: Settings) -> None:
    names = [f"author{number}/toymodel" for number in range(20)]
    for name in names:
        fake_hub.add(FakeRepo(name, {NAME: DATA}))
    index_repositories(names, settings)
    fake_hub.log.clear()
    (found,) = identify(settings, question())
    assert found.is_verified
    assert len(fake_hub.log.of("hub")) <= 3


def test_a_token_that_is_refused_hides_nothing_public(
    fake_hub: FakeHub, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_hub.add(FakeRepo("acme/toymodel", {NAME: DATA}))
    monkeypatch.setenv("HF_TOKEN", "hf_expired")
    (found,) = identify(settings, question())
    assert (found.is_verified, found.pending) == (True, None)


@pytest.mark.parametrize("fault", [Portal(), Status(403), Status(451)], ids=repr)
def test_who_stands_between_is_not_taken_for_an_answer(
    fake_hub: FakeHub, settings: Settings, fault: Portal | Status
) -> None:
    fake_hub.chaos.add(fault, times=None)
    (found,) = identify(settings, question())
    assert found.matches == ()
    assert found.pending is not None


def test_a_redirect_to_somebody_else_s_repository_is_no_answer_for_the_one_asked(
    fake_hub: FakeHub, settings: Settings
) -> None:
    fake_hub.add(FakeRepo("acme/toymodel", {NAME: DATA}))
    target = f"{fake_hub.elsewhere_url}/api/models/acme/toymodel"
    fake_hub.chaos.add(Redirect(target), host="hub", path="/api/models/*", times=None)
    (found,) = identify(settings, question())
    assert not found.is_verified


def test_empty_pages_that_go_on_for_ever(fake_hub: FakeHub, settings: Settings) -> None:
    report = index_repositories(["nobody"], settings)
    assert report.missing == ("nobody",)
    assert len(fake_hub.log.of("hub")) <= 3


def claim_of(**changes: object) -> Claim:
    claim = Claim("huggingface", "huggingface_hub", "its cache", repo_id="acme/toymodel", path=NAME)
    return replace(claim, **changes)  # type: ignore[arg-type]


def test_a_record_of_other_bytes_is_no_claim(fake_hub: FakeHub, settings: Settings) -> None:
    for claim in (claim_of(sha256="f" * 64), claim_of(size_bytes=1)):
        (found,) = identify(settings, question(DATA, "x.safetensors", claim))
        assert found.matches == ()
    assert not fake_hub.log.of("hub", containing="acme/toymodel")


def test_a_claim_that_the_hub_refutes_is_a_candidate(fake_hub: FakeHub, settings: Settings) -> None:
    fake_hub.add(FakeRepo("acme/toymodel", {NAME: safetensors_bytes(seed=2)}))
    (found,) = identify(settings, question(DATA, "x.safetensors", claim_of()))
    assert best(found).status is Standing.CANDIDATE
    assert "does not publish these bytes" in best(found).evidence


def test_shards_of_two_commits_are_not_one_model(fake_hub: FakeHub, settings: Settings) -> None:
    shards = [safetensors_bytes(seed=number) for number in range(4)]
    repo = fake_hub.add(FakeRepo("acme/big", {"a": shards[0], "b": shards[1]}, lfs=frozenset("ab")))
    index_repositories(["acme/big"], settings)
    repo.commit({"a": shards[2], "b": shards[3]}, title="new")
    index_repositories(["acme/big"], settings)
    answers = identify(settings, question(shards[0], "a"), question(shards[3], "b"))
    assert all(one.is_verified for one in answers)
    records = [FileRecord(name, 1, Digests("1" * 64, "2" * 64)) for name in "ab"]
    matches, _ = of_whole_model(records, answers)
    assert {match.status for match in matches} == {Standing.CANDIDATE}


def test_proved_offline_and_described_later(fake_hub: FakeHub, settings: Settings) -> None:
    fake_hub.add(FakeRepo("acme/toymodel", {NAME: DATA}, card={"license": "mit"}))
    index_repositories(["acme/toymodel"], settings)
    away = replace(settings, offline=True)
    (found,) = identify(away, question())
    assert found.is_verified
    (later,) = identify(settings, question())
    assert best(later).facts["license"] == "mit"
    assert later.pending is None
