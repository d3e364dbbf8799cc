"""What a name or an address means as files of the Hub: which repository, revision, label, paths."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Never

from modelcellar.errors import UsageError
from modelcellar.naming import is_repo_id

__all__ = ["HubTarget", "hub_target_of_page", "hub_target_of_text", "is_revision"]


@dataclass(frozen=True, slots=True)
class HubTarget:
    """Files of one repository of the Hub.

    ``revision`` is a branch, a tag or a commit; ``None`` is what the Hub shows first. ``label`` is
    a quantisation or precision as it was written (``q4_k_m``); ``patterns`` are paths from a link,
    ``folder/`` being all below it.
    """

    repo_id: str
    revision: str | None = None
    label: str | None = None
    patterns: tuple[str, ...] = ()


LONGEST_REVISION = 255
_TEXT = re.compile(
    r"(?P<repo>[^:@]+)(?:@(?P<before>[^:]+))?(?::(?P<label>[^@]+))?(?:@(?P<after>.+))?", re.DOTALL
)
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,200}")
# huggingface_hub's hf:// addresses: the revision ends at the next slash, but for two kinds of refs.
_REFS = r"refs/(?:pr|convert)/[^/]+"
_WITH_PATH = re.compile(
    rf"(?P<repo>[^/@:]+/[^/@:]+)(?:@(?P<revision>{_REFS}|(?!{_REFS})[^/@:]+))?/(?P<path>.+)",
    re.DOTALL,
)
_NOT_IN_REVISION = re.compile(r"[\s\x00-\x20\x7f~^:?*\[\\]|\.\.|//|@\{|^[-/.]|[/.]$|\.lock$")
_FILE = re.compile(r".\.(?:safetensors|sft|gguf|ckpt|pth?|bin|onnx|zip|json|task|tflite)\Z", re.I)
_WITH_REVISION = {"blame", "blob", "commit", "commits", "edit", "raw", "resolve", "revision"}
_WITH_REVISION |= {"tree"}
_OTHER_KINDS = {"datasets": "a data set", "spaces": "a space", "buckets": "a bucket"}
_PAGES = {"blog", "chat", "collections", "docs", "join", "learn", "login", "models", "new"}
_PAGES |= {"notifications", "organizations", "papers", "posts", "pricing", "search", "settings"}
_PAGES |= {"tasks", "tools"}
EXAMPLE = "Write owner/name, for example google/gemma-2b; a quantisation as owner/name:Q4_K_M."


def hub_target_of_text(text: str, *, has_path: bool = False) -> HubTarget:
    """What ``owner/name``, ``owner/name@revision`` and ``owner/name:LABEL`` mean, and both at once.

    With ``has_path`` a path of the repository may follow, as in huggingface_hub's ``hf://``.

    Raises:
        UsageError: it cannot be a repository.
    """
    _refuse_other_kinds(text.split("/"))
    if has_path and (found := _WITH_PATH.fullmatch(text.rstrip("/"))):
        folder = "/" if text.endswith("/") else ""
        return _checked(found["repo"], found["revision"], patterns=(found["path"] + folder,))
    parts = _TEXT.fullmatch(text)
    if parts is None or (parts["before"] and parts["after"]):
        raise UsageError(f"{text!r} is no repository of the Hub", EXAMPLE)
    revision = parts["before"] or parts["after"]
    return _checked(parts["repo"].rstrip("/"), revision, label=parts["label"])


def hub_target_of_page(parts: Sequence[str], query: Mapping[str, Sequence[str]]) -> HubTarget:
    """What a page of the Hub is about; ``parts`` of its path are decoded and hold no empty one.

    Raises:
        UsageError: the page is not about the files of a model repository.
    """
    parts = list(parts[2:] if tuple(parts[:2]) == ("api", "models") else parts)
    _refuse_other_kinds(parts)
    if not parts or parts[0] in _PAGES or parts[0] == "api":
        raise UsageError(f"{'/' + '/'.join(parts)!r} of the Hub is no repository", EXAMPLE)
    # The oldest repositories have one word for a name: gpt2/tree/main.
    is_bare = len(parts) >= 3 and parts[1] in _WITH_REVISION and parts[2] not in _WITH_REVISION
    repo, rest = parts[: 1 if is_bare else 2], parts[1 if is_bare else 2 :]
    shown = tuple(query.get("show_file_info", ())[:1])
    if not rest:
        target = hub_target_of_text("/".join(repo))
        return HubTarget(target.repo_id, target.revision, target.label, shown)
    kind, *rest = rest
    if kind not in _WITH_REVISION or not rest:
        _refuse_page("/".join(repo), kind)
    taken = 3 if re.fullmatch(_REFS, "/".join(rest[:3])) else 1
    path = "/".join(rest[taken:])
    if path and kind == "tree":
        path += "/"
    patterns = shown or ((path,) if path else ())
    return _checked("/".join(repo), "/".join(rest[:taken]), patterns=patterns)


def is_revision(text: str) -> bool:
    """Whether ``text`` may name a branch, tag or commit: git's ``check-ref-format``, in short."""
    return 0 < len(text) <= LONGEST_REVISION and _NOT_IN_REVISION.search(text) is None


def _checked(
    repo_id: str,
    revision: str | None = None,
    *,
    label: str | None = None,
    patterns: tuple[str, ...] = (),
) -> HubTarget:
    if repo_id.count("/") > 1:
        owner, name, path = repo_id.split("/", 2)
        if is_repo_id(f"{owner}/{name}"):
            raise UsageError(
                f"{repo_id!r} has more parts than a repository of the Hub",
                f"For files of a repository: cellar download {owner}/{name} {path!r}",
            )
    if not is_repo_id(repo_id, bare=True):
        raise UsageError(f"{repo_id!r} is no repository of the Hub", EXAMPLE)
    if "/" not in repo_id and _FILE.search(repo_id):
        raise UsageError(f"{repo_id!r} is the name of a file, not of a repository", EXAMPLE)
    if revision is not None and not is_revision(revision):
        raise UsageError(
            f"{revision!r} is no revision", "Give a branch, a tag or a commit, for example main."
        )
    if label is not None and not _LABEL.fullmatch(label):
        raise UsageError(f"{label!r} is no quantisation", "Write for example owner/name:Q4_K_M.")
    return HubTarget(repo_id, revision, label, patterns)


def _refuse_other_kinds(parts: Sequence[str]) -> None:
    if len(parts) > 1 and parts[0] in _OTHER_KINDS:
        raise UsageError(
            f"{'/'.join(parts[:3])!r} is {_OTHER_KINDS[parts[0]]}, not a model repository",
            "Only repositories of models are downloaded; hf download fetches the others.",
        )


def _refuse_page(repo_id: str, kind: str) -> Never:
    raise UsageError(
        f"{kind!r} of {repo_id!r} is a page without files",
        f"For the whole repository: cellar download {repo_id}",
    )
