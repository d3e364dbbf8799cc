"""Who is believed about a model, and what a look-up may change."""

from dataclasses import replace

import pytest

from modelcellar.enrichment import enriched, is_better
from modelcellar.manifest import Fact, Manifest
from modelcellar.origins import Match, Standing
from modelcellar.records import Confidence, Digests, FileFormat, FileRecord, Identity

AT = "2026-01-02T03:04:05Z"
LATER = "2026-02-02T03:04:05Z"
FILE = FileRecord("a.safetensors", 9, Digests("1" * 64, "2" * 64), FileFormat.SAFETENSORS)
BARE = Manifest("a-11111111", "2" * 64, AT, (FILE,))
HUB = Match(
    "huggingface",
    Standing.VERIFIED,
    "its SHA-256 equals the published one",
    repo_id="acme/toy",
    revision="c" * 40,
    path="a.safetensors",
    url="https://huggingface.co/acme/toy",
    facts={"license": "mit", "base_model": "acme/base", "tags": ["art"]},
    fetched_at=AT,
)
CIVITAI = Match(
    "civitai",
    Standing.VERIFIED,
    "Civitai publishes this SHA-256",
    repo_id="22",
    revision="11",
    facts={"license": "other", "trigger_words": ["toy"], "civitai_type": "LORA"},
    fetched_at=AT,
)


def values(manifest: Manifest) -> dict[str, object]:
    return {name: fact.value for name, fact in manifest.facts.items() if name != "page"}


def with_fact(source: str, sure: Confidence | None, value: str = "old") -> Manifest:
    return replace(BARE, facts={"license": Fact(value, source, AT, "why", sure)})


def test_a_proved_match_fills_the_manifest() -> None:
    found = enriched(BARE, [HUB], at=LATER)
    assert found.identity == Identity(
        "verified", "huggingface", "acme/toy", "c" * 40, "a.safetensors", HUB.evidence
    )
    assert values(found) == {"license": "mit", "base_model": "acme/base", "tags": ["art"]}
    fact = found.facts["license"]
    assert (fact.source, fact.at, fact.sure) == ("huggingface", AT, Confidence.CERTAIN)
    assert found.facts["page"].value == HUB.url


def test_the_hub_is_believed_before_civitai_whatever_comes_first() -> None:
    for matches in ([HUB, CIVITAI], [CIVITAI, HUB]):
        found = enriched(BARE, matches, at=LATER)
        assert found.identity.provider == "huggingface"
        assert values(found) == {
            "license": "mit",
            "base_model": "acme/base",
            "tags": ["art"],
            "trigger_words": ["toy"],
            "type": "lora",
        }
    both = enriched(enriched(BARE, [HUB], at=LATER), [CIVITAI], at=LATER)
    assert (both.facts["license"].value, both.identity.provider) == ("mit", "huggingface")


def test_a_candidate_fills_no_field() -> None:
    found = enriched(BARE, [replace(HUB, status=Standing.CANDIDATE)], at=LATER)
    assert found.identity.status == "candidate"
    assert values(found) == {}


@pytest.mark.parametrize(
    ("source", "sure", "is_replaced"),
    [
        ("file content", Confidence.CERTAIN, False),
        ("file content", None, False),
        ("file content", Confidence.LIKELY, True),
        ("file name", None, True),
        ("civitai", Confidence.CERTAIN, True),
        ("huggingface", Confidence.LIKELY, True),
    ],
)
def test_a_better_value_is_never_overwritten(
    source: str, sure: Confidence | None, is_replaced: bool
) -> None:
    found = enriched(with_fact(source, sure), [HUB], at=LATER)
    assert found.facts["license"].value == ("mit" if is_replaced else "old")


def test_a_claim_replaces_nothing_that_was_found_out() -> None:
    claim = replace(HUB, status=Standing.CLAIMED, facts={"license": "rumour"})
    assert enriched(BARE, [claim], at=LATER).facts["license"].value == "rumour"
    for old in (
        with_fact("civitai", Confidence.CERTAIN),
        with_fact("file content", Confidence.LIKELY),
    ):
        assert enriched(old, [claim], at=LATER).facts["license"].value == "old"


def test_an_empty_answer_removes_nothing() -> None:
    before = enriched(BARE, [HUB], at=AT)
    assert enriched(before, [], at=LATER) is before
    poor = replace(HUB, facts={"license": None, "tags": [], "base_model": ""}, url=None)
    after = enriched(before, [poor], at=LATER)
    assert after.facts == before.facts


def test_the_same_answer_again_changes_nothing() -> None:
    before = enriched(BARE, [HUB, CIVITAI], at=AT)
    again = [replace(one, fetched_at=LATER) for one in (HUB, CIVITAI)]
    assert enriched(before, again, at=LATER) is before


def test_the_same_page_may_change_its_mind() -> None:
    before = enriched(BARE, [HUB], at=AT)
    newer = replace(HUB, facts={**HUB.facts, "license": "apache-2.0"}, revision="d" * 40)
    after = enriched(before, [newer], at=LATER)
    assert after.facts["license"].value == "apache-2.0"
    assert after.identity.revision == "d" * 40


@pytest.mark.parametrize(
    ("old", "new", "better"),
    [
        (Identity(), Identity("candidate", "h", "a/b"), True),
        (Identity("candidate", "h", "a/b"), Identity("claimed", "h", "c/d"), True),
        (Identity("claimed", "h", "a/b"), Identity("verified", "h", "c/d"), True),
        (Identity("verified", "h", "a/b"), Identity("candidate", "h", "c/d"), False),
        (Identity("verified", "h", "a/b"), Identity("claimed", "h", "a/b"), False),
        # The same bytes elsewhere: who was there first stays.
        (Identity("verified", "h", "a/b"), Identity("verified", "h", "c/d"), False),
        (Identity("verified", "h", "a/b", "1"), Identity("verified", "h", "a/b", "2"), True),
        (Identity("candidate", "h", "a/b"), Identity("candidate", "h", None), False),
    ],
)
def test_which_identity_stays(old: Identity, new: Identity, better: bool) -> None:
    assert is_better(new, old) is better


def test_a_repository_says_more_than_a_bare_address() -> None:
    web = Match("web", Standing.VERIFIED, "given", path="a.safetensors", url="https://a.test/a")
    found = enriched(BARE, [web], at=AT)
    assert (found.identity.provider, found.facts["page"].value) == ("web", web.url)
    after = enriched(found, [HUB], at=LATER)
    assert after.identity == enriched(BARE, [HUB], at=AT).identity
    assert after.facts["page"].value == HUB.url
    assert enriched(after, [web], at=LATER) is after
