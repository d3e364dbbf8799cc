"""Says what a file that is no model is, by its first bytes, so that callers can pass over it."""

from modelcellar.formats import text

HEAD_BYTES = 64 * 1024

_MAGICS = (
    (b"\x89PNG\r\n\x1a\n", "image"),
    (b"\xff\xd8\xff", "image"),
    (b"GIF87a", "image"),
    (b"GIF89a", "image"),
    (b"II*\0", "image"),
    (b"MM\0*", "image"),
    (b"\0\0\1\0", "image"),
    (b"\xff\x0a", "image"),
    (b"\0\0\0\x0cJXL ", "image"),
    (b"\x1f\x8b\x08", "archive"),
    (b"7z\xbc\xaf\x27\x1c", "archive"),
    (b"Rar!\x1a\x07", "archive"),
    (b"\xfd7zXZ\0", "archive"),
    (b"BZh", "archive"),
    (b"\x28\xb5\x2f\xfd", "archive"),
    (b"%PDF-", "document"),
    (b"\x1aE\xdf\xa3", "video"),
    (b"OggS", "audio"),
    (b"fLaC", "audio"),
    (b"ID3", "audio"),
)
_RIFF = {b"WEBP": "image", b"WAVE": "audio", b"AVI ": "video"}
_STILL_BRANDS = {b"avif", b"avis", b"heic", b"heix", b"mif1"}


def kind_of(head: bytes, size_bytes: int) -> str | None:
    """``text``, ``json``, ``html``, ``python``, ``image``, ``archive``, ``document``, ``audio``,
    ``video``; None for bytes that say nothing."""
    for magic, kind in _MAGICS:
        if head.startswith(magic):
            return kind
    if head[:4] == b"RIFF" and head[8:12] in _RIFF:
        return _RIFF[head[8:12]]
    if head[4:8] == b"ftyp":
        return "image" if head[8:12] in _STILL_BRANDS else "video"
    if head[:2] == b"BM" and int.from_bytes(head[2:6], "little") == size_bytes:
        return "image"
    if head[257:262] == b"ustar":
        return "archive"
    is_whole = len(head) == size_bytes
    if head and text.is_text(head, is_whole=is_whole):
        return text.kind_of(head, is_whole=is_whole)
    return None
