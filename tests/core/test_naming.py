"""Names are judged the same on every platform, and no good one leaves its folder."""

import errno
import ntpath
import os
import posixpath
import random
import sys
import unicodedata
from pathlib import Path, PureWindowsPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelcellar import naming

DIGEST = "0123456789abcdef" * 4

GOOD_PATHS = [
    "model.safetensors",
    "unet/diffusion_pytorch_model-00001-of-00002.safetensors",
    "日本語モデル.safetensors",
    "café.bin",
    "cafe\u0301.bin",
    "ünïcode/ß.gguf",
    ".gitattributes",
    "..hidden",
    "a..b",
    "-rf",
    "~",
    "a b",
    " leading space",
    "[anime] lora (v1.0) {x} & more, 100%.safetensors",
    "$RECYCLE.BIN",
    "console.txt",
    "com10.bin",
    "auxiliary.bin",
    "nul-1.bin",
    "name-\udce9.bin",
    "\udcff\udcfe/\udc80",
    "\u200emarks may stand in names\u200f",
    "a" * 255,
    "é" * 127,
    "/".join(["x" * 199] * 5),
]

BAD_PATHS = [
    ("", "empty"),
    (".", "dot_part"),
    ("..", "dot_part"),
    ("a/../b", "dot_part"),
    ("a/./b", "dot_part"),
    ("a/..", "dot_part"),
    ("a//b", "empty_part"),
    ("a/", "empty_part"),
    ("/", "absolute"),
    ("/etc/passwd", "absolute"),
    ("//server/share/x", "unc"),
    ("\\\\server\\share\\x", "unc"),
    ("/\\server/share", "unc"),
    ("\\/server/share", "unc"),
    ("\\Windows", "root_relative"),
    ("C:\\Windows", "drive"),
    ("C:x", "drive"),
    ("c:/x", "drive"),
    ("..\\x", "backslash"),
    ("a\\b", "backslash"),
    ("a:b", "colon"),
    ("x/C:y", "colon"),
    ("model.bin::$DATA", "colon"),
    ("nul\0byte", "control"),
    ("line\nbreak", "control"),
    ("\x1b[31mred", "control"),
    ("del\x7f", "control"),
    ("c1\x9b31m", "control"),
    ("a<b", "forbidden_character"),
    ("a>b", "forbidden_character"),
    ('a"b', "forbidden_character"),
    ("a|b", "forbidden_character"),
    ("a?b", "forbidden_character"),
    ("a*b", "forbidden_character"),
    ("con", "reserved"),
    ("x/AUX.safetensors", "reserved"),
    ("nul.tar.gz", "reserved"),
    ("Prn .txt", "reserved"),
    ("com1.bin", "reserved"),
    ("COM¹", "reserved"),
    ("lpt².x", "reserved"),
    ("LPT9", "reserved"),
    ("conin$", "reserved"),
    ("CONOUT$.log", "reserved"),
    ("dot.", "trailing"),
    ("space ", "trailing"),
    ("folder./x", "trailing"),
    ("...", "trailing"),
    (".. ", "trailing"),
    ("a" * 256, "part_too_long"),
    ("é" * 128, "part_too_long"),
    ("😀" * 64, "part_too_long"),
    ("/".join(["x" * 199] * 5) + "/x", "path_too_long"),
    ("evil\u202egpj.exe", "bidi"),
    ("a\u2066b", "bidi"),
    ("high\ud800", "surrogate"),
    ("escaped slash \udc2f", "surrogate"),
    ("together valid \udcc3\udca9", "surrogate"),
]


@pytest.mark.parametrize("path", GOOD_PATHS)
def test_good_path(path: str) -> None:
    assert naming.relative_path_problems(path) == ()


@pytest.mark.parametrize(("path", "code"), BAD_PATHS)
def test_bad_path(path: str, code: str) -> None:
    problems = naming.relative_path_problems(path)
    assert code in [problem.code for problem in problems]
    assert all(problem.part in path and problem.reason for problem in problems)


