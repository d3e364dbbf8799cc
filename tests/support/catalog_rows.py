"""Rows for a catalog without the files that they stand for."""

from collections.abc import Mapping, Sequence

from modelcellar import manifest as manifests
from modelcellar.index import CatalogRow
from modelcellar.manifest import Fact, Manifest
from modelcellar.records import Digests, FileFormat, FileRecord, JsonValue

AT = "2030-01-01T00:00:00Z"


def made_manifest(
    number: int,
    values: Mapping[str, JsonValue],
    paths: Sequence[str],
    *,
    size_bytes: int = 1000,
    file_format: FileFormat = FileFormat.SAFETENSORS,
) -> Manifest:
    """The manifest of a made-up model; nothing is said of a field whose value is empty.

    ``size_bytes`` are those of each file. The id and the digests come from ``number``.
    """
    digest = f"{number:08x}" * 8
    digests = Digests(blake3=digest, sha256=digest)
    return Manifest(
        id=f"model-{number:08x}",
        content_digest=digest,
        added_at=AT,
        files=tuple(FileRecord(path, size_bytes, digests, file_format) for path in paths),
        facts={name: Fact(value, "file name", AT) for name, value in values.items() if value},
    )


def catalog_row(number: int, values: Mapping[str, JsonValue], paths: Sequence[str]) -> CatalogRow:
    """The row of :func:`made_manifest`."""
    manifest = made_manifest(number, values, paths)
    return CatalogRow(manifest, manifests.encode(manifest), number)
