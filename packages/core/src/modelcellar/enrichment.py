"""What a look-up found, written into a manifest: never worse than what was there.

Who is believed about a field, best first: the user (edits lie over everything), a file's own
content where it is certain, a proved page of the Hub, of Civitai, the content where it is not
certain, and what other tools wrote down. A field that nobody speaks of any more keeps what was
said.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from modelcellar.manifest import Fact, Manifest
from modelcellar.origins import WEB, Match, Standing
from modelcellar.records import Confidence, Identity, JsonValue

__all__ = ["enriched", "is_better", "may_replace"]

_RANK = {Standing.VERIFIED: 3, Standing.CLAIMED: 2, Standing.CANDIDATE: 1, Standing.UNKNOWN: 0}
_PROVIDERS = ("huggingface", "civitai")
_CIVITAI_TYPES = {
    "Checkpoint": "checkpoint",
    "LORA": "lora",
    "LoCon": "lora",
    "DoRA": "lora",
    "VAE": "vae",
    "Controlnet": "controlnet",
    "TextualInversion": "embedding",
    "Upscaler": "upscaler",
}
"""Civitai's words (``ModelType`` of its Prisma schema) for those that mean one of ours."""


def enriched(manifest: Manifest, matches: Sequence[Match], *, at: str) -> Manifest:
    """The manifest with what the matches tell; the same object where they tell nothing new.

    Args:
        matches: of the whole model; those that are ``candidate`` only name a place to look at and
            fill no field.
        at: when, for what a match has no time of its own for.
    """
    best = max(matches, key=_order, default=None)
    if best is None:
        return manifest
    identity = _identity(best)
    if not is_better(identity, manifest.identity):
        identity = manifest.identity
    facts = dict(manifest.facts)
    for match in reversed(_voices(matches, identity)):
        if match.status is not Standing.CANDIDATE:
            for name, value in _fields(match).items():
                fact = Fact(
                    value, match.provider, match.fetched_at or at, match.evidence, _sure(match)
                )
                if may_replace(fact, facts.get(name)):
                    facts[name] = fact
    found = replace(manifest, identity=identity, facts=facts)
    return manifest if found == manifest else found


def _voices(matches: Sequence[Match], identity: Identity) -> list[Match]:
    """One match of each provider, best first; of that of the identity the one of its place.

    The same bytes may lie in many repositories, and what their cards say must not be mixed.
    """
    voices: dict[str, Match] = {}
    for match in sorted(matches, key=_order, reverse=True):
        if match.provider == identity.provider and match.repo_id != identity.repo_id:
            continue
        voices.setdefault(match.provider, match)
    return list(voices.values())


def is_better(new: Identity, old: Identity) -> bool:
    """Whether ``new`` may take the place of ``old``: surer, or as sure and of the same place.

    A verified identity stays when another place is found to publish the same bytes: copies of a
    repository are made every day, and which one comes first in a search is chance. A repository
    says more than a bare address.
    """
    ranks = {str(standing): rank for standing, rank in _RANK.items()}
    new_rank, old_rank = ranks.get(new.status, 0), ranks.get(old.status, 0)
    if new_rank != old_rank:
        return new_rank > old_rank
    if new.status == Standing.VERIFIED:
        is_same = (new.provider, new.repo_id) == (old.provider, old.repo_id)
        return is_same or (old.provider == WEB and new.repo_id is not None)
    return new.repo_id is not None


def _order(match: Match) -> tuple[int, int]:
    place = _PROVIDERS.index(match.provider) if match.provider in _PROVIDERS else len(_PROVIDERS)
    return _RANK[match.status], -place


def _identity(match: Match) -> Identity:
    return Identity(
        status=match.status.value,
        provider=match.provider,
        repo_id=match.repo_id,
        revision=match.revision,
        path=match.path,
        evidence=match.evidence,
    )


def _sure(match: Match) -> Confidence:
    return Confidence.CERTAIN if match.status is Standing.VERIFIED else Confidence.LIKELY


def _fields(match: Match) -> Mapping[str, JsonValue]:
    """The facts of a match, with what Civitai calls a type in our words."""
    fields = {name: value for name, value in match.facts.items() if value not in (None, "", [])}
    kind = _CIVITAI_TYPES.get(str(fields.pop("civitai_type", None)))
    if kind is not None:
        fields["type"] = kind
    if match.url is not None and match.status is Standing.VERIFIED:
        fields["page"] = match.url
    return fields


def may_replace(new: Fact, old: Fact | None) -> bool:
    """Whether what one says of a field may take the place of what another said."""
    if old is None:
        return True
    if old.source == new.source:
        # The same voice: what it says now, if that is as sure and says anything else at all.
        return _trust(new) >= _trust(old) and new.value != old.value
    return _trust(new) > _trust(old)


def _trust(fact: Fact) -> int:
    if fact.source in ("file content", "file name"):
        is_certain = fact.source == "file content" and fact.sure in (None, Confidence.CERTAIN)
        return 5 if is_certain else 2
    if fact.sure is not Confidence.CERTAIN:
        return 1
    return 4 if fact.source == "huggingface" else 3