def test_problems_name_the_part() -> None:
    problems = naming.relative_path_problems("good/con.bin/bad:name/x.")
    assert [(problem.code, problem.part) for problem in problems] == [
        ("reserved", "con.bin"),
        ("colon", "bad:name"),
        ("trailing", "x."),
    ]


def test_hostile_length_gives_one_problem() -> None:
    assert len(naming.relative_path_problems("../" * 1_000_000)) == 1


# The bulk: names made of the pieces that have gone wrong somewhere, judged by the standard
# library's own idea of both platforms.

PIECES = [
    *["..", ".", "...", "con", "CON", "nul.txt", "com¹", "COM1", "Aux.gguf", "lpt9 ", "conin$"],
    *["C:", "c:", "\\", "//", "\\\\", "\\\\?\\", "/", "server", "share", "~", "-", "$DATA", ":"],
    *["a", "B", "7", "model", "model.safetensors", "é", "e\u0301", "日本", "모델", "ß", "İ", "😀"],
    *["\0", "\n", "\x1f", "\x7f", "\x85", " ", "  ", "x.", "y ", "a" * 100, "é" * 100, "_", "__"],
    *["\udc80", "\udcff", "\udcc3", "\udca9", "\ud800", "\u202e", "\u2066", "\u200d", "<", "|"],
]


def generated_path(rng: random.Random) -> str:
    if rng.random() < 0.3:
        return "/".join(
            "".join(rng.choices("abcXYZ019._- é日()", k=rng.randint(1, 12)))
            for _ in range(rng.randint(1, 4))
        )
    pieces: list[str] = []
    for _ in range(rng.randint(1, 6)):
        pieces.append(rng.choice(PIECES))
        pieces.append(rng.choice(["", "", "/", "/", "\\", "."]))
    return "".join(pieces[:-1] if rng.random() < 0.8 else pieces)


def is_reserved_on_windows(part: str) -> bool:
    if sys.version_info >= (3, 13):
        return ntpath.isreserved(part)
    return PureWindowsPath(part).is_reserved()


def assert_stays_below(path: str) -> None:
    root = "/library/models/m"
    assert posixpath.normpath(posixpath.join(root, path)) == f"{root}/{path}"
    root = "D:\\library\\models\\m"
    windows_path = path.replace("/", "\\")
    assert ntpath.normpath(ntpath.join(root, path)) == f"{root}\\{windows_path}"
    assert ntpath.splitdrive(path)[0] == ""
    assert not ntpath.isabs(path)
    parts = PureWindowsPath(path).parts
    assert parts == tuple(path.split("/"))
    assert not any(map(is_reserved_on_windows, parts))
    assert all(part == part.rstrip(". ") for part in parts)
    raw = path.encode("utf-8", "surrogateescape")
    assert raw.decode("utf-8", "surrogateescape") == path
    assert len(raw) <= 1000
    assert all(len(part.encode("utf-16-le", "surrogatepass")) <= 510 for part in parts)


def test_no_good_path_escapes_on_either_platform() -> None:
    rng = random.Random(20260)
    good = 0
    for _ in range(100_000):
        path = generated_path(rng)
        problems = naming.relative_path_problems(path)
        assert all(problem.reason for problem in problems)
        if not problems:
            assert_stays_below(path)
            good += 1
    assert 10_000 < good < 90_000, "the generator makes too few of one kind"


@settings(max_examples=2_000, deadline=None, database=None)
@given(st.text(st.characters(codec=None), max_size=40))
def test_any_text_is_judged(path: str) -> None:
    if not naming.relative_path_problems(path):
        assert_stays_below(path)


