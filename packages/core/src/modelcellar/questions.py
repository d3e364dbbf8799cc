"""From models to questions about the origin of their files, and from answers back to a model."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from modelcellar.errors import CellarError
from modelcellar.formats import inspect_file
from modelcellar.identification import Identification, Question
from modelcellar.manifest import Manifest
from modelcellar.origins import Claim, Match, Standing, Subject
from modelcellar.records import ErrorInfo, FileRecord, Inspection, JsonValue

__all__ = ["about_file", "about_model", "git_name", "git_sha1", "of_whole_model", "weights"]

MAX_GIT_BYTES = 10 << 20
"""What is larger has to be an LFS object on the Hub, and those have a SHA-256."""
_PIECE = 1 << 20

_Place = tuple[str, str, str | None]
"""Provider, repository and commit."""


def about_file(
    path: Path | None,
    record: FileRecord,
    *,
    model: str = "",
    inspection: Inspection | None = None,
    claims: tuple[Claim, ...] = (),
) -> Question:
    """The question about a file whose digests are known, unless it was adopted and not read yet.

    Args:
        path: where its bytes are, which a small one is read from once more, for git's name of it;
            ``None`` where they cannot be read any more.
        record: its name and digests.
        model: the name of the model that it is a part of, which says more than its own where that
            is one of thousands (``model.safetensors``).
        inspection: what its bytes tell; read from its beginning where that is not given.
        claims: what other tools wrote down about it.

    Raises:
        OSError: the file cannot be read.
    """
    return Question(
        Subject(
            name=f"{model}/{record.path}" if model else PurePosixPath(record.path).name,
            size_bytes=record.size_bytes,
            sha256=record.digests.sha256 if record.digests is not None else None,
            blake3=record.digests.blake3 if record.digests is not None else None,
            tensor_sha256=record.tensor_sha256,
            autov1=record.autov1,
            git_sha1=None if path is None else git_sha1(path, record.size_bytes),
            format=record.format.value,
            facts=inspection.facts if inspection is not None else _facts(path),
        ),
        claims,
    )


def about_model(found: Manifest, folder: Path) -> Iterator[Question]:
    """A question about each file that counts for what the model is.

    Raises:
        OSError: a file cannot be read.
    """
    # As it came in: what the user calls it now is for nobody else.
    name = found.facts.get("name")
    for record in weights(found):
        yield about_file(
            folder / record.path, record, model=str(name.value) if name is not None else ""
        )


def weights(found: Manifest) -> tuple[FileRecord, ...]:
    """The files whose origin is that of the model; what lies beside them may be anybody's."""
    return tuple(file for file in found.files if not file.is_companion)


def git_sha1(path: Path, size_bytes: int) -> str | None:
    """Git's name for these bytes; ``None`` for what is too large to need it.

    Raises:
        OSError: the file cannot be read.
    """
    return None if size_bytes > MAX_GIT_BYTES else git_name(path, size_bytes)


def git_name(path: Path, size_bytes: int) -> str:
    """Git's name for a blob with these bytes (gitformat-pack(5)), however many they are.

    Raises:
        OSError: the file cannot be read.
    """
    blob = hashlib.sha1(b"blob %d\0" % size_bytes, usedforsecurity=False)
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            blob.update(piece)
    return blob.hexdigest()


def of_whole_model(
    records: Sequence[FileRecord], answers: Sequence[Identification]
) -> tuple[tuple[Match, ...], ErrorInfo | None]:
    """What the answers about its files say of a model, best first, and why they may not be all.

    A model of several files is proved only where one place publishes all of them together: in one
    commit of one repository.
    """
    pending = next((one.pending for one in answers if one.pending is not None), None)
    if len(answers) == 1:
        return answers[0].matches, pending
    places: Counter[_Place] = Counter()
    first: dict[_Place, tuple[Match, FileRecord]] = {}
    worst: dict[_Place, Standing] = {}
    for record, answer in zip(records, answers, strict=True):
        for match in _one_each(answer.matches):
            place = (match.provider, str(match.repo_id), match.revision)
            places[place] += 1
            first.setdefault(place, (match, record))
            if match.status is not Standing.VERIFIED:
                worst[place] = match.status
    found = []
    for place, count in places.most_common():
        match, record = first[place]
        status = worst.get(place, Standing.VERIFIED)
        if count < len(answers):
            status = Standing.CANDIDATE
        evidence = f"{count} of {len(answers)} files: {match.evidence}"
        found.append(replace(match, status=status, evidence=evidence, path=_folder(match, record)))
    order = [Standing.VERIFIED, Standing.CLAIMED, Standing.CANDIDATE, Standing.UNKNOWN]
    return tuple(sorted(found, key=lambda one: order.index(one.status))), pending


def _one_each(matches: Sequence[Match]) -> Iterator[Match]:
    """The best match of each place: a repository may hold a file twice."""
    seen = set()
    for match in matches:
        place = (match.provider, match.repo_id, match.revision)
        if match.repo_id is not None and place not in seen:
            seen.add(place)
            yield match


def _folder(match: Match, record: FileRecord) -> str | None:
    """Where in the repository the model's own folder is; ``None`` for its top."""
    path = match.path or ""
    if path == record.path:
        return None
    if path.endswith(f"/{record.path}"):
        return path.removesuffix(f"/{record.path}")
    return path.rpartition("/")[0] or None  # under another name


def _facts(path: Path | None) -> Mapping[str, JsonValue]:
    try:
        return {} if path is None else inspect_file(path).facts
    except CellarError:
        return {}
