"""The applications that are given links, in ``apps.json`` beside the ledger."""

import json
import secrets
from collections.abc import Sequence
from pathlib import Path

from modelcellar.errors import LibraryFormatError
from modelcellar.io import hashing
from modelcellar.io.trees import write_file
from modelcellar.link_records import App, LinkKind
from modelcellar.naming import from_json_path, to_json_path
from modelcellar.records import JsonValue

__all__ = ["app_from_json", "app_to_json", "read_apps", "write_apps"]

FORMAT = 1


def read_apps(path: Path) -> tuple[App, ...]:
    """The applications in the file ``path``, by name; none where there is no file.

    Raises:
        LibraryFormatError: it was made by a newer version, or it cannot be read.
    """
    try:
        document = json.loads(path.read_bytes())
        if document["format"] > FORMAT:
            raise ValueError(f"format {document['format']} is newer than {FORMAT}")
        apps = [app_from_json(one) for one in document["apps"]]
    except FileNotFoundError:
        return ()
    except (AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        raise LibraryFormatError(
            f"{path} is no list of applications: {error!r}",
            "Move it away and add the applications again; their links are kept.",
        ) from error
    return tuple(sorted(apps, key=lambda app: app.name))


def write_apps(path: Path, apps: Sequence[App]) -> None:
    """Replace the list durably, in one step."""
    document = {"format": FORMAT, "apps": [app_to_json(app) for app in apps]}
    staged = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    write_file(staged, (json.dumps(document, indent=1) + "\n").encode())
    try:
        hashing.publish([(staged, path)], replace=True)
    finally:
        staged.unlink(missing_ok=True)


def app_to_json(app: App) -> dict[str, JsonValue]:
    """An application as data; ``link`` is None for the preset's own order."""
    return {
        "name": app.name,
        "preset": app.preset,
        **{key.replace("path", "root"): text for key, text in to_json_path(str(app.root)).items()},
        "link": None if app.link is None else app.link.value,
        "only": app.only,
        "folders": dict(app.folders),
        "added_at": app.added_at,
    }


def app_from_json(document: dict[str, JsonValue]) -> App:
    """What :func:`app_to_json` wrote.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: it did not.
    """
    link, folders = document["link"], document["folders"]
    root = {key.replace("root", "path"): text for key, text in document.items()}
    if not isinstance(folders, dict):
        raise TypeError(f"folders are {folders!r}")
    return App(
        name=_text(document["name"]),
        preset=_text(document["preset"]),
        root=Path(from_json_path(root)),
        link=None if link is None else LinkKind(_text(link)),
        only=_text(document["only"]),
        folders={key: _text(folder) for key, folder in folders.items()},
        added_at=_text(document["added_at"]),
    )


def _text(value: JsonValue) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a text")
    return value
