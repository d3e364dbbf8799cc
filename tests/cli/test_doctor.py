"""cellar doctor as people and scripts see it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.command import CommandResult

Cellar = Callable[..., CommandResult]


def statuses(result: CommandResult) -> dict[str, str]:
    return {check["id"]: check["status"] for check in result.json()["checks"]}


@pytest.mark.usefixtures("filled")
def test_a_library_that_is_well(cellar: Cellar) -> None:
    result = cellar("doctor")
    assert result.exit_code == 0
    assert result.stdout.endswith("\n0 errors, 0 warnings\n")
    assert "error  " not in result.stdout
    assert cellar("doctor", "-q").stdout == ""
    assert set(statuses(cellar("doctor", "--json")).values()) == {"ok"}


def test_errors_warnings_and_fix(cellar: Cellar, filled: Path) -> None:
    (entry,) = (filled / "journal").iterdir()
    entry.write_bytes(b"garbled")
    weights = next(filled.glob("models/beta*/*"))
    weights.chmod(0o644)
    result = cellar("doctor", check=False)
    assert result.exit_code == 1
    assert "\n  next: " in result.stdout
    assert "1 error, 1 warning" in result.stdout
    assert "cellar doctor --fix" in result.stderr
    assert cellar("doctor", "-q", check=False).stdout.split() == ["modes", "journal"]
    # Everything that a finding is about is shown when asked for.
    assert (
        f"  models/{weights.parent.name}/{weights.name}\n"
        in cellar("doctor", "-v", check=False).stdout
    )
    fixed = cellar("doctor", "--fix", "--json")
    assert fixed.exit_code == 0
    assert set(statuses(fixed).values()) == {"ok"}
    assert [(one["id"], one["error"]) for one in fixed.json()["fixed"]] == [
        ("modes", None),
        ("journal", None),
    ]
    assert "\nfixed" not in cellar("doctor", "--fix").stdout


def test_what_fix_cannot_do_stays_an_error(cellar: Cellar, filled: Path) -> None:
    weights = next(filled.glob("models/beta*/*"))
    weights.parent.chmod(0o755)
    weights.unlink()
    result = cellar("doctor", "--fix", "--json", check=False)
    assert result.exit_code == 1
    assert statuses(result)["content"] == "error"


def test_without_a_library(cellar: Cellar, tmp_path: Path) -> None:
    result = cellar("doctor", "--json", "--library", tmp_path / "none", check=False)
    assert result.exit_code == 1
    assert statuses(result)["library"] == "error"
    assert statuses(result)["content"] == "skipped"
    assert result.stderr == ""
    assert not (tmp_path / "none").exists()


def test_a_library_that_does_not_open(cellar: Cellar, filled: Path) -> None:
    (filled / "library.json").write_text("{")
    assert cellar("list", check=False).exit_code == 1
    result = cellar("doctor", "--json", check=False)
    assert statuses(result)["library"] == "error"
    assert statuses(result)["content"] == "ok"


@pytest.mark.usefixtures("filled")
def test_json_contract(cellar: Cellar) -> None:
    for check in cellar("doctor", "--json").json()["checks"]:
        kinds = {"id": str, "status": str, "summary": str, "fix": str, "can_fix": bool}
        assert {name: type(check[name]) for name in kinds} == kinds
        assert isinstance(check["items"], list)
