"""Files that tell applications where the library's own files are, read as those do."""

import json
import os
from pathlib import Path

import pytest
import yaml

from modelcellar.library import ModelLibrary
from modelcellar.records import ModelRecord, ModelType
from tests.support.models import write_diffusers_folder, write_gguf, write_safetensors
from tests.support.wishes import Asked, ask, put


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "app"
    folder.mkdir()
    return folder


def add(
    library: ModelLibrary, *paths: Path, model_type: ModelType | None = None
) -> list[ModelRecord]:
    report = library.import_paths(paths, model_type=model_type, lookup=False)
    assert [result.status for result in report.results] == ["imported"] * len(report.results)
    return list(report.models)


def placed(library: ModelLibrary, root: Path, preset: str) -> Asked:
    asked = ask(library, root, preset)
    put(library, asked.wishes)
    assert ask(library, root, preset) == asked
    return asked


def with_projector(folder: Path) -> Path:
    write_gguf(folder / "Toy-Q4_K_M.gguf", seed=1, metadata={"llama.embedding_length": 64})
    clip: dict[str, str | int] = {"general.architecture": "clip", "general.type": "mmproj"}
    clip["clip.vision.projection_dim"] = 64
    write_gguf(folder / "mmproj-toy.gguf", seed=2, metadata=clip)
    return folder


class TestJan:
    def read(self, root: Path) -> dict[str, dict[str, object]]:
        """Model id -> what its file says, as Jan lists them."""
        models = root / "llamacpp" / "models"
        files = models.rglob("model.yml")
        return {
            path.parent.relative_to(models).as_posix(): yaml.safe_load(path.read_text("utf-8"))
            for path in files
        }

    def test_the_library_s_own_files_are_named(
        self, library: ModelLibrary, source_folder: Path, root: Path
    ) -> None:
        [model] = add(library, with_projector(source_folder))
        placed(library, root, "jan")
        folder = library.path / "models" / model.id
        digests = {file.path: file.digests.sha256 for file in model.files}
        assert self.read(root) == {
            "cellar/Toy-Q4_K_M": {
                "model_path": str(folder / "Toy-Q4_K_M.gguf"),
                "mmproj_path": str(folder / "mmproj-toy.gguf"),
                "name": "Toy-Q4_K_M",
                "size_bytes": model.size_bytes,
                "embedding": False,
                "model_sha256": digests["Toy-Q4_K_M.gguf"],
            }
        }

    def test_names_that_are_hard_to_write(
        self, library: ModelLibrary, source_folder: Path, root: Path
    ) -> None:
        write_gguf(source_folder / "- #1 'größer' & more 😀.gguf", seed=1)
        report = library.import_paths([source_folder], name='a "b": c', lookup=False)
        assert len(report.models) == 1
        placed(library, root, "jan")
        [said] = self.read(root).values()
        assert said["name"] == 'a "b": c'
        assert Path(str(said["model_path"])).is_file()

    def test_two_of_one_name(self, library: ModelLibrary, source_folder: Path, root: Path) -> None:
        add(library, write_gguf(source_folder / "a" / "Toy.gguf", seed=1))
        [second] = add(library, write_gguf(source_folder / "b" / "toy.gguf", seed=2))
        placed(library, root, "jan")
        digest = second.files[0].digests.sha256
        assert sorted(self.read(root)) == ["cellar/Toy", f"cellar/toy-{digest[:8]}"]

    def test_other_models_are_left_out(
        self, library: ModelLibrary, source_folder: Path, root: Path
    ) -> None:
        [model] = add(library, write_safetensors(source_folder / "x.safetensors", seed=1))
        asked = ask(library, root, "jan")
        assert asked.wishes == ()
        assert model.id in asked.reasons


def test_koboldcpp_gets_a_configuration_for_each_model(
    library: ModelLibrary, source_folder: Path, root: Path
) -> None:
    [model] = add(library, with_projector(source_folder))
    placed(library, root, "koboldcpp-configs")
    [path] = root.iterdir()
    assert path.name == "Toy-Q4_K_M.kcpps"
    folder = library.path / "models" / model.id
    assert json.loads(path.read_bytes()) == {
        "model_param": str(folder / "Toy-Q4_K_M.gguf"),
        "mmproj": str(folder / "mmproj-toy.gguf"),
    }


