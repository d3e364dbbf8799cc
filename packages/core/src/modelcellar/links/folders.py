"""The layout ``folders``: every type of model has a folder, and files keep their names.

A model of one file becomes a file. The files of one of several stay siblings under their own
names. A model that becomes a folder becomes a real one, with the files in it: a link to a whole
folder would let an application change or delete what is in the library.
"""

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from modelcellar import naming
from modelcellar.link_records import App, Unplaced, Wish
from modelcellar.links.kinds import COMPANION_KINDS, link_kinds
from modelcellar.links.names import Claim, Names
from modelcellar.links.place import Place
from modelcellar.links.preset_values import Preset, Unit
from modelcellar.links.rules import Rules, Spot
from modelcellar.links.shapes import digest_of, main_files, shape_of
from modelcellar.records import FileRecord, ModelRecord

__all__ = ["wishes"]

NOBODY = "imported-models"
"""The publisher of a model whose repository is not known, as LM Studio calls it."""


def wishes(
    app: App, preset: Preset, models: Sequence[ModelRecord], place: Place
) -> Iterator[Wish | Unplaced]:
    """What should stand where, for all models of an app.

    It must see all of them, for their names: of two models with one name the older keeps it.

    Raises:
        UsageError: the app asks for a link that the preset does not allow, or for a folder that
            is none inside its root.
    """
    layout = _Layout(app, preset, place)
    for model in sorted(models, key=lambda model: (model.added_at, model.id)):
        yield from layout.wishes(model)


@dataclass(frozen=True, slots=True)
class _Named:
    """A file of a model, and where it is to stand in the application's root."""

    file: FileRecord
    path: str


class _Layout:
    def __init__(self, app: App, preset: Preset, place: Place) -> None:
        self._root = app.root
        self._preset = preset
        self._kinds = link_kinds(app, preset)
        self._rules = Rules(app, preset, place)
        folders = {*preset.folders.values(), *(rule.folder for rule in preset.rules)}
        folders |= {*self._rules.folders.values(), preset.projectors}
        self._names = Names(preset, [each for each in folders if each and "{" not in each])

    def wishes(self, model: ModelRecord) -> Iterator[Wish | Unplaced]:
        spot = self._rules.spot(model, shape_of(model))
        problem = spot if isinstance(spot, str) else self._problem(spot, model)
        if problem is not None or isinstance(spot, str):
            yield Unplaced(model.id, problem or "")
            return
        place = self._as_folder if spot.unit is Unit.FOLDER else self._as_files
        for named in place(spot, model):
            companion = named.file.is_companion
            yield Wish(
                target=self._root / named.path,
                model_id=model.id,
                path=named.file.path,
                kinds=COMPANION_KINDS if companion else self._kinds,
            )

    def _problem(self, spot: Spot, model: ModelRecord) -> str | None:
        """Why the application would not see the model there."""
        title, names = self._preset.title, [_basename(file) for file in main_files(model)]
        is_tree = spot.unit is Unit.FOLDER and len(names) > 1
        seen = [name for name in names if _is_seen(name, spot.extensions)]
        if not seen or (len(seen) < len(names) and not is_tree):
            other = next(name for name in names if name not in seen)
            ending = posixpath.splitext(other)[1] or "a name without an extension"
            return f"{title} takes {', '.join(spot.extensions)} there, not {ending}"
        hidden = self._preset.hidden
        passed = next((name for name in names if name.startswith(hidden)), None) if hidden else None
        if passed is not None:
            return f"{title} passes over names like {naming.display(passed)!r}"
        return None

    def _as_files(self, spot: Spot, model: ModelRecord) -> Iterator[_Named]:
        files = main_files(model)
        digest = digest_of(model)
        folder = _filled(spot.folder, model)
        claims = [
            Claim(self._folder_of(file, folder, files), _basename(file), file.digests.sha256)
            for file in files
        ]
        renamed: dict[str, Claim] = {}
        for file, claim in zip(files, self._names.give(claims, digest), strict=True):
            renamed[_basename(file)] = claim
            if self._names.is_new(claim):
                yield _Named(file, _joined(claim.folder, claim.name))
        for file in model.files:
            beside = self._companion(file, renamed) if file not in files else None
            if beside is not None and self._names.is_new(beside):
                yield _Named(file, _joined(beside.folder, beside.name))

    def _folder_of(self, file: FileRecord, folder: str, files: Sequence[FileRecord]) -> str:
        is_projector = len(files) > 1 and "mmproj" in _basename(file).lower()
        return self._preset.projectors or folder if is_projector else folder

    def _companion(self, file: FileRecord, renamed: Mapping[str, Claim]) -> Claim | None:
        """Where a companion goes: beside the file that it is named after, named after it again."""
        name = _basename(file)
        for old, new in renamed.items():
            for stem, new_stem in (
                (old, new.name),
                (posixpath.splitext(old)[0], posixpath.splitext(new.name)[0]),
            ):
                ending = name[len(stem) :]
                if name.startswith(stem) and ending.lower() in self._preset.companions:
                    return Claim(new.folder, new_stem + ending, file.digests.sha256)
        return None

    def _as_folder(self, spot: Spot, model: ModelRecord) -> Iterator[_Named]:
        files = main_files(model)
        top = _common_folder(files)
        home, name = posixpath.split(_filled(spot.folder, model))
        if "{" not in spot.folder:
            home, name = spot.folder, _folder_name(model)
        (claim,) = self._names.give([Claim(home or ".", name)], digest_of(model))
        for file in model.files:
            inside = file.path[len(top) :] if file.path.startswith(top) else _basename(file)
            if file in files or _ending_of(file, files) in self._preset.companions:
                yield _Named(file, _joined(claim.folder, claim.name, inside))


def _basename(file: FileRecord) -> str:
    return file.path.rpartition("/")[2]


def _joined(*parts: str) -> str:
    return posixpath.normpath(posixpath.join(*parts))


def _is_seen(name: str, extensions: Sequence[str]) -> bool:
    return not extensions or name.lower().endswith(tuple(extensions))


def _ending_of(companion: FileRecord, files: Sequence[FileRecord]) -> str:
    """What of a companion's path goes beyond that of the file it is named after."""
    for file in files:
        for stem in (file.path, posixpath.splitext(file.path)[0]):
            if companion.path.startswith(f"{stem}."):
                return companion.path[len(stem) :].lower()
    return ""


def _common_folder(files: Sequence[FileRecord]) -> str:
    """The folder that all files are in, with a slash at its end, or nothing."""
    folders = [file.path.rpartition("/")[0] for file in files]
    common = posixpath.commonpath(folders) if all(folders) else ""
    return f"{common}/" if common else ""


def _folder_name(model: ModelRecord) -> str:
    # A dot in front would hide it.
    return naming.portable_name(model.name.strip().lstrip(".")) if model.name else model.id


def _filled(folder: str, model: ModelRecord) -> str:
    """A folder with what stands in braces put in; each is one good name."""
    if "{" not in folder:
        return folder
    name = _folder_name(model)
    identity = model.identity
    repo_id = identity.repo_id if identity.provider == "huggingface" else None
    if repo_id is not None and naming.is_repo_id(repo_id):
        publisher, repository = repo_id.split("/")
    else:
        publisher, repository = NOBODY, name
    return folder.format_map({"name": name, "publisher": publisher, "repository": repository})
