"""What each application would see in its folders, by its own rules of looking.

Written from the applications' rules (the notes of the project), not from our presets: each scanner
says for a folder tree which models it lists, under which type, and by which name. Names that one
file covers for another are listed once, as the application does.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

COMFYUI = (".ckpt", ".pt", ".pt2", ".bin", ".pth", ".safetensors", ".pkl", ".sft")
COMFYUI_FOLDERS = {
    "checkpoint": ("checkpoints",),
    "lora": ("loras",),
    "vae": ("vae",),
    "tiny vae": ("vae_approx",),
    # The old names are searched first.
    "text_encoder": ("clip", "text_encoders"),
    "diffusion_model": ("unet", "diffusion_models"),
    "clip_vision": ("clip_vision",),
    "embedding": ("embeddings",),
    "controlnet": ("controlnet", "t2i_adapter"),
    "upscaler": ("upscale_models",),
    "ip_adapter": ("ipadapter",),
    "audio": ("audio_encoders",),
    "vision": ("sams",),
}
CONFIGURATIONS = ("config", "model_index", "adapter_config")
"""Of transformers, diffusers and PEFT."""
GGUF_IN_COMFYUI = {"diffusion_model": ("unet", "diffusion_models"),
                   "text_encoder": ("clip", "text_encoders")}  # fmt: skip


@dataclass(frozen=True, order=True)
class Seen:
    """One model in the list of an application."""

    model_type: str
    name: str
    file: Path


Scanner = Callable[[Path], list[Seen]]


def comfyui(root: Path) -> list[Seen]:
    """``folder_paths``: each type has folders, searched to any depth; the first name wins."""
    found = []
    for extensions, folders in ((COMFYUI, COMFYUI_FOLDERS), ((".gguf",), GGUF_IN_COMFYUI)):
        for model_type, names in folders.items():
            listed: dict[str, Path] = {}
            for name in names:
                top = root / "models" / name
                for path in _files(top, extensions):
                    # It is listed in truth, but nobody loads it by itself.
                    if "mmproj" not in path.name:
                        listed.setdefault(_inside(path, top), path)
            found += [Seen(model_type, name, path) for name, path in listed.items()]
    for folder in _folders(root / "models" / "diffusers"):
        if (folder / "model_index.json").is_file():
            found.append(Seen("diffusers", folder.name, folder))
    return found


def _web_ui(folders: Mapping[str, tuple[Sequence[str], Sequence[str]]]) -> Scanner:
    """A1111 and its forks: a type has folders and extensions; it is known by the stem alone."""

    def scan(root: Path) -> list[Seen]:
        found = []
        for model_type, (names, extensions) in folders.items():
            listed: dict[str, Path] = {}
            for name in names:
                for path in _files(root / name, extensions):
                    listed[path.stem] = path
            found += [Seen(model_type, stem, path) for stem, path in listed.items()]
        for folder in _folders(root / "models" / "diffusers"):
            found.append(Seen("diffusers", folder.name, folder))
        return found

    return scan


UPSCALERS = ("models/ESRGAN", "models/RealESRGAN", "models/SwinIR", "models/DAT")
_PTS = (".pth", ".pt", ".safetensors")
_A1111 = {
    "checkpoint": (("models/Stable-diffusion",), (".safetensors", ".ckpt")),
    "vae": (("models/VAE",), (".safetensors", ".ckpt", ".pt")),
    "tiny vae": (("models/VAE-taesd", "models/VAE-approx"), _PTS),
    "lora": (("models/Lora", "models/LyCORIS"), (".safetensors", ".ckpt", ".pt")),
    "embedding": (("embeddings",), (".safetensors", ".pt", ".bin")),
    "controlnet": (("models/ControlNet",), (".safetensors", ".ckpt", ".pt", ".pth", ".bin")),
    "upscaler": (UPSCALERS, _PTS),
}
a1111 = _web_ui(_A1111)
_FORGE = {
    **_A1111,
    "checkpoint": (("models/Stable-diffusion",), (".safetensors", ".ckpt", ".gguf")),
    "text_encoder": (("models/text_encoder",), (".safetensors", ".gguf")),
}
forge = _web_ui(_FORGE)
forge_neo = _web_ui({**_FORGE, "embedding": (("models/embeddings",), _A1111["embedding"][1])})
sdnext = _web_ui(
    {
        "checkpoint": (("models/Stable-diffusion",), (".safetensors", ".ckpt")),
        "vae": (("models/VAE",), (".safetensors", ".ckpt")),
        "diffusion_model": (("models/UNET",), (".safetensors", ".gguf")),
        "text_encoder": (("models/Text-encoder",), (".safetensors", ".gguf")),
        "lora": (("models/Lora",), (".safetensors", ".ckpt")),
        "embedding": (("models/embeddings",), (".safetensors", ".pt", ".bin")),
        "controlnet": (("models/control",), (".safetensors", ".ckpt")),
        "upscaler": (("models/ESRGAN", "models/SwinIR"), _PTS),
        "vision": (("models/yolo",), (".pt", ".pth", ".safetensors")),
    }
)


def _by_folder(folders: Mapping[str, str], extensions: Sequence[str]) -> Scanner:
    """One folder a type, to any depth, by path."""

    def scan(root: Path) -> list[Seen]:
        return [
            Seen(model_type, _inside(path, root / name), path)
            for model_type, name in folders.items()
            for path in _files(root / name, extensions)
        ]

    return scan


swarmui = _by_folder(
    {
        "checkpoint": "Models/Stable-Diffusion",
        "diffusion_model": "Models/diffusion_models",
        "lora": "Models/Lora",
        "vae": "Models/VAE",
        "embedding": "Models/Embeddings",
        "controlnet": "Models/controlnet",
        "text_encoder": "Models/text_encoders",
        "clip_vision": "Models/clip_vision",
    },
    (".safetensors", ".sft", ".gguf", ".ckpt", ".pt", ".pth", ".bin"),
)
fooocus = _by_folder(
    {
        "checkpoint": "models/checkpoints",
        "lora": "models/loras",
        "embedding": "models/embeddings",
        "vae": "models/vae",
        "tiny vae": "models/vae_approx",
        "upscaler": "models/upscale_models",
        "controlnet": "models/controlnet",
        "clip_vision": "models/clip_vision",
        "vision": "models/sam",
    },
    (".pth", ".ckpt", ".bin", ".safetensors", ".fooocus.patch"),
)


def lmstudio(root: Path) -> list[Seen]:
    """``<publisher>/<model>/<file>.gguf``; a projector goes with its folder, parts are one."""
    for path in root.rglob("*"):
        # One link that leads nowhere hides everything.
        if path.is_symlink() and not path.exists():
            return []
    found = []
    for folder in (one for publisher in _folders(root) for one in _folders(publisher)):
        home = f"{folder.parent.name}/{folder.name}"
        found += [
            Seen("llm", f"{home}/{path.name}", path)
            for path in sorted(folder.glob("*.gguf"))
            if "mmproj" not in path.name and _is_first(path)
        ]
        if (folder / "config.json").is_file() and any(folder.glob("*.safetensors")):
            found.append(Seen("mlx", home, folder))
    return found


def gpt4all(root: Path) -> list[Seen]:
    """GGUF files to any depth; linked folders are not entered, some names passed over."""
    return [
        Seen("llm", path.name, path)
        for path in _files(root, (".gguf",), follow=False)
        if not path.name.startswith("incomplete")
    ]


def textgen(root: Path) -> list[Seen]:
    """GGUF files to any depth, of parts the first; other models are folders on the first level."""
    data = root / "user_data"
    found = [
        Seen("llm", _inside(path, data / "models"), path)
        for path in _files(data / "models", (".gguf",))
        if _is_first(path)
    ]
    for model_type, name in (("llm", "models"), ("lora", "loras"), ("diffusers", "image_models")):
        found += [
            Seen(model_type, folder.name, folder)
            for folder in _folders(data / name)
            if model_type != "llm" or any(folder.glob("*.safetensors"))
        ]
    return found


def llama_cpp(root: Path) -> list[Seen]:
    """Files by their stem, and each folder on the first level, by its name: one of them a name."""
    listed: dict[str, Path] = {}
    for path in sorted(root.iterdir()) if root.is_dir() else []:
        if path.is_dir():
            inside = sorted(path.glob("*.gguf"))
            parts = [one for one in inside if "-00001-of-" in one.name]
            models = parts or [one for one in inside if "mmproj" not in one.name]
            if models:
                listed[path.name] = models[0]
        elif path.name.endswith(".gguf"):
            listed[path.stem] = path
    return [Seen("llm", name, path) for name, path in listed.items()]


def koboldcpp(root: Path) -> list[Seen]:
    """It lists nothing: what a person sees who chooses a file."""
    return [
        Seen("file", path.name, path)
        for path in _files(root, (".gguf", ".safetensors", ".bin"))
        if _is_first(path) and "mmproj" not in path.name
    ]


def plain_folder(root: Path) -> list[Seen]:
    """A path to a file, or to a folder with a configuration in it."""
    found = [Seen("file", path.name, path) for path in sorted(root.glob("*.*")) if path.is_file()]
    for folder in _folders(root):
        if any((folder / f"{name}.json").is_file() for name in CONFIGURATIONS):
            found.append(Seen("folder", folder.name, folder))
        elif firsts := [one for one in sorted(folder.iterdir()) if _is_first(one)]:
            found.append(Seen("file", folder.name, firsts[0]))
    return found


def _files(top: Path, extensions: Sequence[str], *, follow: bool = True) -> Iterator[Path]:
    """Files to any depth that are there to be opened; what a link leads nowhere to is not."""
    for folder, folders, names in os.walk(top, followlinks=follow):
        folders[:] = sorted(name for name in folders if name != ".git")
        for name in sorted(names):
            path = Path(folder, name)
            if name.lower().endswith(tuple(extensions)) and path.is_file():
                yield path


def _folders(top: Path) -> list[Path]:
    """Real folders: links to folders are what some applications pass over."""
    found = sorted(top.iterdir()) if top.is_dir() else []
    return [path for path in found if path.is_dir() and not path.is_symlink()]


def _inside(path: Path, top: Path) -> str:
    return path.relative_to(top).as_posix()


def _is_first(path: Path) -> bool:
    number, _, total = path.stem.rpartition("-of-")
    return not (total.isdigit() and number[-5:].isdigit()) or number.endswith("-00001")


SCANNERS: Mapping[str, Scanner] = {
    "comfyui": comfyui,
    "a1111": a1111,
    "forge": forge,
    "forge-neo": forge_neo,
    "sdnext": sdnext,
    "swarmui": swarmui,
    "fooocus": fooocus,
    "lmstudio": lmstudio,
    "gpt4all": gpt4all,
    "textgen": textgen,
    "llama-cpp": llama_cpp,
    "koboldcpp": koboldcpp,
    "folder": plain_folder,
}
"""The scanner of each preset of the layout ``folders``."""
