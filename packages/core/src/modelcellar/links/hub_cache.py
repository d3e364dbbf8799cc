"""The layout ``hub_cache``: models by repository, commit and path, as the Hub's client keeps them.

Readers that are offline need ``refs/main`` and ``snapshots/<commit>/<path>`` and nothing else
(huggingface_hub 0.36 to 2.4). Each file of weights also stands at ``blobs/<SHA-256>``, where a
download of another commit with the same file looks for it. Both are links of their own to the
library's file: the client's manager follows a symlink of a snapshot and deletes what it leads to,
and takes a whole repository for corrupt when one leads nowhere. It only ever unlinks these.

``trees/<commit>.json`` is left out: where it lists a file that is not there, the client refuses.
"""

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from modelcellar import naming
from modelcellar.errors import UsageError
from modelcellar.link_records import App, LinkKind, Unplaced, Wish
from modelcellar.links.kinds import link_kinds
from modelcellar.links.place import Place
from modelcellar.links.preset_values import Preset
from modelcellar.links.rules import Rules
from modelcellar.links.shapes import main_files, shape_of
from modelcellar.records import FileFormat, FileRecord, ModelRecord

__all__ = ["wishes"]

HUB = "huggingface"
REFS_ORDER = 1
"""A reference to a commit without a snapshot makes the repository corrupt, so it comes last."""
_COMMIT = re.compile("[0-9a-f]{40}")


def wishes(
    app: App, preset: Preset, models: Sequence[ModelRecord], place: Place
) -> Iterator[Wish | Unplaced]:
    """What should stand in a cache, for all models of an app.

    Raises:
        UsageError: the app asks for a link that is not allowed, or that is never safe here.
    """
    kinds = tuple(kind for kind in link_kinds(app, preset) if kind is not LinkKind.SYMLINK)
    if not kinds:
        raise UsageError(
            f"{app.name}: no symlinks in a {preset.title}",
            "Its client deletes what they lead to. Use hardlink, reflink or copy.",
        )
    rules = Rules(app, preset, place)
    standing: set[Path] = set()
    newest: dict[Path, Wish] = {}
    for model in sorted(models, key=lambda model: (model.added_at, model.id)):
        spot = rules.spot(model, shape_of(model))
        origin = spot if isinstance(spot, str) else _origin(model)
        if isinstance(origin, str):
            yield Unplaced(model.id, origin)
            continue
        repository = app.root / origin.folder
        for path, file in origin.files.items():
            for target in _targets(repository, origin.commit, path, file):
                if target not in standing:
                    standing.add(target)
                    yield Wish(target, model.id, file.path, kinds)
        # Of several commits "main" is the one that came in last.
        main = repository / "refs/main"
        content = origin.commit.encode()
        if main not in newest or newest[main].content != content:
            newest[main] = Wish(main, model.id, content=content, order=REFS_ORDER)
    yield from newest.values()


@dataclass(frozen=True, slots=True)
class _Origin:
    """Where all files of a model are from; ``files`` by their paths in the repository."""

    repo_id: str
    commit: str
    files: Mapping[str, FileRecord]

    @property
    def folder(self) -> str:
        return "models--" + self.repo_id.replace("/", "--")


def _origin(model: ModelRecord) -> _Origin | str:
    """Where a model stands on the Hub, or in words why that is not known well enough.

    A claim with a commit comes from another cache of this kind, and is as good as that was.
    """
    identity = model.identity
    if identity.status not in ("verified", "claimed") or identity.provider != HUB:
        return f"where on the Hub it is from is not known: cellar enrich {model.id}"
    repo_id, commit = identity.repo_id or "", identity.revision or ""
    if not naming.is_repo_id(repo_id, bare=True) or _COMMIT.fullmatch(commit) is None:
        return f"it is of {repo_id or 'the Hub'}, but of which commit is not known"
    files = main_files(model)
    if len(files) == 1:
        paths = {identity.path or files[0].path: files[0]}
    else:
        paths = {posixpath.join(identity.path or "", file.path): file for file in files}
    odd = next((path for path in paths if naming.relative_path_problems(path)), None)
    if odd is not None:
        return f"its path on the Hub is no good name here: {naming.display(odd)}"
    return _Origin(repo_id, commit, paths)


def _targets(repository: Path, commit: str, path: str, file: FileRecord) -> Iterator[Path]:
    yield repository / f"snapshots/{commit}/{path}"
    # Small files go by git's name for them, and whether one is small is up to its repository.
    sha256 = getattr(file.digests, "sha256", None)
    if file.format is not FileFormat.UNKNOWN and sha256 is not None:
        yield repository / f"blobs/{sha256}"
