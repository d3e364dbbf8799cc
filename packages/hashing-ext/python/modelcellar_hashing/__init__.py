"""Copy a file with BLAKE3 and SHA-256 in the same read, and publish it durably."""

from modelcellar_hashing._native import (
    SHA256_BACKEND,
    ArrivingFile,
    FileDigests,
    SourceChangedError,
    __version__,
    copy_many,
    copy_with_hashing,
    first_extent,
    hash_file,
    hash_many,
    probe_latency,
    publish,
    sync_folder,
)

__all__ = [
    "SHA256_BACKEND",
    "ArrivingFile",
    "FileDigests",
    "SourceChangedError",
    "__version__",
    "copy_many",
    "copy_with_hashing",
    "first_extent",
    "hash_file",
    "hash_many",
    "probe_latency",
    "publish",
    "sync_folder",
]
