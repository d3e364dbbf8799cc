"""The hosts of a command: what is known of them without asking any, and whose token goes where."""

import asyncio
from pathlib import Path

import pytest

from modelcellar.config import Settings, cache_folder
from modelcellar.hosts import network_status, open_hosts
from modelcellar.network.secret import Secret
from tests.support.fake_hub import CivitaiFile, CivitaiVersion, FakeHub, FakeRepo


def test_the_status_is_read_without_an_event_loop_and_without_the_cache(tmp_path: Path) -> None:
    async def main() -> None:
        status, *known = network_status(Settings(tmp_path))  # here a second loop would fail
        assert [one.origin for one in status.origins] == ["https://huggingface.co"]
        assert known == [0, 0]

    asyncio.run(main())
    assert not cache_folder().exists()


def test_each_host_is_given_its_own_token(
    fake_hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", fake_hub.add_token("hf_mine"))
    monkeypatch.setenv("CIVITAI_API_TOKEN", "civitai_mine")
    fake_hub.civitai.keys["civitai_mine"] = frozenset()
    fake_hub.add(FakeRepo("acme/toy", {"a.txt": b"a"}))
    fake_hub.add_version(CivitaiVersion(1, 2, (CivitaiFile(3, "a.pt", b"a"),)))
    settings = Settings(
        tmp_path, hub_endpoint=fake_hub.hub_url, civitai_endpoint=fake_hub.civitai_url
    )

    async def main() -> None:
        async with open_hosts(settings) as hosts:
            of_hub = await hosts.files.remote("acme/toy")
            of_civitai = await hosts.civitai_files.remote(1)
            assert of_hub.authorization == Secret("Bearer hf_mine")
            assert of_civitai.authorization == Secret("Bearer civitai_mine")

    asyncio.run(main())
    sent = {(entry.site, entry.authorization) for entry in fake_hub.log.entries}
    assert sent == {("hub", "Bearer hf_mine"), ("civitai", "Bearer civitai_mine")}
