"""What other tools wrote down about files that nobody has read yet: told, and never believed."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from modelcellar.bookkeeping import StagedModel
from modelcellar.origins import Claim, Standing
from modelcellar.providers.local_records import claims_for
from modelcellar.records import FileRecord, Identity
from modelcellar.sources import Source, SourceFile

__all__ = [
    "Claims",
    "claimed_identity",
    "claims_about",
    "digest_claim",
    "unread_record",
    "with_claims",
]

Claims = Mapping[str, tuple[Claim, ...]]
"""The claims about each file of a source, by its name inside the model."""


def claims_about(source: Source) -> Claims:
    """What other tools wrote down about each file that counts for what the model is."""
    return {
        file.relative: () if file.is_companion else claims_for(file.path) for file in source.files
    }


def unread_record(file: SourceFile, claims: Sequence[Claim]) -> FileRecord:
    """A file of a model that nobody has read whole: without digests, with what is said of them."""
    told = digest_claim(file, claims)
    return FileRecord(
        path=file.relative,
        size_bytes=file.stamp.size_bytes,
        digests=None,
        format=file.inspection.format,
        is_companion=file.is_companion,
        claimed_sha256=told.sha256 if told is not None else None,
        claimed_by=told.tool if told is not None else None,
    )


def digest_claim(file: SourceFile, claims: Sequence[Claim]) -> Claim | None:
    """The first claim with a SHA-256 that is not of a file of another size."""
    sizes = (None, file.stamp.size_bytes)
    return next((one for one in claims if one.sha256 and one.size_bytes in sizes), None)


def with_claims(model: StagedModel, source: Source) -> StagedModel:
    """``model`` with the origin that other tools wrote down, where nobody else is asked.

    A record whose SHA-256 is not the file's is about another file.
    """
    digests = {file.path: file.known_digests.sha256 for file in model.manifest.files}
    claims = {
        path: tuple(one for one in found if one.sha256 in (None, digests[path]))
        for path, found in claims_about(source).items()
    }
    identity = claimed_identity(source, claims)
    return replace(model, manifest=replace(model.manifest, identity=identity))


def claimed_identity(source: Source, claims: Claims) -> Identity:
    """Where the model is said to be from: by the records about its biggest file."""
    lead = max(source.weights, key=lambda file: file.stamp.size_bytes)
    said = next(iter(claims[lead.relative]), None)
    if said is None:
        return Identity()
    return Identity(
        status=Standing.CLAIMED.value,
        provider=said.provider,
        repo_id=said.repo_id,
        revision=said.revision,
        path=said.path if len(source.weights) == 1 else None,
        evidence=said.evidence,
    )
