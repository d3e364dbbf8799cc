"""What is found in folders, in a form that is easy to compare."""

from pathlib import Path

from modelcellar.sources import NotTaken, Source, find_sources


def found(*paths: Path) -> dict[str, list[str]]:
    """Name of each source -> its files, companions in brackets; kinds of what is not taken."""
    shown: dict[str, list[str]] = {}
    for item in find_sources(paths):
        if isinstance(item, Source):
            names = [
                f"[{one.relative}]" if one.is_companion else one.relative for one in item.files
            ]
            assert item.name not in shown
            shown[item.name] = names
        else:
            shown.setdefault(f"{item.kind} {item.error.code}", []).append(item.path.name)
    return shown


def refusal(*paths: Path) -> NotTaken:
    """The one thing found there, which is not taken."""
    [item] = find_sources(paths)
    assert isinstance(item, NotTaken)
    return item
