"""``lookup``, ``enrich``, ``index-repo``, ``status`` and the look-ups of ``import``, end to end."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from modelcellar.network.host import CONNECT_S
from tests.support.command import CommandResult, cellar_command
from tests.support.fake_hub import (
    CivitaiFile,
    CivitaiVersion,
    FakeHub,
    FakeRepo,
    Fault,
    NoAnswer,
    Stall,
    Status,
    TooMany,
)
from tests.support.models import safetensors_bytes, write_safetensors
from tests.support.origins import Origins, environment, make_origins

Cellar = Callable[..., CommandResult]


@pytest.fixture
def origins(fake_hub: FakeHub, tmp_path: Path) -> Origins:
    return make_origins(fake_hub, tmp_path / "files")


@pytest.fixture
def online(cellar: Cellar, fake_hub: FakeHub) -> Cellar:
    """The command, with the fake as its network."""

    def run(*args: str | Path, env: dict[str, str] | None = None, **more: Any) -> CommandResult:
        return cellar(*args, env={**environment(fake_hub), **(env or {})}, **more)

    return run


SILENT_RESOLVER = """
import socket, subprocess, sys
resolver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
resolver.bind(("127.0.0.1", 53))
sys.exit(subprocess.call(sys.argv[1:]))
"""


@pytest.fixture
def dead_line(tmp_path: Path) -> list[str]:
    """What runs a command where the resolver takes every question and nothing else is there."""
    if os.geteuid() != 0 or not shutil.which("unshare") or not shutil.which("ip"):
        pytest.skip("needs root, unshare and ip")
    (tmp_path / "resolv.conf").write_text("nameserver 127.0.0.1\n")
    mount = 'ip link set lo up && mount --bind "$0" /etc/resolv.conf && exec "$@"'
    start = ["unshare", "-n", "-m", "sh", "-c", mount, str(tmp_path / "resolv.conf")]
    if subprocess.run([*start, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("namespaces cannot be made here")
    return [*start, sys.executable, "-c", SILENT_RESOLVER]


@contextmanager
def trouble(hub: FakeHub, fault: Fault, *, host: str = "*") -> Iterator[None]:
    """Every request meets this fault."""
    hub.chaos.add(fault, host=host, times=None)
    yield
    hub.chaos.clear()


def best(result: CommandResult) -> dict[str, Any]:
    """The first match of a look-up."""
    match: dict[str, Any] = result.json()["matches"][0]
    return match


def identities(online: Cellar) -> dict[str, tuple[str, str | None]]:
    """Name -> status and repository of every model of the library."""
    models = online("list", "--json").json()["models"]
    return {m["name"]: (m["identity"]["status"], m["identity"]["repo_id"]) for m in models}


class TestLookup:
    def test_a_file_of_the_hub_is_proved(self, online: Cellar, origins: Origins) -> None:
        match = best(online("lookup", origins.published, "--json"))
        assert (match["status"], match["provider"]) == ("verified", "huggingface")
        assert match["repo_id"] == "someone/epicrealism"
        assert match["path"] == "epicrealism_v5_final.safetensors"
        facts = match["facts"]
        assert facts["license"] == "openrail"
        assert facts["base_model"] == "acme/base"
        assert facts["description"].startswith("A photorealistic model")
        text = online("lookup", origins.published).stdout
        assert "proved: huggingface someone/epicrealism" in text
        assert match["url"] in online("lookup", "-q", origins.published).stdout

    def test_an_impostor_is_never_proved(self, online: Cellar, origins: Origins) -> None:
        result = online("lookup", origins.impostor, "--json")
        assert {match["status"] for match in result.json()["matches"]} == {"candidate"}
        assert "digest differs" in best(result)["evidence"]
        assert online("lookup", "-q", origins.impostor).stdout == ""

    def test_a_renamed_file_is_found_by_what_was_listed(
        self, online: Cellar, origins: Origins, fake_hub: FakeHub
    ) -> None:
        assert online("lookup", origins.renamed, check=False).exit_code == 5
        assert online("index-repo", "artist", "-q").stdout == "artist/toy_lora\n"
        fake_hub.log.clear()
        match = best(online("lookup", origins.renamed, "--json", "--offline"))
        assert (match["status"], match["repo_id"]) == ("verified", "artist/toy_lora")
        assert fake_hub.log.entries == ()

    def test_civitai_knows_it_by_its_digest(
        self, online: Cellar, origins: Origins, fake_hub: FakeHub
    ) -> None:
        match = best(online("lookup", origins.on_civitai, "--json"))
        assert (match["status"], match["provider"]) == ("verified", "civitai")
        assert match["facts"]["trigger_words"] == ["comic style"]
        assert match["url"] == f"{fake_hub.civitai_url}/models/22?modelVersionId=11"

    def test_a_lead_of_civarchive_is_followed_to_the_hub(
        self, online: Cellar, origins: Origins
    ) -> None:
        match = best(online("lookup", origins.archived, "--json"))
        assert (match["status"], match["repo_id"]) == ("verified", "mirror/collection")
        assert match["path"] == "deep/inside.safetensors"

    def test_tensors_are_known_under_an_edited_header(
        self, online: Cellar, fake_hub: FakeHub, tmp_path: Path
    ) -> None:
        published = safetensors_bytes(seed=7)
        version = CivitaiVersion(5, 6, (CivitaiFile(7, "style.safetensors", published),))
        fake_hub.add_version(version)
        edited = write_safetensors(tmp_path / "x.safetensors", seed=7, metadata={"note": "mine"})
        match = best(online("lookup", edited, "--json"))
        assert (match["status"], match["repo_id"]) == ("candidate", "6")
        assert "under another header" in match["evidence"]

    def test_nobody_knows_it(self, online: Cellar, origins: Origins) -> None:
        result = online("lookup", origins.homeless, "--json", check=False)
        assert (result.exit_code, result.json()["matches"]) == (5, [])
        assert "nobody" in online("lookup", origins.homeless, check=False).stdout

    def test_a_digest(self, online: Cellar, origins: Origins) -> None:
        sha256 = online("hash", "--json", origins.on_civitai).json()["files"][0]["sha256"]
        assert best(online("lookup", sha256.upper(), "--json"))["provider"] == "civitai"

    def test_a_record_of_another_tool_is_a_claim_until_it_is_confirmed(
        self, online: Cellar, fake_hub: FakeHub, tmp_path: Path
    ) -> None:
        path = write_safetensors(tmp_path / "thing.safetensors", seed=5)
        record = {"id": 1, "modelId": 2, "baseModel": "SDXL 1.0", "model": {"name": "Thing"}}
        path.with_suffix(".civitai.info").write_text(json.dumps(record))
        match = best(online("lookup", path, "--json"))
        assert (match["status"], match["provider"]) == ("claimed", "civitai")
        assert fake_hub.log.of("civitai")

    def test_a_second_look_up_asks_nobody(
        self, online: Cellar, origins: Origins, fake_hub: FakeHub
    ) -> None:
        for path in origins.folder.iterdir():
            online("lookup", path, check=False)
        fake_hub.log.clear()
        for path in origins.folder.iterdir():
            online("lookup", path, check=False)
        assert fake_hub.log.entries == ()
        online("lookup", origins.published, "--refresh")
        assert fake_hub.log.of("hub")

    def test_offline_and_unknown(self, online: Cellar, origins: Origins) -> None:
        result = online("lookup", origins.published, "--json", "--offline", check=False)
        assert result.exit_code == 9
        assert result.json()["pending"]["code"] == "offline"

    def test_a_wait_that_is_longer_than_a_look_up_may_take_is_told_at_once(
        self, online: Cellar, origins: Origins, fake_hub: FakeHub
    ) -> None:
        fake_hub.chaos.add(TooMany({"Retry-After": "40"}), host="hub", times=None)
        began = time.monotonic()
        result = online("lookup", origins.published, "--json", check=False)
        assert time.monotonic() - began < 15
        assert (result.exit_code, result.json()["pending"]["code"]) == (9, "rate_limited")

    def test_a_resolver_that_says_nothing(self, dead_line: list[str], tmp_path: Path) -> None:
        path = write_safetensors(tmp_path / "somemodel.safetensors", seed=5)
        command = [*dead_line, *cellar_command(), "lookup", str(path), "--json"]
        began = time.monotonic()
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        # Two hosts with one attempt each, and the start of an interpreter on a busy machine.
        assert time.monotonic() - began < 2 * CONNECT_S + 4
        assert done.returncode == 9
        assert "cannot be reached" in json.loads(done.stdout)["pending"]["message"]

    def test_the_token_goes_to_the_hub_alone(
        self, online: Cellar, origins: Origins, fake_hub: FakeHub
    ) -> None:
        token = fake_hub.add_token("hf_canaryCanaryCanary")
        for path in origins.folder.iterdir():
            result = online("lookup", path, "--json", env={"HF_TOKEN": token}, check=False)
            assert token not in result.stdout + result.stderr
        seen = {entry.site for entry in fake_hub.log.entries if entry.authorization}
        assert seen == {"hub"}

    def test_the_token_is_kept_nowhere(
        self, online: Cellar, origins: Origins, fake_hub: FakeHub, home: Path
    ) -> None:
        token = fake_hub.add_token("hf_canaryCanaryCanary")
        online("import", origins.folder, env={"HF_TOKEN": token})
        files = [path for path in home.rglob("*") if path.is_file()]
        assert any(path.name == "oids.db" for path in files)
        assert not [path for path in files if token.encode() in path.read_bytes()]


class TestEnrich:
    def test_a_library_is_identified(
        self, online: Cellar, origins: Origins, fake_hub: FakeHub
    ) -> None:
        online("import", "--no-lookup", origins.folder)
        assert fake_hub.log.entries == ()
        result = online("enrich", "--json")
        assert result.exit_code == 0
        assert len(fake_hub.log.of("civitai", containing="/ids")) == 1
        online("enrich")  # the impostor's look-up has listed where the renamed one is from
        assert identities(online) == {
            "epicrealism_v5_final(1)": ("verified", "someone/epicrealism"),
            "mystery": ("verified", "artist/toy_lora"),
            "toy_lora_v2": ("candidate", "artist/toy_lora"),
            "whatever": ("verified", "22"),
            "unnamed": ("verified", "mirror/collection"),
            "nobody-knows": ("unknown", None),
        }
        shown = online("show", "epicrealism_v5_final(1)", "--json").json()["model"]
        assert shown["base_model"] == "acme/base"
        assert shown["findings"]["license"]["value"] == "openrail"
        assert "stable-diffusion" in shown["tags"]

    @pytest.mark.parametrize("has_lookup", [True, False])
    def test_a_file_that_is_called_as_thousands_are_is_found_by_its_folder(
        self, online: Cellar, fake_hub: FakeHub, tmp_path: Path, has_lookup: bool
    ) -> None:
        """And without one no search is made for it."""
        folder = tmp_path / "tinygem-2b"
        path = write_safetensors(folder / "model.safetensors", seed=5)
        (folder / "config.json").write_text('{"architectures": ["GemmaForCausalLM"]}')
        files = {one.name: one.read_bytes() for one in folder.iterdir()}
        fake_hub.add(FakeRepo("acme/tinygem-2b", files))
        assert online("lookup", path, check=False).exit_code == 5
        assert fake_hub.log.of("hub") == ()
        if has_lookup:
            online("import", folder)
        else:
            online("import", "--no-lookup", folder)
            online("enrich")
        assert identities(online) == {"tinygem-2b": ("verified", "acme/tinygem-2b")}

    def test_the_users_word_stays(self, online: Cellar, origins: Origins) -> None:
        online("import", "--no-lookup", origins.published)
        online("edit", "epicrealism_v5_final(1)", "--base-model", "mine", "--tag", "liked")
        online("enrich")
        shown = online("show", "epicrealism_v5_final(1)", "--json").json()["model"]
        assert shown["identity"]["status"] == "verified"
        assert (shown["base_model"], shown["tags"]) == ("mine", ["liked"])

    def test_undo_and_dry_run(self, online: Cellar, origins: Origins) -> None:
        online("import", "--no-lookup", origins.published)
        before = online("show", "epicrealism_v5_final(1)", "--json").json()
        dry = online("enrich", "--dry-run", "--json").json()
        assert dry["results"][0]["identity"]["status"] == "verified"
        assert online("show", "epicrealism_v5_final(1)", "--json").json() == before
        online("enrich")
        assert online("show", "epicrealism_v5_final(1)", "--json").json() != before
        assert online("undo", "--json").json()["entry"]["command"] == "enrich"
        assert online("show", "epicrealism_v5_final(1)", "--json").json() == before

    def test_a_page_that_is_gone_removes_nothing(
        self, online: Cellar, origins: Origins, fake_hub: FakeHub
    ) -> None:
        online("import", origins.published)
        before = online("show", "epicrealism_v5_final(1)", "--json").json()["model"]
        assert before["identity"]["status"] == "verified"
        with trouble(fake_hub, Status(404), host="hub"):
            online("enrich", "epicrealism_v5_final(1)", "--refresh")
        after = online("show", "epicrealism_v5_final(1)", "--json").json()["model"]
        assert after == before

    def test_a_manifest_of_a_newer_version_is_left_alone(
        self, online: Cellar, origins: Origins, home: Path
    ) -> None:
        online("import", "--no-lookup", origins.published, origins.on_civitai)
        (newer,) = home.rglob("manifests/whatever-*.json")
        text = newer.read_text().replace('"format": 1,', '"format": 99,', 1)
        newer.write_text(text)
        assert online("enrich").exit_code == 0
        assert newer.read_text() == text
        assert identities(online)["epicrealism_v5_final(1)"][0] == "verified"

    def test_pending_work_is_counted_and_done_later(self, online: Cellar, origins: Origins) -> None:
        online("import", "--offline", origins.published, origins.homeless)
        assert online("status", "--json").json()["library"]["pending_lookups"] == 2
        result = online("enrich", "--offline", check=False)
        assert result.exit_code == 9
        assert "2 models will be asked about" in result.stderr
        assert online("enrich").exit_code == 0
        assert online("status", "--json").json()["library"]["pending_lookups"] == 0


class TestImport:
    def test_an_import_knows_where_its_files_are_from(
        self, online: Cellar, origins: Origins
    ) -> None:
        models = online("import", "--json", origins.published).json()["models"]
        assert models[0]["identity"]["repo_id"] == "someone/epicrealism"
        assert identities(online)["epicrealism_v5_final(1)"][0] == "verified"
        # It is one change: what takes it back is the undo of the import.
        assert online("undo", "--json").json()["entry"]["command"] == "import"

    @pytest.mark.parametrize("fault", [NoAnswer(), Stall(30.0, None), Status(503)], ids=repr)
    def test_hosts_that_are_not_well_slow_no_import(
        self, online: Cellar, origins: Origins, fake_hub: FakeHub, fault: Any
    ) -> None:
        with trouble(fake_hub, fault):
            began = time.monotonic()
            report = online("import", "--json", origins.folder).json()
            took_s = time.monotonic() - began
        assert [one["status"] for one in report["results"]] == ["imported"] * 6
        # The three seconds of grace, and the start of an interpreter on a busy machine.
        assert took_s < 8
        assert online("status", "--json").json()["library"]["pending_lookups"] == 6

    def test_what_is_moved_in_is_looked_up_too(self, online: Cellar, origins: Origins) -> None:
        models = online("import", "--json", "--mode", "move", origins.published).json()["models"]
        assert models[0]["identity"]["repo_id"] == "someone/epicrealism"
        assert not origins.published.exists()

    def test_no_lookup(self, online: Cellar, origins: Origins, fake_hub: FakeHub) -> None:
        online("import", "--no-lookup", origins.folder)
        online("import", origins.folder, env={"MODELCELLAR_LOOKUP": "0"})
        assert fake_hub.log.entries == ()


class TestStatus:
    def test_open_circuits_and_quotas(
        self, online: Cellar, origins: Origins, fake_hub: FakeHub
    ) -> None:
        online("import", "--no-lookup", origins.folder)
        with trouble(fake_hub, Status(503), host="hub"):
            online("enrich", check=False)
        hosts = online("status", "--json").json()["network"]["hosts"]
        (hub,) = (one for one in hosts if one["origin"] == fake_hub.hub_url)
        assert hub["circuit"] == "open"
        assert hub["since"] < time.time() < hub["until"]
        assert "503" in hub["cause"]
        assert "left alone since" in online("status").stdout
        assert online("status", "-q").stdout == f"{fake_hub.hub_url}\n"

    def test_what_is_left_of_quotas(
        self, online: Cellar, origins: Origins, fake_hub: FakeHub
    ) -> None:
        fake_hub.clock.set(time.time())
        online("lookup", origins.published)
        hosts = online("status", "--json").json()["network"]["hosts"]
        (hub,) = (one for one in hosts if one["origin"] == fake_hub.hub_url)
        quotas = {one["bucket"]: (one["left"], one["limit"]) for one in hub["quotas"]}
        calls = len(fake_hub.log.of("hub", containing="/api/models"))
        assert quotas["api"] == (500 - calls, 500)
        assert "api: " in online("status").stdout

    def test_a_used_up_quota_is_waited_for_and_told_once(
        self, online: Cellar, origins: Origins, fake_hub: FakeHub
    ) -> None:
        online("import", "--no-lookup", origins.folder)
        for _ in range(3):
            fake_hub.chaos.add(TooMany.quota(3), host="hub", path="/api/models", times=1)
        result = online("enrich")
        assert result.exit_code == 0
        assert result.stderr.count("waiting 4 s for") == 1

    def test_without_a_library(self, online: Cellar) -> None:
        assert online("status", "--json").json()["library"] is None
        assert "none yet" in online("status").stdout

    def test_a_wait_is_told(self, online: Cellar, origins: Origins, fake_hub: FakeHub) -> None:
        fake_hub.chaos.add(TooMany({"Retry-After": "3"}), host="hub", times=1)
        result = online("lookup", origins.published)
        assert "waiting 3 s for http" in result.stderr
        assert result.exit_code == 0


def test_a_repository_of_old_is_found_under_its_new_name(online: Cellar, fake_hub: FakeHub) -> None:
    fake_hub.add(FakeRepo("acme/gpt2", {"model.safetensors": safetensors_bytes(seed=8)}))
    fake_hub.hub.renamed["acme/old"] = "acme/gpt2"
    assert online("index-repo", "-q", "acme/old").stdout == "acme/gpt2\n"


def test_a_gate_of_the_hub(online: Cellar, origins: Origins, fake_hub: FakeHub) -> None:
    """Who names the repository is told how to get in; a search passes by."""
    gate = Status(401, '{"error": "restricted"}', {"X-Error-Code": "GatedRepo"})
    fake_hub.chaos.add(gate, host="hub", path="/api/models/*/*", times=None)
    result = online("index-repo", "someone/epicrealism", check=False)
    assert result.exit_code == 4
    assert f"Accept its terms at {fake_hub.hub_url}/someone/epicrealism" in result.stderr
    assert "hf auth login" in result.stderr
    assert online("lookup", origins.published, check=False).exit_code == 5


def test_a_disabled_repository_is_not_there(online: Cellar, fake_hub: FakeHub) -> None:
    fake_hub.add(FakeRepo("acme/toy", {"a.bin": b"a"}, disabled=True))
    result = online("index-repo", "acme/toy", check=False)
    assert result.exit_code == 5
    assert "What is private is seen with a token" in result.stderr


def test_index_repo(online: Cellar, origins: Origins) -> None:
    report = online("index-repo", "someone/epicrealism", "nobody/nothing", "--json", check=False)
    assert report.exit_code == 3
    (listed,) = report.json()["repositories"]
    assert (listed["repo_id"], listed["files"]) == ("someone/epicrealism", 2)
    assert report.json()["missing"] == ["nobody/nothing"]
    assert online("index-repo", "nobody", check=False).exit_code == 5
    assert online("index-repo", "artist", "--offline", check=False).exit_code == 9
    assert origins.folder.is_dir()
