"""``cellar download`` as people see it, end to end against the fake Hub."""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from modelcellar.reports import Progress
from modelcellar_cli.options import Options
from modelcellar_cli.progress import ProgressTalk
from tests.cli.terminal import run_in_terminal
from tests.support.command import NO_NETWORK, CommandResult, cellar_command
from tests.support.fake_hub import (
    CivitaiFile,
    CivitaiVersion,
    FakeHub,
    FakeRepo,
    FlippedByte,
    Stall,
)
from tests.support.models import gguf_bytes, safetensors_bytes, sha256, write_shared_hub_cache
from tests.support.origins import environment

Cellar = Callable[..., CommandResult]
QUANTISATIONS = ("Q4_K_M", "Q8_0", "UD-Q4_K_XL")
SIZE = 300_000
SIZES = ("size_bytes", "held_bytes", "fetched_bytes")
BIG = 24 << 20


@pytest.fixture
def online(cellar: Cellar, fake_hub: FakeHub) -> Cellar:
    """The command, with the fake as its network."""

    def run(*args: str | Path, **more: Any) -> CommandResult:
        return cellar(
            *args, env={**environment(fake_hub), "MODELCELLAR_MIN_FREE_BYTES": "0"}, **more
        )

    return run


@pytest.fixture
def toy(fake_hub: FakeHub) -> FakeRepo:
    """Some quantisations of one model, and its projector."""
    files = {
        f"toy-{label}.gguf": gguf_bytes(seed=seed, size_bytes=SIZE)
        for seed, label in enumerate(QUANTISATIONS)
    }
    more = {"README.md": b"# Toy\n", "mmproj-F16.gguf": gguf_bytes(seed=9, size_bytes=SIZE)}
    return fake_hub.add(FakeRepo("acme/toy-GGUF", {**more, **files}))


@pytest.fixture
def large(fake_hub: FakeHub) -> FakeRepo:
    """One model that does not come at once."""
    content = safetensors_bytes(seed=1, size_bytes=BIG)
    return fake_hub.add(FakeRepo("acme/large", {"large.safetensors": content}))


def library_of(online: Cellar) -> Path:
    settings = online("config", "show", "--json").json()["settings"]
    return Path(next(one["value"] for one in settings if one["name"] == "library"))


