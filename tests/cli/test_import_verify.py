"""``cellar import --verify disk``: the copy is what the disk gives back."""

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.support.filesystems import Mounts
from tests.support.models import write_safetensors

SIZE_BYTES = 12 << 20

# The command, and then how much this process has had read from disks.
RUN = """
import sys
from modelcellar_cli.main import main
code = main()
print(open("/proc/self/io").read(), file=sys.stderr)
raise SystemExit(code)
"""


def read_from_disk(library: Path, original: Path, how: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", RUN, "import", original, "--json", "--verify", how],
        env={
            **os.environ,
            "MODELCELLAR_LIBRARY": str(library),
            "MODELCELLAR_MIN_FREE_BYTES": "0",
        },
        capture_output=True,
        text=True,
        check=True,
    )
    assert '"status": "imported"' in done.stdout
    return int(re.findall(r"^read_bytes: (\d+)$", done.stderr, re.M)[0])


def test_the_copy_is_read_back(tmp_path: Path, mounts: Mounts) -> None:
    original = write_safetensors(tmp_path / "a.safetensors", seed=1, size_bytes=SIZE_BYTES)
    folder = mounts.make("ext4").path
    read_from_disk(folder / "warm-up", original, "memory")
    from_memory = read_from_disk(folder / "one", original, "memory")
    from_disk = read_from_disk(folder / "two", original, "disk")
    assert from_disk - from_memory >= SIZE_BYTES * 0.9
