"""Preset files: what they may say, and how a mistake is told."""

import pytest

from modelcellar.errors import UsageError
from modelcellar.link_records import LinkKind
from modelcellar.links.preset_files import read_preset, tidy_folder
from modelcellar.links.preset_values import Collision, RootRule, Rule, Shape, Unit

WHOLE = """
extends = "comfyui"
title = "Mine"
layout = "folders"
extensions = [".GGUF"]
hidden = ["incomplete"]
shapes = ["single", "set"]
shared = [["a", "b/c"]]
links = ["reflink", "hardlink"]
collision = "stem"
rewrites = false
companions = [".preview.png"]
projectors = "mmproj"
hazards = ["Mind the gap."]

[root]
hint = "the folder"
marks = ["main.py"]
places = ["~/mine", "$MINE/models"]

[folders]
lora = "./models/loras/"
"*" = "."
vae = ""

[units]
llm = "folder"

[takes]
upscaler = [".pth"]

[[rules]]
when = "type:lora base:flux"
kind = "x"
shapes = ["single"]
folder = "models/{publisher}/{repository}"
unit = "file"
extensions = []

[options]
anything = [1, "two"]
"""


def test_everything_that_can_be_said() -> None:
    assert read_preset(WHOLE.encode(), "x.toml") == {
        "extends": "comfyui",
        "title": "Mine",
        "layout": "folders",
        "extensions": (".gguf",),
        "hidden": ("incomplete",),
        "shapes": (Shape.SINGLE, Shape.SET),
        "shared": (("a", "b/c"),),
        "links": (LinkKind.REFLINK, LinkKind.HARDLINK),
        "collision": Collision.STEM,
        "rewrites": False,
        "companions": (".preview.png",),
        "projectors": "mmproj",
        "hazards": ("Mind the gap.",),
        "root": RootRule("the folder", ("main.py",), ("~/mine", "$MINE/models")),
        "folders": {"lora": "models/loras", "*": ".", "vae": ""},
        "units": {"llm": Unit.FOLDER},
        "takes": {"upscaler": (".pth",)},
        "rules": (
            Rule(
                "models/{publisher}/{repository}",
                "type:lora base:flux",
                "x",
                (Shape.SINGLE,),
                Unit.FILE,
                (),
            ),
        ),
        "options": {"anything": [1, "two"]},
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("title =", "x.toml is not valid TOML"),
        ("\udcff", "x.toml is not valid TOML"),
        ('titel = "x"', "x.toml: titel: there is no such key; did you mean 'title'?"),
        ("title = 1", "x.toml: title: must be a text, not 1"),
        ('title = " "', "x.toml: title: must not be empty"),
        ('layout = "Über"', "x.toml: layout: 'Über' must be lower-case letters"),
        ("folders = 1", "x.toml: folders: must be a table"),
        ('[folders]\nloras = "x"', "folders.loras: there is no such model type; did you mean"),
        ('[folders]\nlora = "/etc"', "folders.lora: '/etc': absolute"),
        ('[folders]\nlora = "/"', "folders.lora: '/': absolute"),
        ('[folders]\nlora = "../x"', "folders.lora: '../x': has a part '..'"),
        ('[folders]\nlora = "a//b"', "folders.lora: 'a//b': has an empty part"),
        ('[folders]\nlora = "a\\\\b"', "holds a backslash"),
        ('[folders]\nlora = "C:/x"', "begins with a Windows drive"),
        ('[folders]\nlora = "{x}"', "folders.lora: '{x}' has {x}; what can be put in is {name}"),
        ('[folders]\nlora = "{name"', "folders.lora: '{name' has a brace without its pair"),
        ('[folders]\nlora = "{name.x}"', "has {name.x}; what can be put in"),
        ('[folders]\nlora = "{name!r:>9}"', "has {name!r:>9}; what can be put in"),
        ('[units]\nlora = "files"', "units.lora: 'files' is none of file, folder"),
        ('links = ["copy"]', "links.1: copy is never the choice of a preset"),
        ('links = ["generated"]', "links.1: generated is no link"),
        ('links = "hardlink"', "links: must be a list, not 'hardlink'"),
        ('links = ["hardlink", "soft"]', "links.2: 'soft' is none of hardlink,"),
        ('extensions = ["gguf"]', "extensions.1: 'gguf' must be an extension with its dot"),
        ("rewrites = 1", "rewrites: must be true or false, not 1"),
        ('[root]\nmarks = ["../x"]', "root.marks.1: '../x': has a part '..'"),
        ('[root]\nmark = ["x"]', "root.mark: there is no such key; did you mean 'marks'?"),
        ('[[rules]]\nwhen = "type:lora"', "rules.1: folder: is missing"),
        ('[[rules]]\nfolder = "x"', "rules.1: has no condition"),
        ('[[rules]]\nfolder = "x"\nwhen = "type:loras"', "rules.1.when: 'type:loras':"),
        ('[[rules]]\nfolder = "x"\nwhen = "flux or sdxl"', "a rule has no 'or'"),
        ('[[rules]]\nfolder = "x"\nwhen = "flux sort:name"', "a rule sorts nothing"),
        ("options = 3", "options: must be a table"),
    ],
)
def test_a_mistake_is_told_with_its_place(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_preset(text.encode("utf-8", "surrogateescape"), "x.toml")
    assert message in caught.value.message
    assert caught.value.message.startswith("x.toml")
    assert caught.value.hint


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        *[("", ""), (".", "."), ("./", "."), ("a", "a"), ("a/", "a"), ("./a/b//", "a/b")],
        *[("/", "/"), ("/a", "/a"), ("..", ".."), (".a", ".a")],
    ],
)
def test_what_says_nothing_is_left_out_of_a_folder(said: str, meant: str) -> None:
    assert tidy_folder(said) == meant