def cut_short(fake_hub: FakeHub, library: Path, *more: str, by: signal.Signals) -> str:
    """Start the download of the large model, end it when part of it is there; what it said."""
    # Nothing comes after the first pieces: how far it gets does not hang on the machine's speed.
    rule = fake_hub.chaos.add(Stall(60, 5 << 20), host="cdn", times=None)
    with subprocess.Popen(
        [*cellar_command(), "download", "acme/large", *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={
            **os.environ,
            **NO_NETWORK,
            **environment(fake_hub),
            "MODELCELLAR_MIN_FREE_BYTES": "0",
        },
    ) as process:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and process.poll() is None:
            if any(
                _used_bytes(path) > 4 << 20 for path in library.glob("staging/downloads/*.part")
            ):
                break
            time.sleep(0.02)
        time.sleep(0.5)
        process.send_signal(by)
        _, stderr = process.communicate(timeout=30)
    fake_hub.chaos.remove(rule)
    assert process.returncode == (130 if by is signal.SIGINT else -by), stderr
    return stderr


def _used_bytes(path: Path) -> int:
    """Up to where a file, which has its whole room from the beginning, was written."""
    with path.open("rb") as file:
        return len(file.read(5 << 20).rstrip(b"\0"))


def test_a_quantisation_for_people(online: Cellar, toy: FakeRepo) -> None:
    result = online("download", f"{toy.repo_id}:q4_k_m")
    heading, row, empty, counts, totals = result.stdout.splitlines()
    assert heading.split() == ["SOURCE", "WHAT", "IT", "IS", "SIZE", "STATUS", "MODEL"]
    assert re.search(r"^toy-Q4_K_M\.gguf .*GGUF.* 300 kB +imported +toy-q4_k_m-[0-9a-f]{8}$", row)
    assert (empty, counts) == ("", "1 imported")
    assert re.fullmatch(r"300 kB fetched, \S+ s, \S+ .?B/s", totals)
    assert "note: it also has a projector" in result.stderr
    assert "'mmproj-F16.gguf'" in result.stderr
    assert "cellar undo" in result.stderr
    again = online("download", f"{toy.repo_id}:Q4_K_M")
    assert "1 duplicate\n0 B fetched, 300 kB reused, " in again.stdout
    assert "cellar undo" not in again.stderr


def test_quiet_prints_the_ids_also_of_what_was_there(online: Cellar, toy: FakeRepo) -> None:
    result = online("download", toy.repo_id, "*.gguf", "-q")
    assert result.stderr == ""
    ids = result.stdout.split()
    assert sorted(ids) == [one["id"] for one in online("list", "--json").json()["models"]]
    assert online("download", toy.repo_id, "*.gguf", "-q").stdout.split() == ids


def test_the_report_for_machines(online: Cellar, toy: FakeRepo) -> None:
    result = online("download", toy.repo_id, "--include", "*.gguf", "--exclude", "*Q*", "--json")
    assert result.stderr == ""
    report = result.json()
    assert (report["target"], report["provider"]) == (toy.repo_id, "huggingface")
    assert report["repo_id"] == toy.repo_id
    assert re.fullmatch("[0-9a-f]{40}", report["revision"])
    (file,) = report["files"]
    size_bytes = len(toy.files["mmproj-F16.gguf"])  # type: ignore[arg-type]
    assert (file["path"], file["state"], file["error"]) == ("mmproj-F16.gguf", "missing", None)
    assert [file[name] for name in SIZES] == [size_bytes, 0, size_bytes]
    assert re.fullmatch("[0-9a-f]{64}", file["sha256"])
    assert [one["status"] for one in report["results"]] == ["imported"]
    assert [one["id"] for one in report["models"]] == [report["results"][0]["model_id"]]
    assert [report["bytes_fetched"], report["bytes_reused"]] == [size_bytes, 0]
    assert report["dry_run"] is False
    assert report["notes"] == []
    assert report["models"][0]["identity"]["status"] == "verified"


def test_dry_run_lists_where_everything_is_and_makes_nothing(
    online: Cellar, toy: FakeRepo, home: Path
) -> None:
    cache = home / "cache" / "hub"
    write_shared_hub_cache(cache, toy.repo_id, "toy-Q8_0.gguf", gguf_bytes(seed=1, size_bytes=SIZE))
    first = online("download", toy.repo_id, "--dry-run")
    assert "A new library would be made" in first.stderr
    assert "Nothing was fetched." in first.stderr
    assert not library_of(online).exists()
    online("download", f"{toy.repo_id}:Q4_K_M")
    lines = online("download", toy.repo_id, "--dry-run").stdout.splitlines()
    rows = {line.split()[0]: re.split(r"  +", line)[1:] for line in lines[:6]}
    assert rows["PATH"] == ["SIZE", "WHERE"]
    assert rows["toy-Q4_K_M.gguf"] == ["300 kB", "library"]
    assert rows["toy-UD-Q4_K_XL.gguf"] == ["300 kB", "to fetch"]
    assert re.fullmatch(
        r"5 files, \d+ kB here, \d+ kB to fetch, \S+ .B free on the library's disk", lines[-1]
    )
    assert online("list", "--json").json()["total"] == 1


def test_a_version_on_civitai(online: Cellar, fake_hub: FakeHub) -> None:
    comic = CivitaiFile(33, "comic.safetensors", safetensors_bytes(seed=4))
    fake_hub.add_version(CivitaiVersion(11, 22, (comic,), model_name="Comic"))
    report = online("download", "civitai:11", "--json").json()
    assert report["provider"] == "civitai"
    (model,) = report["models"]
    assert (model["identity"]["status"], model["identity"]["provider"]) == ("verified", "civitai")
    page = f"{fake_hub.civitai_url}/models/22/comic?modelVersionId=11"
    links = (page, "urn:air:sdxl:lora:civitai:22@11", f"{fake_hub.civitai_url}/models/22")
    for link in links:
        assert online("download", link, "-q").stdout.strip() == model["id"]
    assert online("download", "civitai:12", check=False).exit_code == 5


def test_an_address_with_the_digest_of_what_is_there(
    online: Cellar, toy: FakeRepo, fake_hub: FakeHub
) -> None:
    place = fake_hub.hub_url.replace("127.0.0.1", "localhost")
    url = f"{place}/{toy.repo_id}/resolve/main/toy-Q8_0.gguf?download=true"
    content = toy.files["toy-Q8_0.gguf"]
    assert isinstance(content, bytes)
    wrong = online("download", url, "--sha256", "0" * 64, check=False)
    assert wrong.exit_code == 6
    assert sha256(content) in wrong.stderr
    report = online("download", url, "--sha256", sha256(content).upper(), "--json").json()
    assert report["provider"] == "web"
    assert [one["path"] for one in report["files"]] == ["toy-Q8_0.gguf"]
    assert online("list", "--json").json()["total"] == 1


def test_name_and_type(online: Cellar, toy: FakeRepo) -> None:
    more = ["--name", "My One", "--type", "vision", "--json"]
    (model,) = online("download", toy.repo_id, "*Q8_0*", *more).json()["models"]
    assert (model["name"], model["type"]) == ("My One", "vision")


@pytest.mark.parametrize(
    ("args", "exit_code", "said"),
    [
        (["./nowhere"], 2, "nothing is there"),
        (["https://example.org/a.safetensors"], 2, "--sha256"),
        (["acme/toy-GGUF", "--sha256", "0" * 64], 2, "Leave it out"),
        (["acme/toy-GGUF", "--connections", "-1"], 2, "--connections"),
        (["acme/nothing"], 5, "acme/nothing"),
        (["acme/toy-GGUF:Q5_K_M"], 5, "There are: Q4_K_M, Q8_0, UD-Q4_K_XL."),
        (["acme/toy-GGUF", "toy-q8_0.gguf"], 5, "Did you mean 'toy-Q8_0.gguf'?"),
        (["acme/toy-GGUF", "--revision", "v9"], 5, "v9"),
        (["acme/toy-GGUF", "--offline"], 9, "--offline"),
        (["acme/toy-GGUF", "--discard"], 5, "nothing unfinished is here of acme/toy-GGUF"),
    ],
)
def test_what_cannot_be_downloaded(
    online: Cellar, toy: FakeRepo, args: list[str], exit_code: int, said: str
) -> None:
    assert toy.repo_id == "acme/toy-GGUF"
    online("init")
    result = online("download", *args, check=False)
    assert result.exit_code == exit_code, result.stderr
    assert said in result.stderr
    assert result.stdout == ""


def test_a_gated_repository(online: Cellar, fake_hub: FakeHub) -> None:
    fake_hub.add(FakeRepo("acme/gated", {"a.safetensors": safetensors_bytes(seed=3)}, gated="auto"))
    result = online("download", "acme/gated", "--json", check=False)
    assert result.exit_code == 4
    assert result.json_error()["code"] == "sign_in_needed"
    assert "hf auth login" in result.json_error()["hint"]


def test_wrong_bytes_never_come_in(online: Cellar, toy: FakeRepo, fake_hub: FakeHub) -> None:
    fake_hub.chaos.add(FlippedByte(1000), host="cdn", times=None)
    result = online("download", f"{toy.repo_id}:Q8_0", check=False)
    assert result.exit_code == 6
    assert online("list", "--json").json()["total"] == 0


def test_undo_puts_it_into_the_trash(online: Cellar, toy: FakeRepo) -> None:
    online("download", f"{toy.repo_id}:Q8_0")
    result = online("undo")
    assert "took back: download of 1 model" in result.stdout
    assert "To have them again: cellar import" in result.stderr
    assert online("list", "--json").json()["total"] == 0


def test_ctrl_c_says_how_far_it_is_and_the_same_command_goes_on(
    online: Cellar, large: FakeRepo, fake_hub: FakeHub
) -> None:
    online("init")
    said = cut_short(fake_hub, library_of(online), by=signal.SIGINT)
    told = re.search(r"Stopped\. (\S+ MB) of 25\.2 MB are here and will be used", said)
    assert told is not None, said
    assert "Run the same command again: what has come is used." in said
    assert "Traceback" not in said
    status = online("status")
    assert f"unfinished  cellar download acme/large: 1 file, {told[1]} of 25.2 MB" in status.stdout
    (unfinished,) = online("status", "--json").json()["library"]["unfinished_downloads"]
    assert (unfinished["target"], unfinished["files"]) == (large.repo_id, 1)
    held = unfinished["held_bytes"]
    row = online("download", large.repo_id, "--dry-run").stdout.splitlines()[1]
    assert row.endswith(f"partial: {told[1]} of 25.2 MB")
    report = online("download", large.repo_id, "--json").json()
    assert report["bytes_reused"] == held
    assert report["bytes_fetched"] == report["bytes_total"] - held
    assert online("status", "--json").json()["library"]["unfinished_downloads"] == []


def test_ctrl_c_for_machines(online: Cellar, large: FakeRepo, fake_hub: FakeHub) -> None:
    assert large.repo_id == "acme/large"
    online("init")
    said = cut_short(fake_hub, library_of(online), "--json", by=signal.SIGINT)
    assert json.loads(said.strip())["error"]["code"] == "cancelled"


def test_what_a_killed_one_left_can_be_discarded(
    online: Cellar, large: FakeRepo, fake_hub: FakeHub
) -> None:
    online("init")
    library = library_of(online)
    cut_short(fake_hub, library, by=signal.SIGKILL)
    result = online("download", large.repo_id, "--discard")
    assert re.search(r"discarded what was here of acme/large: 1 file, \S+ MB", result.stderr)
    assert list((library / "staging").rglob("*.part")) == []
    cut_short(fake_hub, library, by=signal.SIGKILL)
    (one,) = online("download", large.repo_id, "--discard", "--json").json()["discarded"]
    assert (one["target"], one["files"], one["size_bytes"] > BIG) == (large.repo_id, 1, True)


def test_the_bar_on_a_terminal_goes_away(large: FakeRepo, fake_hub: FakeHub, home: Path) -> None:
    assert home.is_dir()
    env = {**NO_NETWORK, **environment(fake_hub), "MODELCELLAR_MIN_FREE_BYTES": "0"}
    result = run_in_terminal("download", large.repo_id, env=env)
    assert result.exit_code == 0
    assert "1 imported" in result.text
    assert "large.safetensors" in result.text


def test_what_was_there_before_is_no_speed(capsys: pytest.CaptureFixture[str]) -> None:
    mb = 1_000_000
    times = iter([0.0, 60.0, 60.0])
    with ProgressTalk(Options(), clock=lambda: next(times)) as progress:
        progress(Progress("download", 1, 3, 160 * mb, 300 * mb, bytes_before=100 * mb))
    said = capsys.readouterr().err
    assert said == "download: 1/3, 160 MB of 300 MB, 1 MB/s, about 140 s left\n"


def test_what_is_refused_is_kept_and_can_be_given_up(online: Cellar, fake_hub: FakeHub) -> None:
    fake_hub.add(FakeRepo("acme/zeros", {"zeros.bin": bytes(SIZE)}))
    result = online("download", "acme/zeros", check=False)
    assert result.exit_code == 1
    assert "To give it up: cellar download acme/zeros --discard" in result.stderr
    assert "1 file" in online("download", "acme/zeros", "--discard").stderr
    assert not (library_of(online) / "staging" / "downloads").exists()
