"""What a set says of applications and their links, and what is taken out of texts."""

from pathlib import Path

import pytest

from modelcellar.config import Settings
from modelcellar.exporting import without_secrets
from modelcellar.library import ModelLibrary
from modelcellar.model_set import decode_set, encode_set
from tests.support.models import write_gguf


def test_applications_and_their_links(
    settings: Settings, source_folder: Path, tmp_path: Path
) -> None:
    app = tmp_path / "app"
    app.mkdir()
    write_gguf(source_folder / "one.gguf", seed=1)
    with ModelLibrary.create(settings.library, settings=settings) as library:
        library.import_paths([source_folder], lookup=False)
        assert "apps" not in encode_set(library.export()).decode()
        library.applications.add("mine", app, preset="folder")
        library.sync()
        found = decode_set(encode_set(library.export()), "x")
        digest = library.get("one").files[0].digests.sha256
    (installed,) = found.apps
    assert (installed["name"], installed["preset"], installed["root"]) == (
        "mine",
        "folder",
        str(app),
    )
    (link,) = found.links
    assert Path(link["target"]).is_relative_to(app)
    assert (link["app"], link["content_digest"], link["path"]) == ("mine", digest, "one.gguf")
    # Models are without any place of this machine, whatever the applications say.
    models = encode_set(found).decode().partition('"models"')[2]
    assert str(tmp_path) not in models


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("plain", "plain"),
        ("https://a.b/c?d=e#f", "https://a.b/c?d=e#f"),
        ("https://u:p@a.b/c", "https://a.b/c"),
        ("see https://a.b/?token=T&n=1 and more", "see https://a.b/?n=1 and more"),
        ("https://a.b/?X-Amz-Signature=1&X-Amz-Credential=2&v=3", "https://a.b/?v=3"),
        ("https://a.b/?apikey=1", "https://a.b/"),
        ("https://a.b/?monkey=1&design=2", "https://a.b/?monkey=1&design=2"),
        ("https://[bad", "https://[bad"),
        ("hf_abcdefghijklmnopqrstuvwxyz", "hf_..."),
        (["https://u@a.b", 1, None], ["https://a.b", 1, None]),
        ({"k": {"l": "https://u@a.b/"}}, {"k": {"l": "https://a.b/"}}),
        (12, 12),
    ],
)
def test_secrets_are_taken_out(value: object, expected: object) -> None:
    assert without_secrets(value) == expected
