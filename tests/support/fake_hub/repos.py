"""Repositories of models: files, commits, and everything the Hub says about them."""

import hashlib
import mmap
import threading
from collections.abc import Iterable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath

from tests.support.fake_hub.clock import START

__all__ = ["Commit", "FakeRepo", "RepoFile", "git_blob", "is_lfs_by_name", "lfs_pointer"]

# The usual lines of .gitattributes; what has 10 MB has to be in LFS whatever its name is.
LFS_SUFFIXES = frozenset({
    ".bin", ".ckpt", ".gguf", ".h5", ".msgpack", ".onnx", ".pt", ".pth", ".safetensors", ".tflite",
})  # fmt: skip
LFS_FROM_BYTES = 10 * 1000 * 1000


def git_blob(data: bytes | memoryview) -> str:
    """Git's name for a file with these bytes."""
    digest = hashlib.sha1(b"blob %d\0" % len(data), usedforsecurity=False)
    digest.update(data)
    return digest.hexdigest()


def lfs_pointer(sha256: str, size_bytes: int) -> bytes:
    """The text that git keeps in the place of a file in LFS."""
    return (
        f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size_bytes}\n"
    ).encode()


def is_lfs_by_name(path: str, size_bytes: int) -> bool:
    return PurePosixPath(path).suffix.lower() in LFS_SUFFIXES or size_bytes >= LFS_FROM_BYTES


