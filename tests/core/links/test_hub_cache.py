"""Models of the library in a cache of the Hub, as its own client sees them.

With huggingface_hub in this environment, and with every interpreter that
``MODELCELLAR_TEST_HUB_PYTHONS`` names (as ``PATH`` does); ``nox -s hub_clients`` runs it for each
line of its versions.
"""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from modelcellar.errors import UsageError
from modelcellar.library import ModelLibrary
from modelcellar.link_records import LinkKind
from modelcellar.records import Identity, ModelRecord
from tests.support.models import write_gguf, write_safetensors, write_transformers_folder
from tests.support.wishes import ask, put

COMMIT = "0123456789abcdef0123456789abcdef01234567"
OTHER_COMMIT = "f" * 40
OF_USER = "e" * 40
CLIENT = Path(__file__).parents[2] / "support" / "hub_client.py"
PYTHONS = [
    *([sys.executable] if importlib.util.find_spec("huggingface_hub") else []),
    *filter(None, os.environ.get("MODELCELLAR_TEST_HUB_PYTHONS", "").split(os.pathsep)),
]
needs_client = pytest.mark.skipif(not PYTHONS, reason="needs the package huggingface_hub")


def add(library: ModelLibrary, path: Path, identity: Identity) -> ModelRecord:
    """A model of the library, whose origin has been proved."""
    report = library.import_paths([path], lookup=False)
    assert [result.status for result in report.results] == ["imported"]
    return replace(report.models[0], identity=identity)


def verified(repo_id: str, path: str | None = None, commit: str = COMMIT) -> Identity:
    return Identity("verified", "huggingface", repo_id, commit, path, "in a test")


def sha256s(model: ModelRecord) -> dict[str, str]:
    return {file.path: file.digests.sha256 for file in model.files}


def kept(library: ModelLibrary) -> dict[Path, tuple[bytes, int]]:
    """All that the library has of its models: bytes, and times of change."""
    files = (path for path in (library.path / "models").rglob("*") if path.is_file())
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