# Slugs and ids


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Llama 3.1 8B Instruct", "llama-3.1-8b-instruct"),
        ("sd_xl_base_1.0", "sd_xl_base_1.0"),
        ("日本語モデル", "日本語モデル"),
        ("모델 v2", "모델-v2"),
        ("मॉडल", "मॉडल"),
        ("Cafe\u0301", "café"),
        ("Straße", "straße"),
        ("J\u030c", "\u01f0"),
        ("İstanbul", "i̇stanbul"),
        ("  [SDXL] -- Foo__Bar!!  ", "sdxl-foo_bar"),
        ("black-forest-labs/FLUX.1-dev", "black-forest-labs-flux.1-dev"),
        ("a\tb\nc", "a-b-c"),
        ("ev\u202eil\x07\u200b", "evil"),
        ("raw-\udce9-name", "raw-name"),
        ("con.foo", "con-foo"),
        ("COM¹.x", "com¹-x"),
        ("Nul .tar", "nul-tar"),
        ("conin$.x", "conin-x"),
        ("console.log", "console.log"),
        ("...", "model"),
        ("🔥🔥", "model"),
        ("", "model"),
        ("\u0301x", "x"),
        ("a" * 200, "a" * 80),
        ("日" * 200, "日" * 53),
        ("a" * 79 + ".-b", "a" * 79),
    ],
)
def test_slug(name: str, slug: str) -> None:
    assert naming.slug(name) == slug


def assert_good_slug(name: str) -> None:
    slug = naming.slug(name)
    assert naming.slug(slug) == slug
    assert 1 <= len(slug) <= 80
    assert len(slug.encode()) <= 160
    assert slug == unicodedata.normalize("NFC", slug) == slug.lower()
    assert not set(slug) & set('/\\:*?"<>| \0')
    model_id = naming.model_id(name, DIGEST)
    assert model_id == f"{slug}-01234567"
    assert naming.is_model_id(model_id)
    assert naming.relative_path_problems(model_id) == ()
    assert not is_reserved_on_windows(model_id)


def test_slug_of_every_character() -> None:
    characters = list(map(chr, range(sys.maxunicode + 1)))
    random.Random(1).shuffle(characters)
    for start in range(0, len(characters), 50):
        assert_good_slug("a" + "".join(characters[start : start + 50]))


def test_slug_of_generated_names() -> None:
    rng = random.Random(2)
    for _ in range(20_000):
        assert_good_slug(generated_path(rng))


@settings(max_examples=2_000, deadline=None, database=None)
@given(st.text(st.characters(codec=None)))
def test_slug_of_any_text(name: str) -> None:
    assert_good_slug(name)


def test_slug_of_a_very_long_name_is_quick() -> None:
    assert naming.slug("-" * 10_000_000 + "a") == "model"


@pytest.mark.parametrize("digits", [8, 12, 64])
def test_model_id_digits(digits: int) -> None:
    model_id = naming.model_id("Flux.1 [dev]", DIGEST, digits)
    assert model_id == f"flux.1-dev-{DIGEST[:digits]}"
    assert naming.is_model_id(model_id)


@pytest.mark.parametrize(
    ("digest", "digits"),
    [(DIGEST, 7), (DIGEST, 65), (DIGEST[:-1], 8), (DIGEST.upper(), 8), ("../" * 22, 8)],
)
def test_model_id_refuses(digest: str, digits: int) -> None:
    with pytest.raises(ValueError, match=r"digest|digits"):
        naming.model_id("x", digest, digits)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "model",
        "01234567",
        "-01234567",
        "model-0123456",
        "model-0123456g",
        "model-01234567\n",
        "\nmodel-01234567",
        "Model-01234567",
        "model-ABCDEF01",
        "../x-01234567",
        "a/b-01234567",
        "a\\b-01234567",
        "c:a-01234567",
        "a b-01234567",
        "a--01234567",
        ".a-01234567",
        "con.foo-01234567",
        "cafe\u0301-01234567",
        "a\u202eb-01234567",
        "a\0b-01234567",
        "a\udc80-01234567",
        "a" * 81 + "-01234567",
        "日" * 54 + "-01234567",
        "model-" + "0" * 65,
    ],
)
def test_not_a_model_id(text: str) -> None:
    assert not naming.is_model_id(text)


