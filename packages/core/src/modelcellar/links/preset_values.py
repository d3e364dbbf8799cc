"""What a preset is, once it is read: how one kind of application wants its models laid out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from modelcellar.link_records import LinkKind
from modelcellar.records import JsonValue

__all__ = ["ANY_TYPE", "Collision", "Preset", "RootRule", "Rule", "Shape", "Unit"]

ANY_TYPE = "*"
"""In ``folders`` and ``units``: every model type without an entry of its own."""


class Unit(StrEnum):
    """What a model becomes: files among others, or a folder of its own with files in it."""

    FILE = "file"
    FOLDER = "folder"


class Shape(StrEnum):
    """What a model is made of, companions aside.

    ``single``: one file. ``set``: files of weights side by side, such as a GGUF with its projector;
    ``parts``: the same, some of them numbered parts of one. ``folder``: anything else, with names
    that loaders go by.
    """

    SINGLE = "single"
    SET = "set"
    PARTS = "parts"
    FOLDER = "folder"


class Collision(StrEnum):
    """What an application knows files by: the whole path, or the name without its extension."""

    PATH = "path"
    STEM = "stem"


@dataclass(frozen=True, slots=True)
class RootRule:
    """How the folder of an installation is found.

    ``hint`` says in words which folder is meant. One of ``marks`` (relative paths) is in every
    such folder. ``places`` are where it often is; ``~`` and ``$NAME`` stand for what they do in a
    shell, and a place with a variable that is not set does not count.
    """

    hint: str = ""
    marks: tuple[str, ...] = ()
    places: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rule:
    """Where models go that meet all of its conditions; ``folder`` "" takes them away.

    ``when`` is a search query without ``or``, ``kind`` what the bytes say the model is in
    particular (``tiny VAE``), ``shapes`` what it may be made of. ``unit`` and ``extensions`` are
    None for those of the preset or the type.
    """

    folder: str
    when: str = ""
    kind: str = ""
    shapes: tuple[Shape, ...] = ()
    unit: Unit | None = None
    extensions: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Preset:
    """How one kind of application wants its models laid out (``docs/presets.md``).

    Attributes:
        folders: model type, or ``*``, to a folder inside the root.
        units: model type, or ``*``, to what it becomes there; ``file`` where nothing is said.
        rules: exceptions; the more conditions, the more specific, and the specific wins.
        extensions: in lower case with the dot; empty for any.
        takes: model type to the extensions that count for it instead.
        hidden: beginnings of file names that the application passes over.
        shapes: what a model may be made of that the application can load.
        shared: folders in which one name is one model; the first that holds it wins.
        links: allowed kinds, the best first.
        rewrites: the application writes into model files.
        companions: endings of files beside the weights that go along, as files of their own.
        projectors: the folder for ``mmproj`` files, where it is not that of their model.
        options: whatever a layout of its own wants to know.
    """

    name: str
    title: str
    layout: str = "folders"
    root: RootRule = field(default_factory=RootRule)
    folders: Mapping[str, str] = field(default_factory=dict)
    units: Mapping[str, Unit] = field(default_factory=dict)
    rules: tuple[Rule, ...] = ()
    extensions: tuple[str, ...] = ()
    takes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    hidden: tuple[str, ...] = ()
    shapes: tuple[Shape, ...] = tuple(Shape)
    shared: tuple[tuple[str, ...], ...] = ()
    links: tuple[LinkKind, ...] = (LinkKind.SYMLINK, LinkKind.HARDLINK, LinkKind.REFLINK)
    collision: Collision = Collision.PATH
    rewrites: bool = False
    companions: tuple[str, ...] = ()
    projectors: str = ""
    hazards: tuple[str, ...] = ()
    options: Mapping[str, JsonValue] = field(default_factory=dict)
