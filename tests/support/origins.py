"""A Hub, a Civitai and files whose origin is known, for tests of look-ups."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support.fake_hub import (
    ArchivedFile,
    CivitaiFile,
    CivitaiVersion,
    FakeHub,
    FakeRepo,
)
from tests.support.models import safetensors_bytes, sha256

__all__ = ["Origins", "environment", "make_origins"]

CARD = b"""---
license: openrail
base_model: acme/base
tags: [sd15]
---
# Epic

A photorealistic model that does what people want it to do, mostly.
"""


@dataclass(frozen=True, slots=True)
class Origins:
    """Files on disk, by where they are from."""

    folder: Path
    published: Path
    """On the Hub, under another copy's name."""
    renamed: Path
    """On the Hub, under a name that tells nothing."""
    impostor: Path
    """Name and size of a file on the Hub, and other bytes."""
    on_civitai: Path
    archived: Path
    """CivArchive knows that the Hub has it."""
    homeless: Path


def environment(hub: FakeHub) -> dict[str, str]:
    """What makes ``cellar`` ask the fake."""
    return {
        "HF_ENDPOINT": hub.hub_url,
        "MODELCELLAR_CIVITAI_ENDPOINT": hub.civitai_url,
        "MODELCELLAR_CIVARCHIVE_ENDPOINT": hub.civarchive_url,
        "MODELCELLAR_LOOKUP": "1",
    }


def make_origins(hub: FakeHub, folder: Path) -> Origins:
    """Publish some files and put copies of them, and others, into ``folder``."""
    epic, lora, civitai, archived = (safetensors_bytes(seed=seed) for seed in range(4))
    hub.add(
        FakeRepo(
            "someone/epicrealism",
            {"epicrealism_v5_final.safetensors": epic, "README.md": CARD},
            card={"license": "openrail", "base_model": "acme/base"},
            tags=("stable-diffusion", "license:openrail"),
            pipeline_tag="text-to-image",
        )
    )
    hub.add(FakeRepo("artist/toy_lora", {"toy_lora_v2.safetensors": lora}))
    hub.add(FakeRepo("mirror/collection", {"deep/inside.safetensors": archived}))
    hub.add_version(
        CivitaiVersion(
            11,
            22,
            (CivitaiFile(33, "comic.safetensors", civitai),),
            model_name="Comic",
            trained_words=("comic style",),
        )
    )
    url = "https://huggingface.co/mirror/collection/resolve/main/deep/inside.safetensors"
    hub.civarchive.files[sha256(archived)] = (ArchivedFile("huggingface", url, "inside"),)
    contents: Mapping[str, bytes] = {
        "epicrealism_v5_final(1).safetensors": epic,
        "mystery.safetensors": lora,
        "toy_lora_v2.safetensors": safetensors_bytes(seed=99),
        "whatever.safetensors": civitai,
        "unnamed.safetensors": archived,
        "nobody-knows.safetensors": safetensors_bytes(seed=98),
    }
    folder.mkdir(exist_ok=True)
    for name, data in contents.items():
        (folder / name).write_bytes(data)
    return Origins(folder, *(folder / name for name in contents))
