"""Which files of which repositories a local file may be, by size, digest and name."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from modelcellar.hf.names import NameParts, parse_name
from modelcellar.origins import Listing, Match, RepoFile, Standing, Subject

__all__ = ["last_part", "rank", "verify_hash_match"]

PROVIDER = "huggingface"

_SAME_NAME, _SAME_KIND, _SAME_BASE, _OTHER_NAME = 3, 2, 1, 0
_NAME_WORDS = {
    _SAME_NAME: "the same name",
    _SAME_KIND: "the same model and quantisation by its name",
    _SAME_BASE: "the same model by its name",
    _OTHER_NAME: "another name",
}


@dataclass(frozen=True, slots=True)
class _Candidate:
    """One published file that may be the subject. ``order`` is that of the listings."""

    listing: Listing
    file: RepoFile
    likeness: int
    is_verified: bool
    differs: bool
    order: int

    def key(self) -> tuple[bool, bool, int, int, str]:
        """Best first."""
        return (not self.is_verified, self.differs, -self.likeness, self.order, self.file.path)


def verify_hash_match(subject: Subject, file: RepoFile) -> bool:
    """Whether digests prove that ``file`` has the very bytes of ``subject``.

    The published SHA-256 counts. A file that has none is kept in git itself, and is proved by
    git's own name for its bytes, which takes an equal size as well.
    """
    if subject.size_bytes is not None and subject.size_bytes != file.size_bytes:
        return False
    if file.sha256 is not None:
        return subject.sha256 is not None and subject.sha256 == file.sha256
    is_named = subject.git_sha1 is not None and subject.git_sha1 == file.git_sha1
    return is_named and subject.size_bytes is not None


def rank(subject: Subject, listings: Sequence[Listing]) -> tuple[Match, ...]:
    """What ``subject`` may be of all that ``listings`` hold, the best answer first.

    Only an equal digest makes one ``verified``. A file of another size is none; one of another
    digest is a candidate only because of its name, and its evidence says so.
    """
    parts = parse_name(subject.name)
    found = [
        candidate
        for order, listing in enumerate(listings)
        for candidate in _candidates(subject, parts, listing, order)
    ]
    return tuple(_match(subject, candidate) for candidate in sorted(found, key=_Candidate.key))


def _candidates(
    subject: Subject, parts: NameParts, listing: Listing, order: int
) -> Iterator[_Candidate]:
    for file in listing.files:
        if subject.size_bytes is not None and subject.size_bytes != file.size_bytes:
            continue
        is_verified = verify_hash_match(subject, file)
        differs = not is_verified and _differs(subject, file)
        likeness = _likeness(subject, parts, file)
        # An equal size with nothing against it may be a file that somebody has renamed.
        is_renamed = subject.size_bytes is not None and not differs
        if is_verified or likeness > _OTHER_NAME or is_renamed:
            yield _Candidate(listing, file, likeness, is_verified, differs, order)


def _differs(subject: Subject, file: RepoFile) -> bool:
    """Whether digests prove that the bytes are others."""
    ours, published = subject.sha256, file.sha256
    if published is None:
        ours, published = subject.git_sha1, file.git_sha1
    return ours is not None and published is not None and ours != published


def _likeness(subject: Subject, parts: NameParts, file: RepoFile) -> int:
    if last_part(file.path) == last_part(subject.name):
        return _SAME_NAME
    other = parse_name(file.path)
    if parts.extension != other.extension or _spelled(parts) != _spelled(other):
        return _OTHER_NAME
    ours = (parts.quantisation, parts.precision, parts.shard, parts.is_mmproj)
    theirs = (other.quantisation, other.precision, other.shard, other.is_mmproj)
    return _SAME_KIND if ours == theirs else _SAME_BASE


def last_part(path: str) -> str:
    """The name of a file, as names are compared."""
    return path.rpartition("/")[2].lower()


def _spelled(parts: NameParts) -> str:
    return parts.titled.lower().replace("_", "-").replace(" ", "-")


def _match(subject: Subject, candidate: _Candidate) -> Match:
    file, listing = candidate.file, candidate.listing
    return Match(
        provider=PROVIDER,
        status=Standing.VERIFIED if candidate.is_verified else Standing.CANDIDATE,
        evidence=_evidence(subject, candidate),
        repo_id=listing.repo_id,
        revision=listing.commit,
        path=file.path,
        sha256=file.sha256,
        size_bytes=file.size_bytes,
        facts={} if file.scan is None else {"scan": file.scan},
        fetched_at=listing.fetched_at,
    )


def _evidence(subject: Subject, candidate: _Candidate) -> str:
    if candidate.is_verified:
        kind = "git name" if candidate.file.sha256 is None else "SHA-256"
        return f"its {kind} equals the published one"
    words = _NAME_WORDS[candidate.likeness]
    if subject.size_bytes is not None:
        words += " and the same size"
    if candidate.differs:
        return f"{words}, but the published digest differs: these are not the same bytes"
    is_published = candidate.file.sha256 is not None
    missing = "not compared" if is_published else "there is no published SHA-256"
    return f"{words}; digest: {missing}"
