"""The Hub's own client against the fake: run as ``python -m tests.fake_hub.client_driver``.

For an environment that has huggingface_hub and nothing of ours; ``nox -s hub_clients`` makes one
for each line of its versions. Prints what every check came to; exit code 1 if one failed.
"""

import importlib
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from tests.support.fake_hub import FakeHub

# All are read when the library is imported. Without Xet, because the fake stores no chunks.
CLIENT_SETTINGS = {
    "HF_HUB_DISABLE_XET": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1",
    "HF_HUB_DOWNLOAD_TIMEOUT": "1",
    "HF_HUB_ETAG_TIMEOUT": "5",
    "NO_PROXY": "127.0.0.1,localhost",
    "no_proxy": "127.0.0.1,localhost",
}
PARTS = ("client_calls", "client_downloads", "client_chaos")

Check = Callable[[FakeHub, Path], None]


def prepare(fake: FakeHub, home: Path) -> None:
    """An environment in which the client knows the fake and nobody's token."""
    for name in list(os.environ):
        if name.startswith(("HF_", "HUGGING_FACE_", "HUGGINGFACE_")):
            del os.environ[name]
    os.environ.update(CLIENT_SETTINGS, HF_ENDPOINT=fake.hub_url, HF_HOME=str(home))


def run(check: Check, fake: FakeHub, folder: Path) -> bool:
    """One check, with nothing left of the one before; whether it passed."""
    fake.chaos.clear()
    fake.log.clear()
    began = time.monotonic()
    try:
        check(fake, folder)
    except Exception:  # noqa: BLE001 - whatever the client raises is to be shown
        traceback.print_exc()
        outcome = "FAILED"
    else:
        outcome = "ok"
    sys.stdout.write(f"{outcome:7}{time.monotonic() - began:5.1f} s  {check.__name__}\n")
    sys.stdout.flush()
    return outcome == "ok"


def main() -> int:
    """All checks of all parts, or of those named on the command line."""
    sys.stdout.write(f"huggingface_hub {version('huggingface_hub')}\n")
    passed = []
    with tempfile.TemporaryDirectory() as place, FakeHub() as fake:
        prepare(fake, Path(place, "home"))
        for limits in fake.hub.limits.quotas.values():
            limits.update(dict.fromkeys(limits, 1_000_000))
        for part in sys.argv[1:] or PARTS:
            module = importlib.import_module(f"tests.fake_hub.{part}")
            for check in module.CHECKS:
                folder = Path(place, part, check.__name__)
                folder.mkdir(parents=True)
                passed.append(run(check, fake, folder))
    sys.stdout.write(f"{sum(passed)} of {len(passed)} checks passed\n")
    return 0 if passed and all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