class RepoFile:
    """One state of one file. A ``Path`` as content is mapped, never read into memory."""

    def __init__(self, path: str, content: bytes | Path, *, is_lfs: bool | None = None) -> None:
        self.path = path
        self.content = memoryview(_mapped(content) if isinstance(content, Path) else content)
        self.size_bytes = len(self.content)
        self.is_lfs = is_lfs_by_name(path, self.size_bytes) if is_lfs is None else is_lfs

    @cached_property
    def content_sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @property
    def sha256(self) -> str | None:
        """``lfs.oid``; ``None`` for a file that is not in LFS."""
        return self.content_sha256 if self.is_lfs else None

    @cached_property
    def pointer(self) -> bytes:
        return lfs_pointer(self.content_sha256, self.size_bytes)

    @cached_property
    def oid(self) -> str:
        """Git's name of what git has: the content, or the pointer to it."""
        return git_blob(self.pointer if self.is_lfs else self.content)

    @cached_property
    def xet_hash(self) -> str:
        """64 digits like a SHA-256, and never the SHA-256 of the content."""
        return hashlib.sha256(b"xet" + self.content_sha256.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Commit:
    """All files at one commit, and for each path the commit that last changed it."""

    id: str
    title: str
    at: float
    files: Mapping[str, RepoFile]
    changed: Mapping[str, "Commit"] = field(default_factory=dict, repr=False)


@dataclass(eq=False)
class FakeRepo:
    """One repository. ``files`` are its first commit; :meth:`commit` makes more.

    ``gated`` is ``False``, ``"auto"`` or ``"manual"``. ``base_model`` becomes two tags as on the
    Hub, ``base_model:X`` and ``base_model:<relation>:X``. ``scans`` maps paths to the status that
    the scanners came to; other files are ``safe``. ``lfs`` names paths that are in LFS whatever
    their name or size says, ``plain`` those that are not. ``facts`` are more keys of the model,
    such as ``gguf``, ``safetensors`` or ``config``.
    """

    repo_id: str
    files: Mapping[str, bytes | Path] = field(default_factory=dict)
    _: KW_ONLY
    card: Mapping[str, object] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    base_model: str | None = None
    base_model_relation: str = "quantized"
    pipeline_tag: str | None = None
    library_name: str | None = None
    gated: bool | str = False
    private: bool = False
    disabled: bool = False
    scans: Mapping[str, str] = field(default_factory=dict)
    lfs: frozenset[str] = frozenset()
    plain: frozenset[str] = frozenset()
    downloads: int = 0
    likes: int = 0
    created_at: float = START - 86400 * 60
    facts: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._commits: dict[str, Commit] = {}
        self.branches: dict[str, str] = {}
        self.tag_refs: dict[str, str] = {}
        self.pull_requests: dict[str, str] = {}
        self.commit(self.files, title="initial commit")

    @classmethod
    def from_folder(cls, repo_id: str, folder: Path, **known: object) -> "FakeRepo":
        """All files below a folder; ``known`` are the other arguments of the class."""
        files = {
            path.relative_to(folder).as_posix(): path
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }
        return cls(repo_id, files, **known)  # type: ignore[arg-type]

    @property
    def author(self) -> str:
        return self.repo_id.partition("/")[0]

    @property
    def internal_id(self) -> str:
        """``_id``: stays what it is when the repository is renamed."""
        return hashlib.sha256(self.repo_id.encode()).hexdigest()[:24]

    @property
    def head(self) -> Commit:
        return self._commits[self.branches["main"]]

    @property
    def sha(self) -> str:
        """The commit that ``main`` is at."""
        return self.head.id

    @property
    def last_modified(self) -> float:
        return self.head.at

    def all_tags(self) -> tuple[str, ...]:
        """The tags given, and those the Hub makes of everything else it knows."""
        made = [tag for tag in (self.library_name, self.pipeline_tag) if tag]
        names = {PurePosixPath(path).suffix for path in self.head.files}
        made += [suffix[1:] for suffix in (".gguf", ".safetensors", ".onnx") if suffix in names]
        if self.base_model is not None:
            relation = f"base_model:{self.base_model_relation}:{self.base_model}"
            made += [f"base_model:{self.base_model}", relation]
        if "license" in self.card:
            made.append(f"license:{self.card['license']}")
        return tuple(dict.fromkeys((*self.tags, *made, "region:us")))

    def commit(
        self,
        files: Mapping[str, bytes | Path] | None = None,
        *,
        delete: Iterable[str] = (),
        title: str = "Upload",
        branch: str = "main",
        move: bool = True,
    ) -> str:
        """Add or replace files and delete others; the branch is moved there, unless told not to."""
        with self._lock:
            parent = self._commits.get(self.branches.get(branch, self.branches.get("main", "")))
            changed = {path: self._file(path, data) for path, data in (files or {}).items()}
            tree = {**(parent.files if parent else {}), **changed}
            for path in delete:
                del tree[path]
            text = "\n".join([parent.id if parent else "", title, *sorted(tree)])
            text += "".join(tree[path].oid for path in sorted(tree))
            commit_id = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
            history: dict[str, Commit] = dict(parent.changed) if parent else {}
            at = self.created_at + 3600 * len(self._commits)
            made = Commit(commit_id, title, at, tree, history)
            history.update(dict.fromkeys(changed, made))
            self._commits[commit_id] = made
            if move:
                self.branches[branch] = commit_id
            return commit_id

    def move(self, commit_id: str, *, branch: str = "main") -> None:
        """Let a branch point at a commit that exists."""
        self.branches[branch] = self._commits[commit_id].id

    def tag(self, name: str, commit_id: str | None = None) -> None:
        self.tag_refs[name] = commit_id or self.sha

    def find(self, revision: str) -> Commit | None:
        """The commit a branch, tag, ``refs/...``, ``HEAD`` or whole commit id stands for."""
        if revision == "HEAD":
            return self.head
        named = {
            **{f"refs/heads/{name}": commit_id for name, commit_id in self.branches.items()},
            **{f"refs/tags/{name}": commit_id for name, commit_id in self.tag_refs.items()},
            **self.pull_requests,
            **self.tag_refs,
            **self.branches,
        }
        return self._commits.get(named.get(revision, revision))

    def _file(self, path: str, content: bytes | Path) -> RepoFile:
        is_lfs = True if path in self.lfs else False if path in self.plain else None
        return RepoFile(path, content, is_lfs=is_lfs)


def _mapped(path: Path) -> bytes | mmap.mmap:
    with path.open("rb") as file:
        if path.stat().st_size == 0:
            return b""
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
