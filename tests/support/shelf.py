"""A small library as layouts see it: real files, a real catalog, and what an app gets of it."""

import hashlib
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from modelcellar import manifest as manifests
from modelcellar import naming
from modelcellar.index import Catalog, CatalogRow
from modelcellar.io.platform import create_link, what_works, write_new
from modelcellar.link_records import App, LinkKind, Unplaced, Wish
from modelcellar.links.layouts import wishes_of
from modelcellar.links.place import Place
from modelcellar.links.presets import Preset
from modelcellar.manifest import Fact, Manifest
from modelcellar.records import Digests, FileFormat, FileRecord, Identity, ModelRecord, ModelType
from modelcellar.search.conditions import where_of
from modelcellar.search.index_text import search_text
from modelcellar.search.parser import parse_query

FORMATS = {
    ".safetensors": FileFormat.SAFETENSORS,
    ".sft": FileFormat.SAFETENSORS,
    ".gguf": FileFormat.GGUF,
    ".onnx": FileFormat.ONNX,
    ".pth": FileFormat.TORCH_ZIP,
    ".pt": FileFormat.TORCH_ZIP,
    ".ckpt": FileFormat.TORCH_ZIP,
    ".bin": FileFormat.TORCH_ZIP,
}


@dataclass
class Shelf:
    """Models on a shelf, and the applications that are given them."""

    root: Path
    models: list[ModelRecord] = field(default_factory=list)

    def add(
        self,
        model_type: ModelType,
        *paths: str,
        name: str | None = None,
        companions: Sequence[str] = (),
        kind: str = "",
        family: str = "",
        repo_id: str | None = None,
        same: Sequence[str] = (),
        added: int | None = None,
    ) -> ModelRecord:
        """One more model of files with some content of their own.

        ``same`` are those whose content is that of every file of that name; ``added`` is which in
        turn the model came in, if not the last.
        """
        number = len(self.models) if added is None else added
        files = [
            self._record(path, path if path in same else f"{len(self.models)} {path}", is_companion)
            for some, is_companion in ((paths, False), (companions, True))
            for path in some
        ]
        digest = hashlib.sha256(repr(files).encode("utf-8", "surrogateescape")).hexdigest()
        shown = name or PurePosixPath(paths[0]).stem
        values = {"name": shown, "type": model_type.value, "format": files[0].format.value}
        values |= {key: value for key, value in (("kind", kind), ("family", family)) if value}
        manifest = Manifest(
            id=naming.model_id(naming.display(shown), digest),
            content_digest=digest,
            added_at=f"2030-01-01T00:{number // 60:02}:{number % 60:02}Z",
            files=tuple(files),
            facts={key: Fact(naming.display(value), "x", "x") for key, value in values.items()},
            identity=Identity(provider="huggingface", repo_id=repo_id) if repo_id else Identity(),
        )
        self._manifests.append(manifest)
        model = manifests.to_record(manifest)
        self.models.append(model)
        for file in files:
            path = self.place.content_path(model.id) / file.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self._contents[file.digests.sha256])
        return model

    @property
    def place(self) -> Place:
        return Place(self.root, self.find)

    def find(self, text: str) -> list[str]:
        """What a search in the catalog of these models is true of."""
        folder = self.root / "catalog"
        folder.mkdir(parents=True, exist_ok=True)
        where = where_of(parse_query(text), datetime.now(UTC))
        condition = f"WHERE {where.sql}" if where.sql else ""
        statement = f"SELECT {where.rowid} FROM {where.source} {condition}"
        with closing(Catalog(folder / "catalog.db", search_text=search_text)) as catalog:
            new = self._manifests[self._known :]
            with catalog.transaction():
                catalog.put(CatalogRow(one, manifests.encode(one), 0) for one in new)
            self._known = len(self._manifests)
            return catalog.ids(f"SELECT id FROM models WHERE rowid IN ({statement})", *where.values)

    def wishes(self, app: App, preset: Preset) -> list[Wish | Unplaced]:
        return list(wishes_of(app, preset, self.models, self.place))

    def give(self, app: App, preset: Preset) -> list[Unplaced]:
        """Make every link that an app should have, of the best kind; what it does not get."""
        unplaced = []
        for wish in self.wishes(app, preset):
            if isinstance(wish, Unplaced):
                unplaced.append(wish)
                continue
            wish.target.parent.mkdir(parents=True, exist_ok=True)
            if wish.content is not None:
                write_new(wish.target, wish.content)
                continue
            works = what_works(self.root, wish.target.parent)
            kind = next(kind for kind in wish.kinds if kind in works)
            create_link(self.place.content_path(wish.model_id) / wish.path, wish.target, kind)
        return unplaced

    _manifests: list[Manifest] = field(default_factory=list)
    _contents: dict[str, bytes] = field(default_factory=dict)
    _known: int = 0

    def _record(self, path: str, text: str, is_companion: bool) -> FileRecord:
        content = text.encode("utf-8", "surrogateescape")
        sha256 = hashlib.sha256(content).hexdigest()
        self._contents[sha256] = content
        found = FORMATS.get(PurePosixPath(path).suffix.lower(), FileFormat.UNKNOWN)
        digests = Digests(blake3=sha256, sha256=sha256)
        return FileRecord(
            path,
            len(content),
            digests,
            FileFormat.UNKNOWN if is_companion else found,
            is_companion=is_companion,
        )


def app_at(
    root: Path,
    preset: str = "comfyui",
    *,
    link: LinkKind | None = None,
    folders: dict[str, str] | None = None,
) -> App:
    """An installation of an application at ``root``."""
    return App("app", preset, root, link=link, folders=folders or {})