def test_model_id_of_a_newer_unicode() -> None:
    unassigned = next(
        c for c in map(chr, range(0x32000, 0x3FFFF)) if unicodedata.category(c) == "Cn"
    )
    assert naming.is_model_id(f"{unassigned}-01234567")


def test_is_digest() -> None:
    assert naming.is_digest(DIGEST)
    for text in (DIGEST[1:], DIGEST + "0", DIGEST.upper(), DIGEST + "\n", "g" + DIGEST[1:], ""):
        assert not naming.is_digest(text)
    assert not naming.is_digest("٠" * 64)


# Collisions


@pytest.mark.parametrize(
    ("paths", "pairs"),
    [
        ([], []),
        (["a", "b/a", "b/c"], []),
        (["Model.bin", "model.BIN"], [("Model.bin", "model.BIN")]),
        (["caf\u00e9", "cafe\u0301"], [("caf\u00e9", "cafe\u0301")]),
        (["STRASSE", "straße"], [("STRASSE", "straße")]),
        (["ΑΣ", "ας"], [("ΑΣ", "ας")]),
        (["x", "x"], [("x", "x")]),
        (["vae", "vae/model"], [("vae", "vae/model")]),
        (["VAE/model", "vae"], [("VAE/model", "vae")]),
        (["a/b/c", "a/B"], [("a/b/c", "a/B")]),
        (["VAE/a", "vae/b"], [("VAE/a", "vae/b")]),
        (["vae/a", "vae/b"], []),
        (["a", "A", "Á", "á"], [("a", "A"), ("Á", "á")]),
        (["\udce9", "\udce8"], []),
        # Folding turns the iota below into a letter, so the marks must be in order before it.
        (
            ["\u03b1\u0345\u0301", "\u03b1\u0301\u0345"],
            [("\u03b1\u0345\u0301", "\u03b1\u0301\u0345")],
        ),
    ],
)
def test_collisions(paths: list[str], pairs: list[tuple[str, str]]) -> None:
    assert naming.collisions(paths) == tuple(pairs)


def test_collisions_of_many_paths_are_found_quickly() -> None:
    paths = [f"folder{n % 100}/sub/file{n}.bin" for n in range(20_000)]
    assert naming.collisions([*paths, "FOLDER7/sub/file7.bin"]) == (
        ("folder7/sub/file7.bin", "FOLDER7/sub/file7.bin"),
    )


# Suggestions, display, storage


@pytest.mark.parametrize(
    ("part", "suggestion"),
    [
        ("model.safetensors", "model.safetensors"),
        ("a:b?.bin", "a_b_.bin"),
        ("con.bin", "con_.bin"),
        ("Aux", "Aux_"),
        ("lpt1 .x", "lpt1_.x"),
        ("name. ", "name"),
        ("..", "_"),
        ("", "_"),
        ("a/b", "a_b"),
        ("x" * 300 + ".safetensors", "x" * 243 + ".safetensors"),
        ("名" * 100 + ".bin", "名" * 83 + ".bin"),
        ("raw-\udce9.bin", "raw-_.bin"),
    ],
)
def test_portable_name(part: str, suggestion: str) -> None:
    assert naming.portable_name(part) == suggestion


def test_portable_name_is_always_good() -> None:
    rng = random.Random(3)
    for _ in range(20_000):
        part = generated_path(rng)
        suggestion = naming.portable_name(part)
        assert naming.relative_path_problems(suggestion) == ()
        assert "/" not in suggestion
        assert naming.portable_name(suggestion) == suggestion
        is_utf8 = not any(0xD800 <= ord(c) <= 0xDFFF for c in part)
        if is_utf8 and "/" not in part and not naming.relative_path_problems(part):
            assert suggestion == part