class Client:
    """The Hub's client of one interpreter, with one cache and no network."""

    def __init__(self, python: str, cache: Path, *before: str) -> None:
        self._command = [*before, python, "-I", str(CLIENT)]
        self._cache = cache

    def __call__(self, action: str, *arguments: str) -> Any:
        """What an action of ``hub_client.py`` prints."""
        environment = {"HF_HUB_OFFLINE": "1", "HOME": str(self._cache), "PATH": os.environ["PATH"]}
        done = subprocess.run(
            [*self._command, action, str(self._cache), *arguments],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    folder = tmp_path / "hub"
    folder.mkdir()
    return folder


@pytest.fixture(params=PYTHONS)
def client(request: pytest.FixtureRequest, cache: Path) -> Client:
    return Client(request.param, cache)


def test_a_model_stands_at_its_commit(
    library: ModelLibrary, source_folder: Path, cache: Path
) -> None:
    model = add(
        library,
        write_gguf(source_folder / "renamed.gguf", seed=1),
        verified("acme/toy-GGUF", "sub/toy-q4.gguf"),
    )
    asked = ask(library, cache, "hf", models=[model])
    digest = model.files[0].digests.sha256
    assert asked.targets(cache) == [
        f"models--acme--toy-GGUF/blobs/{digest}",
        "models--acme--toy-GGUF/refs/main",
        f"models--acme--toy-GGUF/snapshots/{COMMIT}/sub/toy-q4.gguf",
    ]
    put(library, asked.wishes)
    repository = cache / "models--acme--toy-GGUF"
    assert (repository / "refs" / "main").read_bytes() == COMMIT.encode()
    ours = library.path / "models" / model.id / "renamed.gguf"
    for place in ("blobs/" + digest, f"snapshots/{COMMIT}/sub/toy-q4.gguf"):
        assert (repository / place).samefile(ours)
        assert not (repository / place).is_symlink()


def test_the_reference_is_made_last(
    library: ModelLibrary, source_folder: Path, cache: Path
) -> None:
    model = add(library, write_gguf(source_folder / "m.gguf", seed=1), verified("acme/toy", "m"))
    wishes = sorted(ask(library, cache, "hf", models=[model]).wishes, key=lambda one: one.order)
    assert wishes[-1].target.parts[-2:] == ("refs", "main")
    assert wishes[-1].order > wishes[-2].order
    # It has to go with the model: without its snapshot it would make the repository corrupt.
    assert wishes[-1].model_id == model.id


def test_several_commits_and_models_of_one_repository(
    library: ModelLibrary, source_folder: Path, cache: Path
) -> None:
    models = [
        add(
            library,
            write_gguf(source_folder / f"{seed}.gguf", seed=seed),
            verified("acme/toy", f"{seed}.gguf", commit),
        )
        for seed, commit in enumerate((COMMIT, COMMIT, OTHER_COMMIT))
    ]
    asked = ask(library, cache, "hf", models=models)
    assert ask(library, cache, "hf", models=models[::-1]) == asked
    [main] = [wish for wish in asked.wishes if wish.content is not None]
    assert main.content == OTHER_COMMIT.encode()
    assert ask(library, cache, "hf", models=models[:2]).wishes[-1].model_id == models[0].id


@pytest.mark.parametrize(
    ("identity", "reason"),
    [
        (Identity(), "is not known"),
        (replace(verified("acme/toy"), status="candidate"), "is not known"),
        (replace(verified("acme/toy"), provider="civitai"), "is not known"),
        (replace(verified("acme/toy"), revision=None), "of which commit"),
        (replace(verified("acme/toy"), revision="main"), "of which commit"),
        (replace(verified("acme/toy"), repo_id="../.."), "of which commit"),
        (verified("acme/toy", "../../up.gguf"), "no good name"),
        (verified("acme/toy", "/etc/passwd"), "no good name"),
    ],
)
def test_what_is_not_known_well_enough(
    library: ModelLibrary, source_folder: Path, cache: Path, identity: Identity, reason: str
) -> None:
    model = add(library, write_gguf(source_folder / "m.gguf", seed=1), identity)
    asked = ask(library, cache, "hf", models=[model])
    assert asked.wishes == ()
    assert reason in asked.reasons[model.id]


def test_symlinks_are_refused(library: ModelLibrary, cache: Path) -> None:
    with pytest.raises(UsageError, match="symlink"):
        ask(library, cache, "hf", models=[], link=LinkKind.SYMLINK)


@needs_client
class TestOffline:
    def test_one_file(
        self, library: ModelLibrary, source_folder: Path, cache: Path, client: Client
    ) -> None:
        path = write_gguf(source_folder / "m.gguf", seed=1)
        model = add(library, path, verified("acme/toy", "deep/toy.gguf"))
        put(library, ask(library, cache, "hf", models=[model]).wishes)
        digest = model.files[0].digests.sha256
        assert client("load", "acme/toy", "deep/toy.gguf") == {"deep/toy.gguf": digest}

    def test_a_folder_of_transformers(
        self, library: ModelLibrary, source_folder: Path, cache: Path, client: Client
    ) -> None:
        folder = write_transformers_folder(source_folder / "llm", seed=1)
        model = add(library, folder, verified("acme/llm"))
        put(library, ask(library, cache, "hf", models=[model]).wishes)
        found = client("snapshot", "acme/llm")
        assert found == {"commit": COMMIT, "files": sha256s(model)}
        assert client("load", "acme/llm", "config.json", "tokenizer/tokenizer.json")

    def test_the_manager_finds_it_clean_and_deletes_links_only(
        self, library: ModelLibrary, source_folder: Path, cache: Path, client: Client
    ) -> None:
        delete_all(library, source_folder, cache, client)

    def test_a_commit_among_others_is_deleted(
        self, library: ModelLibrary, source_folder: Path, cache: Path, client: Client
    ) -> None:
        # Both commits have the file: the manager weighs whether a blob is still in use.
        path = write_safetensors(source_folder / "m.safetensors", seed=1)
        model = add(library, path, verified("acme/toy", "m.safetensors"))
        put(library, ask(library, cache, "hf", models=[model]).wishes)
        other = cache / "models--acme--toy" / "snapshots" / OTHER_COMMIT / "m.safetensors"
        other.parent.mkdir()
        other.symlink_to(f"../../blobs/{model.files[0].digests.sha256}")
        before = kept(library)
        client("delete", OTHER_COMMIT)
        assert client("scan") == {
            "repositories": {"acme/toy": {COMMIT: ["main"]}},
            "warnings": [],
        }
        assert kept(library) == before
        assert client("snapshot", "acme/toy")["files"] == {"m.safetensors": model_digest(model)}

    def test_without_the_links_of_one_model_nothing_dangles(
        self, library: ModelLibrary, source_folder: Path, cache: Path, client: Client
    ) -> None:
        models = [
            add(library, write_gguf(source_folder / f"{seed}.gguf", seed=seed), verified(repo, "m"))
            for seed, repo in enumerate(("acme/one", "acme/two"))
        ]
        asked = ask(library, cache, "hf", models=models)
        put(library, asked.wishes)
        for wish in asked.wishes:
            if wish.model_id == models[0].id:
                wish.target.unlink()
        found = client("scan")
        assert found["warnings"] == []
        assert found["repositories"]["acme/two"] == {COMMIT: ["main"]}


def model_digest(model: ModelRecord) -> str:
    return model.files[0].digests.sha256


def delete_all(library: ModelLibrary, source_folder: Path, cache: Path, client: Client) -> None:
    """Place two models beside what the user has, and delete every commit that is ours."""
    folder = write_transformers_folder(source_folder / "llm", seed=1)
    path = write_gguf(source_folder / "m.gguf", seed=7)
    models = [
        add(library, folder, verified("acme/llm")),
        add(library, path, verified("acme/toy", "m.gguf", OTHER_COMMIT)),
    ]
    put(library, ask(library, cache, "hf", models=models).wishes)
    # Of a repository that goes as a whole no link is followed; of a commit among others they are.
    of_user = cache / "models--acme--llm" / "snapshots" / OF_USER / "config.json"
    of_user.parent.mkdir()
    of_user.write_text("{}")
    before = kept(library)
    assert client("scan") == {
        "repositories": {
            "acme/llm": {COMMIT: ["main"], OF_USER: []},
            "acme/toy": {OTHER_COMMIT: ["main"]},
        },
        "warnings": [],
    }
    client("delete", COMMIT)
    assert kept(library) == before
    assert client("scan") == {
        "repositories": {"acme/llm": {OF_USER: []}, "acme/toy": {OTHER_COMMIT: ["main"]}},
        "warnings": [],
    }
    client("delete", OTHER_COMMIT, OF_USER)
    assert client("scan") == {"repositories": {}, "warnings": []}
    assert kept(library) == before


@needs_client
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv, of util-linux")
@pytest.mark.parametrize("python", PYTHONS)
def test_an_owner_who_may_not_pass_over_permissions_deletes_links_only(
    library: ModelLibrary, source_folder: Path, cache: Path, python: str
) -> None:
    # What an ordinary user is to files of their own; without it the tests of root show nothing.
    powerless = ("setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs")
    delete_all(library, source_folder, cache, Client(python, cache, *powerless))
