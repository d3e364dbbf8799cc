"""The same with a real server, where one is on the ``PATH``: what it lists, shows and deletes.

Tried with one built from github.com/ollama/ollama at fb307609 (August 2026).
"""

import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from modelcellar.library import ModelLibrary
from tests.support.models import write_gguf
from tests.support.wishes import ask, put, tree_bytes_by_inode

OLLAMA = shutil.which("ollama")
START_S = 30.0
LONG_AGO = 1_500_000_000

pytestmark = pytest.mark.skipif(OLLAMA is None, reason="needs the program ollama")


class Server:
    """A server for one store."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}"

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """An answer as JSON; fails unless it is a good one."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._url + path, data, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def names(self) -> list[str]:
        """What ``ollama ls`` lists."""
        return sorted(one["name"] for one in self.call("GET", "/api/tags")["models"])


@contextmanager
def serving(root: Path, home: Path) -> Iterator[Server]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    assert OLLAMA is not None
    environment = {**os.environ, "HOME": str(home), "OLLAMA_MODELS": str(root)}
    environment |= {"OLLAMA_HOST": f"127.0.0.1:{port}", "OLLAMA_NO_CLOUD": "1"}
    process = subprocess.Popen(
        [OLLAMA, "serve"], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        server = Server(port)
        deadline = time.monotonic() + START_S
        while True:
            with suppress(urllib.error.URLError):
                server.call("GET", "/api/version")
                break
            assert process.poll() is None, "the server ended"
            assert time.monotonic() < deadline, "the server does not answer"
            time.sleep(0.05)
        yield server
    finally:
        process.terminate()
        process.wait(timeout=30)


def test_a_server_takes_and_deletes_what_is_linked(
    library: ModelLibrary, source_folder: Path, tmp_path: Path, home: Path
) -> None:
    root = tmp_path / "store"
    root.mkdir()
    write_gguf(source_folder / "a" / "m.gguf", seed=1, metadata={"llama.embedding_length": 64})
    clip = {"general.architecture": "clip", "general.type": "mmproj"}
    clip_file = source_folder / "a" / "mmproj-m.gguf"
    write_gguf(clip_file, seed=2, metadata={**clip, "clip.vision.projection_dim": 64})
    template = {"tokenizer.chat_template": "{{ messages }}", "general.file_type": 15}
    write_gguf(source_folder / "Toy-7B-Q4_K_M.gguf", seed=3, size_bytes=1 << 20, metadata=template)
    write_gguf(source_folder / "vicuna-7b.gguf", seed=4)
    report = library.import_paths([source_folder], lookup=False)
    assert len(report.models) == 3
    files = [path for path in (library.path / "models").rglob("*") if path.is_file()]
    for path in files:
        os.utime(path, (LONG_AGO, LONG_AGO))
    before = {path: path.read_bytes() for path in files}
    put(library, ask(library, root, "ollama").wishes)

    with serving(root, home) as server:
        assert server.names() == ["m:latest", "toy-7b:q4_k_m", "vicuna-7b:latest"]
        shown = server.call("POST", "/api/show", {"model": "toy-7b:q4_k_m"})
        assert shown["details"]["format"] == "gguf"
        assert shown["details"]["family"] == "llama"
        assert shown["details"]["quantization_level"] == "Q4_K_M"
        assert "vision" in server.call("POST", "/api/show", {"model": "m"})["capabilities"]
        vicuna = server.call("POST", "/api/show", {"model": "vicuna-7b"})
        assert "USER: {{ .Prompt }} ASSISTANT:" in vicuna["template"]
        assert '"USER:"' in vicuna["parameters"]
        server.call("DELETE", "/api/delete", {"model": "vicuna-7b"})
    with serving(root, home) as server:
        assert server.names() == ["m:latest", "toy-7b:q4_k_m"]
    # Three manifests' worth of small files, two of them still there, and three files of weights.
    assert tree_bytes_by_inode(root, but=files) < 2 * 64 * 1024
    assert {path: path.read_bytes() for path in files} == before