@settings(max_examples=2_000, deadline=None, database=None)
@given(st.text(st.characters(codec=None), max_size=300))
def test_portable_name_of_any_text(part: str) -> None:
    assert naming.relative_path_problems(naming.portable_name(part)) == ()


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("a b/é日😀.bin", "a b/é日😀.bin"),
        ("raw-\udce9", "raw-\\xe9"),
        ("high\ud800", "high\\ud800"),
        ("red\x1b[31m", "red\\u001b[31m"),
        ("c1\x9b", "c1\\u009b"),
        ("line\u2028break", "line\\u2028break"),
        ("evil\u202egpj", "evil\\u202egpj"),
        ("tag\U000e0041", "tag\\U000e0041"),
    ],
)
def test_display(path: str, shown: str) -> None:
    assert naming.display(path) == shown


@settings(max_examples=2_000, deadline=None, database=None)
@given(st.text(st.characters(codec=None)))
def test_display_is_printable_utf8(path: str) -> None:
    shown = naming.display(path)
    assert shown.isprintable()
    assert shown.encode("utf-8").decode("utf-8") == shown


@settings(max_examples=3_000, deadline=None, database=None)
@given(st.binary(max_size=60))
def test_json_path_round_trip(raw: bytes) -> None:
    path = raw.decode("utf-8", "surrogateescape")
    stored = naming.to_json_path(path)
    assert all(value.encode("utf-8").decode("utf-8") == value for value in stored.values())
    assert naming.from_json_path(stored) == path
    assert ("path_hex" in stored) == any("\udc80" <= c <= "\udcff" for c in path)


def test_json_path_of_a_name_that_is_not_utf8() -> None:
    assert naming.to_json_path("a/\udce9.bin") == {
        "path": "a/\\xe9.bin",
        "path_hex": "612fe92e62696e",
    }
    assert naming.to_json_path("a/é.bin") == {"path": "a/é.bin"}


@pytest.mark.parametrize("path", ["high\ud800", "\udcc3\udca9"])
def test_json_path_refuses_what_no_file_system_gives(path: str) -> None:
    with pytest.raises(ValueError, match=r"os\.fsdecode"):
        naming.to_json_path(path)


@pytest.mark.parametrize(
    "stored",
    [
        {},
        {"path": 7},
        {"path": None},
        {"path": "high\ud800"},
        {"path": "a", "path_hex": "zz"},
        {"path": "a", "path_hex": "6"},
        {"path": "a", "path_hex": "61 62"},
        {"path": "a", "path_hex": ""},
        {"path": "a", "path_hex": 61},
    ],
)
def test_json_path_of_another_form_is_an_error(stored: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="not a path"):
        naming.from_json_path(stored)


@pytest.mark.skipif(os.name == "nt", reason="Windows file names are text, not bytes")
def test_names_that_are_not_utf8_survive_on_disk(tmp_path: Path) -> None:
    rng = random.Random(4)
    names = {bytes(rng.choices(b"abc\x80\xa9\xc3\xe9\xff", k=8)) for _ in range(200)}
    root = os.fsencode(tmp_path)
    for name in names:
        try:
            fd = os.open(os.path.join(root, name), os.O_CREAT | os.O_WRONLY)  # noqa: PTH118
        except OSError as error:
            if error.errno in (errno.EILSEQ, errno.EINVAL):
                pytest.skip("this file system takes UTF-8 names only")
            raise
        os.close(fd)
    found = sorted(path.name for path in tmp_path.iterdir())
    assert all(naming.relative_path_problems(name) == () for name in found)
    back = [naming.from_json_path(naming.to_json_path(name)) for name in found]
    assert back == found
    assert {os.fsencode(name) for name in back} == names
    assert all((tmp_path / name).is_file() for name in back)
