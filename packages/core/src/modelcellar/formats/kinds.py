"""Says what a file that is no model is, by its first bytes, so that callers can pass over it."""

from modelcellar.formats import text

HEAD_BYTES = 64 * 1024
ARCHIVE = "archive"

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
    (b"\x1f\x8b\x08", ARCHIVE),
    (b"7z\xbc\xaf\x27\x1c", ARCHIVE),
    (b"Rar!\x1a\x07", ARCHIVE),
    (b"\xfd7zXZ\0", ARCHIVE),
    (b"BZh", ARCHIVE),
    (b"\x28\xb5\x2f\xfd", ARCHIVE),
    (b"%PDF-", "document"),
    (b"\x1aE\xdf\xa3", "video"),
    (b"OggS", "audio"),
    (b"fLaC", "audio"),
    (b"ID3", "audio"),
)
_RIFF = {b"WEBP": "image", b"WAVE": "audio", b"AVI ": "video"}
_STILL_BRANDS = {b"avif", b"avis", b"heic", b"heix", b"mif1"}


def is_tar(head: bytes) -> bool:
    """Whether the checksum of a tar file's first header is right, whatever else the bytes are."""
    block = head[:512]
    digits = block[148:156].strip(b" \0")
    if len(block) < 512 or not digits or digits.strip(b"01234567"):
        return False
    return sum(block) - sum(block[148:156]) + 8 * 0x20 == int(digits, 8)


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
    if head[257:262] == b"ustar" or is_tar(head):
        return ARCHIVE
    is_whole = len(head) == size_bytes
    if head and text.is_text(head, is_whole=is_whole):
        return text.kind_of(head, is_whole=is_whole)
    return None
