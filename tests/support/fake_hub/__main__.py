"""The fake in a process of its own: ``python -m tests.support.fake_hub FOLDER [OPTION...]``.

Serves every ``namespace/name`` folder below ``FOLDER`` as a repository. Prints one object of JSON
with the URLs of the hosts when everything is ready to be served, digests included. For each line
on its standard input it prints the bytes that each host has sent since the line before, and it
ends with its input, so that it never outlives who started it.
"""

import argparse
import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from tests.support.fake_hub.fake import FakeHub

RELAYED = ("hub", "cdn", "civitai", "elsewhere")
BOUNDLESS = 10**9


@contextlib.contextmanager
def relayed(fake: FakeHub, delay_ms: float, window_kib: int) -> Iterator[None]:
    """All hosts behind a relay from now on; their answers name it as well."""
    urls = [getattr(fake, f"{name}_url") for name in RELAYED]
    targets = [urlsplit(url).netloc for url in urls]
    command = [sys.executable, "-m", "tests.support.fake_hub.relay", *targets]
    options = ["--delay-ms", str(delay_ms), "--window-kib", str(window_kib)]
    with subprocess.Popen(
        [*command, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as relay:
        assert relay.stdin is not None
        assert relay.stdout is not None
        ports = json.loads(relay.stdout.readline())
        for name, url, port in zip(RELAYED, urls, ports, strict=True):
            setattr(fake, f"{name}_url", f"http://{urlsplit(url).hostname}:{port}")
        fake.hub.url, fake.cdn.url, fake.civitai.url = fake.hub_url, fake.cdn_url, fake.civitai_url
        yield
        relay.stdin.close()


def main() -> None:
    """Serve until standard input ends."""
    parser = argparse.ArgumentParser(prog="tests.support.fake_hub", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--round-trip-ms", type=float, default=0.0, help="answer that much later")
    parser.add_argument("--rate-mb", type=float, help="megabytes a second for each connection")
    parser.add_argument("--delay-ms", type=float, help="a relay that delays both directions")
    parser.add_argument("--window-kib", type=int, default=4096, help="of the relay's connections")
    chosen = parser.parse_args()
    with FakeHub() as fake, contextlib.ExitStack() as at_end:
        fake.settings.round_trip_s = chosen.round_trip_ms / 1000
        if chosen.rate_mb is not None:
            fake.settings.rate_bytes_per_s = chosen.rate_mb * 1e6
        for repo in fake.add_folder(chosen.folder):
            # Taken now, so that nobody who asks first waits for them.
            for file in repo.head.files.values():
                assert file.oid
        # Benchmarks ask for more than anybody may.
        for quotas in fake.hub.limits.quotas.values():
            quotas |= dict.fromkeys(quotas, BOUNDLESS)
        if chosen.delay_ms is not None:
            at_end.enter_context(relayed(fake, chosen.delay_ms, chosen.window_kib))
        urls = {name: getattr(fake, f"{name}_url") for name in RELAYED}
        sys.stdout.write(json.dumps(urls) + "\n")
        sys.stdout.flush()
        for _ in sys.stdin:
            sent = {name: fake.log.bytes_sent(name) for name in RELAYED}
            fake.log.clear()
            sys.stdout.write(json.dumps(sent) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
