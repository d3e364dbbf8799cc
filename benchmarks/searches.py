"""What is typed in the search benchmark: every shape of query, common words and rare ones."""

from dataclasses import dataclass

PAGE = 50


@dataclass(frozen=True, slots=True)
class Search:
    """One query; ``offset``: the models that pages before this one showed."""

    shape: str
    text: str
    offset: int = 0


WORST = "two common words"
"""The shape that has a bar of its own."""

_TEXTS: dict[str, tuple[str, ...]] = {
    "2-char prefix": ("an", "st", "ka", "re", "ju", "v2"),
    "3-char prefix": ("ani", "sdx", "dre", "q4_"),
    "5-char prefix": ("reali", "illus", "instr", "jugge", "halmu"),
    "common word": ("lora", "anime", "style", "sdxl", "instruct", "gguf"),
    "rare word": ("watercolor", "steampunk", "storywriter", "dreamshaper", "draethdu"),
    "two words": ("pony dragon", "flux ghibli", "qwen2.5 coder", "noobai mecha", "zavy photon"),
    WORST: ("anime style", "sdxl lora", "llama instruct", "style character", "style mix"),
    "three words": ("sdxl anime lora", "llama 8b q4km", "qwen2.5 7b instruct"),
    "version or quantisation": ("q4km", "q4_k_m", "llama 3.1 8b", "v2.1"),
    "word and type": ("anime type:lora", "flux type:checkpoint", "style type:lora"),
    "word and size": ("llama size>4GB", "sdxl size<200MB", "anime size>6GB"),
    "miss": ("nothingatall", "xqzzqx", "anime nothingatall", "dreamshapper"),
    "inside of a word": ("uggernau", "treamsha"),
    "phrase": ('"anime style"', '"dark fantasy"', '"llama 3.1"'),
    "exclusion": ("anime -sdxl", "llama -gguf", "-lora", "style -anime -pony"),
    "cjk": ("模型", "写", "日本語", "모델", "国风 lora"),
    "file name": ("DujuanArtV12.2.safetensors", "karisen_style_sdxl_v2.safetensors"),
    "nothing typed": ("",),
}

SEARCHES = (
    *(Search(shape, text) for shape, texts in _TEXTS.items() for text in texts),
    Search("deep page", "anime", 1_000),
    Search("deep page", "lora", 5_000),
    Search("deep page", "sdxl", 20_000),
    Search("deep page", "", 5_000),
)
