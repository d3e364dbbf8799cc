"""What the Hub's own client makes of the fake's answers about models and their files."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import huggingface_hub  # type: ignore[import-not-found]
from huggingface_hub import utils

from tests.fake_hub.contents import FILES, WEIGHTS
from tests.support.fake_hub import FakeHub, FakeRepo, Token

READER = "hf_reader"


def toy(fake: FakeHub) -> FakeRepo:
    """The repository that most checks look at."""
    return fake.add(
        FakeRepo(
            "acme/toy",
            FILES,
            card={"license": "mit"},
            tags=("license-checked",),
            base_model="acme/base",
            library_name="diffusers",
            pipeline_tag="text-to-image",
            scans={"text encoder/model.safetensors": "unsafe"},
            facts={"safetensors": {"parameters": {"F16": 1000}, "total": 1000}},
        )
    )


def model_info_has_sizes_and_hashes(fake: FakeHub, _: Path) -> None:
    repo = toy(fake)
    info = huggingface_hub.HfApi().model_info("acme/toy", files_metadata=True)
    assert info.sha == repo.sha
    assert info.gated is False
    shown = {file.rfilename: (file.size, file.blob_id) for file in info.siblings}
    files = repo.head.files
    assert shown == {path: (file.size_bytes, file.oid) for path, file in files.items()}
    hashes = {file.rfilename: file.lfs and file.lfs.sha256 for file in info.siblings}
    assert hashes == {path: file.sha256 for path, file in files.items()}
    assert info.safetensors.total == 1000
    assert "base_model:quantized:acme/base" in info.tags


def model_info_of_a_revision(fake: FakeHub, _: Path) -> None:
    repo = toy(fake)
    first = repo.sha
    repo.commit({"new.txt": b"new"})
    api = huggingface_hub.HfApi()
    assert len(api.model_info("acme/toy").siblings) == len(FILES) + 1
    assert len(api.model_info("acme/toy", revision=first).siblings) == len(FILES)


def model_info_of_some_properties(fake: FakeHub, _: Path) -> None:
    repo = toy(fake)
    api = huggingface_hub.HfApi()
    info = api.model_info("acme/toy", expand=["sha", "gated", "cardData"])
    assert (info.sha, info.gated, info.card_data.license) == (repo.sha, False, "mit")
    assert info.siblings is None
    assert api.model_info("acme/toy", securityStatus=True).security_repo_status == {
        "scansDone": True,
        "filesWithIssues": [{"path": "text encoder/model.safetensors", "level": "unsafe"}],
    }


def a_tree_in_pages_of_one(fake: FakeHub, _: Path) -> None:
    repo = toy(fake)
    fake.settings.tree_page_expanded = 1
    try:
        api = huggingface_hub.HfApi()
        found = list(api.list_repo_tree("acme/toy", recursive=True, expand=True))
    finally:
        fake.settings.tree_page_expanded = 50
    folders = {"text encoder", "text encoder/sub"}
    assert {one.path for one in found} == {*FILES, *folders}
    assert len(fake.log.of("hub", "GET", containing="/tree/")) == len(found) == 7
    for one in found:
        assert one.last_commit.oid == repo.sha
        if one.path not in folders:
            file = repo.head.files[one.path]
            assert (one.size, one.blob_id) == (file.size_bytes, file.oid)
            assert (one.lfs and one.lfs.sha256) == file.sha256
            assert one.security.safe == (one.path != "text encoder/model.safetensors")


def a_tree_below_a_folder(fake: FakeHub, _: Path) -> None:
    toy(fake)
    found = huggingface_hub.HfApi().list_repo_tree("acme/toy", path_in_repo="text encoder/sub")
    assert [one.path for one in found] == ["text encoder/sub/config.json"]


def paths_info(fake: FakeHub, _: Path) -> None:
    repo = toy(fake)
    asked = ["model.safetensors", "text encoder/sub", "no such file"]
    found = huggingface_hub.HfApi().get_paths_info("acme/toy", asked, expand=True)
    assert [one.path for one in found] == asked[:2]
    assert found[0].lfs.sha256 == repo.head.files["model.safetensors"].sha256
    assert found[0].last_commit.title == "initial commit"


def lists_of_models(fake: FakeHub, _: Path) -> None:
    toy(fake)
    for number in range(5):
        name = f"quants/toy-{number}"
        fake.add(FakeRepo(name, {"toy.gguf": b"GGUF"}, base_model="acme/toy", downloads=number))
    api = huggingface_hub.HfApi()

    def ids(**query: object) -> list[str]:
        return [model.id for model in api.list_models(**query)]

    quants = [f"quants/toy-{number}" for number in range(5)]
    assert sorted(ids(search="toy-")) == quants
    assert sorted(ids(author="quants")) == quants
    assert ids(search="toy acme") == []
    assert sorted(ids(filter=["gguf", "base_model:quantized:acme/toy"])) == quants
    assert ids(filter=["gguf", "license:mit"]) == []
    assert ids(sort="downloads", author="quants") == quants[::-1]
    fake.settings.models_page = 2
    try:
        fake.log.clear()
        assert ids(author="quants", sort="downloads", limit=3) == quants[:1:-1]
        assert len(fake.log.of("hub")) == 2
        assert sorted(ids(author="quants")) == quants
    finally:
        fake.settings.models_page = 1000
    full = next(iter(api.list_models(author="acme", full=True, cardData=True)))
    assert {file.rfilename for file in full.siblings} == set(FILES)
    assert full.card_data.license == "mit"
    assert next(iter(api.list_models(author="acme", expand=["sha"]))).sha == full.sha


def references(fake: FakeHub, _: Path) -> None:
    repo = toy(fake)
    repo.tag("v1.0")
    repo.pull_requests["refs/pr/1"] = repo.commit({"x.txt": b"x"}, branch="pr", move=False)
    found = huggingface_hub.HfApi().list_repo_refs("acme/toy", include_pull_requests=True)
    assert [(one.name, one.target_commit) for one in found.branches] == [("main", repo.sha)]
    assert [(one.ref, one.target_commit) for one in found.tags] == [("refs/tags/v1.0", repo.sha)]
    assert [one.ref for one in found.pull_requests] == ["refs/pr/1"]
    info = huggingface_hub.HfApi().model_info("acme/toy", revision="refs/pr/1")
    assert "x.txt" in {file.rfilename for file in info.siblings}


def metadata_of_files(fake: FakeHub, _: Path) -> None:
    repo = toy(fake)
    files = repo.head.files

    def metadata(path: str) -> tuple[str, str, int]:
        url = huggingface_hub.hf_hub_url("acme/toy", path)
        found = huggingface_hub.get_hf_file_metadata(url)
        return found.commit_hash, found.etag, found.size

    weights = files["model.safetensors"]
    assert metadata("model.safetensors") == (repo.sha, weights.sha256, len(WEIGHTS))
    assert metadata("config.json") == (repo.sha, files["config.json"].oid, 23)


def refusals(fake: FakeHub, _: Path) -> None:
    toy(fake)
    fake.add(FakeRepo("acme/gated", FILES, gated="manual"))
    fake.add(FakeRepo("acme/off", FILES, disabled=True))
    fake.add(FakeRepo("acme/secret", FILES, private=True))
    fake.add_token(READER, Token("reader", may_read=frozenset({"acme/secret"})))
    api = huggingface_hub.HfApi()

    def metadata(repo_id: str, path: str = "model.safetensors", **known: object) -> object:
        url = huggingface_hub.hf_hub_url(repo_id, path, revision=known.pop("revision", None))
        return huggingface_hub.get_hf_file_metadata(url, **known)

    assert metadata("acme/secret", token=READER)
    assert api.model_info("acme/gated").gated == "manual"
    expected: list[tuple[type[Exception], Callable[[], object]]] = [
        (utils.GatedRepoError, partial(metadata, "acme/gated")),
        (utils.GatedRepoError, partial(metadata, "acme/gated", token=READER)),
        (utils.EntryNotFoundError, partial(metadata, "acme/toy", "no such file")),
        (utils.RevisionNotFoundError, partial(metadata, "acme/toy", revision="nowhere")),
        (utils.RevisionNotFoundError, partial(api.model_info, "acme/toy", revision="nowhere")),
        (utils.RepositoryNotFoundError, partial(metadata, "acme/none", token=READER)),
        (utils.RepositoryNotFoundError, partial(api.model_info, "acme/none", token=READER)),
        (utils.HfHubHTTPError, partial(api.model_info, "acme/secret")),
        (utils.HfHubHTTPError, partial(api.model_info, "acme/toy", token="hf_nobody")),
        (huggingface_hub.errors.DisabledRepoError, partial(metadata, "acme/off")),
        (utils.HfHubHTTPError, lambda: list(api.list_models(expand=["nonsense"]))),
    ]
    for number, (kind, call) in enumerate(expected):
        try:
            call()
        except kind:
            continue
        raise AssertionError(f"case {number} was not refused")


def other_names(fake: FakeHub, _: Path) -> None:
    repo = toy(fake)
    fake.hub.renamed |= {"old/toy": "acme/toy", "toy": "acme/toy"}
    api = huggingface_hub.HfApi()
    for name in ("old/toy", "toy", "Acme/Toy"):
        assert api.model_info(name).id == "acme/toy"
        assert len(list(api.list_repo_tree(name, recursive=True))) == 7
        url = huggingface_hub.hf_hub_url(name, "config.json")
        assert huggingface_hub.get_hf_file_metadata(url).commit_hash == repo.sha


CHECKS = (
    model_info_has_sizes_and_hashes,
    model_info_of_a_revision,
    model_info_of_some_properties,
    a_tree_in_pages_of_one,
    a_tree_below_a_folder,
    paths_info,
    lists_of_models,
    references,
    metadata_of_files,
    refusals,
    other_names,
)
