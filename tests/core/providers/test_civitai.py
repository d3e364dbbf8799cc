"""Civitai and CivArchive by digest, against the fakes."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest

from modelcellar.answers.cached import CachedNetwork
from modelcellar.answers.store import AnswerCache
from modelcellar.errors import AnswerRefusedError
from modelcellar.network.manager import NetworkManager
from modelcellar.origins import Standing
from modelcellar.providers.civarchive import CivArchive
from modelcellar.providers.civitai import Civitai
from tests.support.fake_hub import ArchivedFile, CivitaiFile, CivitaiVersion, FakeHub, Portal
from tests.support.models import safetensors_bytes, sha256

_T = TypeVar("_T")


def ask_civitai(
    hub: FakeHub, folder: Path, ask: Callable[[Civitai], Awaitable[_T]], *, refresh: bool = False
) -> _T:
    async def work() -> _T:
        cache = AnswerCache(folder / "answers.db")
        async with NetworkManager() as network:
            civitai = Civitai(CachedNetwork(network, cache, refresh), endpoint=hub.civitai_url)
            try:
                return await ask(civitai)
            finally:
                cache.close()

    return asyncio.run(work())


def publish(hub: FakeHub, count: int) -> list[str]:
    digests = []
    for number in range(count):
        data = safetensors_bytes(seed=number, size_bytes=64)
        file = CivitaiFile(1000 + number, f"file{number}.safetensors", data)
        hub.add_version(CivitaiVersion(number, 500 + number, (file,), model_name=f"M{number}"))
        digests.append(sha256(data))
    return digests


def test_a_whole_library_in_one_call_and_its_pages_by_the_hundred(
    fake_hub: FakeHub, tmp_path: Path
) -> None:
    known = publish(fake_hub, 150)
    digests = [*known, *(f"{number:064x}" for number in range(5_000))]
    found = ask_civitai(fake_hub, tmp_path, lambda civitai: civitai.by_sha256(digests))
    assert set(found) == set(known)
    assert len(fake_hub.log.of("civitai", containing="by-hash/ids")) == 1
    assert len(fake_hub.log.of("civitai")) == 1 + 2
    match = found[known[7]]
    assert (match.status, match.repo_id, match.revision) == (Standing.VERIFIED, "507", "7")
    assert match.path == "file7.safetensors"
    fake_hub.log.clear()
    again = ask_civitai(fake_hub, tmp_path, lambda civitai: civitai.by_sha256(digests))
    assert again == found
    assert fake_hub.log.entries == ()


def test_refresh_asks_again(fake_hub: FakeHub, tmp_path: Path) -> None:
    digest = sha256(safetensors_bytes(seed=0, size_bytes=64))
    assert ask_civitai(fake_hub, tmp_path, lambda civitai: civitai.by_sha256([digest])) == {}
    publish(fake_hub, 1)
    assert ask_civitai(fake_hub, tmp_path, lambda civitai: civitai.by_sha256([digest])) == {}
    found = ask_civitai(
        fake_hub, tmp_path, lambda civitai: civitai.by_sha256([digest]), refresh=True
    )
    assert set(found) == {digest}


def test_a_captive_portal_is_no_answer(fake_hub: FakeHub, tmp_path: Path) -> None:
    fake_hub.chaos.add(Portal(), host="civitai", times=None)
    with pytest.raises(AnswerRefusedError, match="no answer that makes sense"):
        ask_civitai(fake_hub, tmp_path, lambda civitai: civitai.by_sha256(["0" * 64]))


def test_leads_of_civarchive(fake_hub: FakeHub, tmp_path: Path) -> None:
    digest = "ab" * 32
    base = "https://huggingface.co/acme/toy"
    fake_hub.civarchive.files[digest] = (
        ArchivedFile("huggingface", f"{base}/resolve/main/a%20b/x.gguf", "x.gguf"),
        ArchivedFile("huggingface", base, "x.gguf"),
        ArchivedFile("civitai", "/models/7", "x.gguf"),
        ArchivedFile("huggingface", "javascript:alert(1)", "x.gguf"),
        ArchivedFile("huggingface", "https://huggingface.co/../../x", "x.gguf"),
        ArchivedFile("huggingface", f"{base}/resolve/main/../../x", "x.gguf"),
        ArchivedFile("gone", f"{base}/x", "x.gguf", deleted_at="2026-01-01T00:00:00Z"),
    )

    async def work() -> list[tuple[str | None, str | None]]:
        cache = AnswerCache(tmp_path / "answers.db")
        async with NetworkManager() as network:
            archive = CivArchive(CachedNetwork(network, cache), endpoint=fake_hub.civarchive_url)
            found = await archive.by_sha256(digest)
            assert {match.status for match in found} == {Standing.CANDIDATE}
            assert await archive.by_sha256("cd" * 32) == ()
            cache.close()
            return [(match.repo_id, match.path) for match in found]

    assert asyncio.run(work()) == [
        ("acme/toy", "a b/x.gguf"),
        ("acme/toy", None),
        (None, None),
        (None, None),
        ("acme/toy", None),
    ]