def test_koboldcpp_and_jan_are_given_the_first_of_several_parts(
    library: ModelLibrary, source_folder: Path, root: Path
) -> None:
    for number in (2, 1):
        write_gguf(source_folder / f"big-0000{number}-of-00002.gguf", seed=number)
    [model] = add(library, source_folder)
    first = str(library.path / "models" / model.id / "big-00001-of-00002.gguf")
    placed(library, root, "koboldcpp-configs")
    placed(library, root, "jan")
    assert json.loads((root / "big.kcpps").read_bytes()) == {"model_param": first}
    assert TestJan().read(root)["cellar/big"]["model_path"] == first


class TestComfyUI:
    def read(self, root: Path) -> dict[str, list[str]]:
        """Folder key -> what is found below its paths, as ``load_extra_path_config`` reads them."""
        found: dict[str, list[str]] = {}
        document = yaml.safe_load((root / "extra_model_paths.yaml").read_text("utf-8"))
        for section in document.values():
            base = section.pop("base_path")
            for key, lines in section.items():
                for line in lines.split("\n"):
                    if line:
                        folder = Path(os.path.join(base, line))  # noqa: PTH118 - as ComfyUI does
                        files = (path for path in folder.rglob("*") if path.is_file())
                        names = [path.relative_to(folder).as_posix() for path in files]
                        found.setdefault(key, []).extend(names)
        return found

    def test_the_library_s_folders_are_named(
        self, library: ModelLibrary, source_folder: Path, root: Path
    ) -> None:
        for seed, (name, kind) in enumerate(
            (("a", ModelType.LORA), ("b", ModelType.LORA), ("v", ModelType.VAE))
        ):
            path = write_safetensors(source_folder / f"{name}.safetensors", seed=seed)
            add(library, path, model_type=kind)
        asked = placed(library, root, "comfyui-yaml")
        assert self.read(root) == {
            "loras": ["a.safetensors", "b.safetensors"],
            "vae": ["v.safetensors"],
        }
        assert [wish.model_id for wish in asked.wishes] == [""]

    def test_a_second_file_of_one_name_is_told_of(
        self, library: ModelLibrary, source_folder: Path, root: Path
    ) -> None:
        lora = ModelType.LORA
        add(
            library,
            write_safetensors(source_folder / "a" / "x.safetensors", seed=1),
            model_type=lora,
        )
        path = write_safetensors(source_folder / "b" / "X.safetensors", seed=2)
        [second] = add(library, path, model_type=lora)
        asked = placed(library, root, "comfyui-yaml")
        assert "called X.safetensors" in asked.reasons[second.id]
        assert self.read(root) == {"loras": ["x.safetensors"]}

    def test_what_cannot_be_named(
        self, library: ModelLibrary, source_folder: Path, root: Path
    ) -> None:
        checkpoint = ModelType.CHECKPOINT
        folder = write_diffusers_folder(source_folder / "pipe", seed=1)
        [pipeline] = add(library, folder, model_type=checkpoint)
        gguf = write_gguf(source_folder / "m.gguf", seed=2)
        [other] = add(library, gguf, model_type=checkpoint)
        asked = ask(library, root, "comfyui-yaml")
        assert asked.wishes == ()
        assert "folder" in asked.reasons[pipeline.id]
        assert "does not end in" in asked.reasons[other.id]


def test_fooocus_is_told_of_and_its_file_is_the_user_s(
    library: ModelLibrary, source_folder: Path, root: Path
) -> None:
    (root / "config.txt").write_text("{}")
    path = write_safetensors(source_folder / "a.safetensors", seed=1)
    [lora] = add(library, path, model_type=ModelType.LORA)
    path = write_safetensors(source_folder / "v.safetensors", seed=2)
    [vae] = add(library, path, model_type=ModelType.VAE)
    asked = ask(library, root, "fooocus-config")
    assert asked.wishes == ()
    folder = library.path / "models" / lora.id
    assert asked.reasons[lora.id] == f'add "{folder}" to the list path_loras in {root}/config.txt'
    assert "takes one folder only" in asked.reasons[vae.id]
