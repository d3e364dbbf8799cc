"""From files that have come to models that are staged: content folders, digests, and the origin.

Nobody has to be asked where they are from: they were published there, and have the digests that
were published.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from modelcellar import naming
from modelcellar.bookkeeping import StagedModel
from modelcellar.content import describe, file_records, hash_ranges
from modelcellar.downloads.provenance import proved_origin, with_card
from modelcellar.errors import WrongContentError
from modelcellar.io import hashing
from modelcellar.questions import git_name
from modelcellar.records import CopyJob, HashedFile, ModelType
from modelcellar.remotes import Remote, RemoteFile
from modelcellar.sources import NotTaken, Source, SourceFile
from modelcellar.sources.repository import split_repository
from modelcellar.store import Staging

__all__ = ["Arrived", "Assembled", "assemble"]


@dataclass(frozen=True, slots=True)
class Arrived:
    """A file that lies under its path in the folder of the repository.

    ``hashed`` are its digests, ``None`` where nobody has read it here; ``ranges`` the byte ranges
    that those of ``hashed.range_sha256`` are of.
    """

    path: str
    hashed: HashedFile | None
    origin: RemoteFile
    ranges: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Assembled:
    """A model that is ready to be published, and what it was made of: where that lay."""

    source: Source
    model: StagedModel


def assemble(
    whole: Path,
    arrived: Sequence[Arrived],
    remote: Remote,
    *,
    staging: Staging,
    name: str | None = None,
    model_type: ModelType | None = None,
    at: str,
) -> list[Assembled | NotTaken]:
    """Make models of the files in ``whole``, which are moved out of it.

    The files of what is not taken stay there.

    Args:
        whole: the folder of the repository, on the disk of ``staging``; it holds these files only.
        arrived: the files, each once; at least one.
        remote: where they are from.
        staging: where the content of models is put.
        name: what the user calls each model.
        model_type: what the user says that each is.
        at: the present instant, as in manifests.

    Raises:
        WrongContentError: a file is not what was published. Nothing was moved.
        OSError: a file cannot be read or copied, and nothing was moved; or it cannot be moved.
    """
    items = split_repository(whole, [one.path for one in arrived], title=remote.title)
    origins = {one.path: one for one in arrived}
    sources = [item for item in items if isinstance(item, Source)]
    hashed = {file.path: found for file, found in _hashed(sources, origins)}
    told = with_card(remote, whole)
    models: dict[Path, Assembled] = {}
    for source in sources:
        records = file_records(source.files, [hashed[file.path] for file in source.files])
        content = staging.new_folder()
        model = describe(source, records, content, name=name, model_type=model_type, at=at)
        published = {one.path: origins[one.path].origin for one in records}
        manifest = proved_origin(model.manifest, published, told, at=at)
        models[source.path] = Assembled(source, replace(model, manifest=manifest))
    _fill([(one.source, one.model.content) for one in models.values()])
    return [models[item.path] if isinstance(item, Source) else item for item in items]


def _hashed(
    sources: Sequence[Source], arrived: Mapping[str, Arrived]
) -> Iterator[tuple[SourceFile, HashedFile]]:
    """The digests of each file as it is used first; read where they are not known as needed.

    Raises:
        WrongContentError: one is not what was published.
    """
    done: set[Path] = set()
    for file in (file for source in sources for file in source.files):
        if file.path in done:
            continue
        done.add(file.path)
        one = arrived[file.relative]
        ranges = hash_ranges(file)
        if one.hashed is None or not _has_ranges(one, ranges):
            hashed = hashing.hash_file(file.path, ranges=ranges)
        else:
            hashed = one.hashed
        _check(file, hashed, one)
        yield file, hashed


def _has_ranges(one: Arrived, ranges: Sequence[tuple[int, int]]) -> bool:
    assert one.hashed is not None
    return list(one.ranges) == list(ranges) and len(one.hashed.range_sha256) == len(ranges)


def _check(file: SourceFile, hashed: HashedFile, one: Arrived) -> None:
    """What the transfer has checked is checked once more where it costs nothing."""
    expected, actual = one.origin.sha256, hashed.digests.sha256
    if expected is None and one.hashed is None and one.origin.git_sha1 is not None:
        expected = one.origin.git_sha1
        actual = git_name(file.path, file.stamp.size_bytes)
    if expected not in (None, actual):
        raise WrongContentError(
            f"{naming.display(one.path)} is not what was published",
            "Download it again.",
            expected=str(expected),
            actual=actual,
        )


def _fill(contents: Sequence[tuple[Source, Path]]) -> None:
    """Put files where their models have them: all copies first, for those that several have."""
    uses = Counter(file.path for source, _ in contents for file in source.files)
    jobs: list[CopyJob] = []
    moves: list[tuple[Path, Path]] = []
    for source, content in contents:
        for file in source.files:
            target = content / file.relative
            target.parent.mkdir(parents=True, exist_ok=True)
            uses[file.path] -= 1
            if uses[file.path]:
                jobs.append(CopyJob(file.path, target))
            else:
                moves.append((file.path, target))
    for found in hashing.copy_many(jobs) if jobs else ():
        if isinstance(found, OSError):
            raise found
    for path, target in moves:
        path.rename(target)
