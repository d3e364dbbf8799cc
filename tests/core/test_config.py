"""Settings: which value wins, where it came from, and what is said about a bad one."""

from pathlib import Path

import pytest

from modelcellar.config import Settings, default_config_file, load_settings, parse_size
from modelcellar.errors import UsageError
from modelcellar.records import DriveKind, DriveOverride

NAMES = (
    *("library", "offline", "min_free_bytes", "lock_timeout_s", "reflink", "drive", "lookup"),
    *("hub_endpoint", "hub_home", "hub_cache", "civitai_endpoint", "civarchive_endpoint"),
)
FLAGS = {
    "library": "/f",
    "offline": True,
    "min_free_bytes": "4",
    "lock_timeout_s": 4,
    "reflink": "never",
    "drive": "/f=hdd",
    "lookup": False,
    "hub_endpoint": "https://f",
    "hub_home": "/f/home",
    "hub_cache": "/f/cache",
    "civitai_endpoint": "https://f:8443",
    "civarchive_endpoint": "http://127.0.0.1:1",
}
ENVIRON = {
    "MODELCELLAR_LIBRARY": "/e",
    "HF_HUB_OFFLINE": "1",
    "MODELCELLAR_MIN_FREE_BYTES": "3",
    "MODELCELLAR_LOCK_TIMEOUT_S": "3",
    "MODELCELLAR_REFLINK": "never",
    "MODELCELLAR_DRIVE": "/e=ssd",
    "MODELCELLAR_LOOKUP": "0",
    "HF_ENDPOINT": "https://e/",
    "HF_HOME": "/e/home",
    "HF_HUB_CACHE": "/e/cache",
    "MODELCELLAR_CIVITAI_ENDPOINT": "https://e/civitai",
    "MODELCELLAR_CIVARCHIVE_ENDPOINT": "http://localhost:2",
}
FILE = (
    'library = "/c"\noffline = true\nmin_free_bytes = 2\nlock_timeout_s = 2\n'
    'reflink = "never"\ndrive = "c=hdd"\nlookup = false\nhub_endpoint = "https://c"\n'
    'hub_home = "/c/home"\nhub_cache = "/c/cache"\ncivitai_endpoint = "https://c"\n'
    'civarchive_endpoint = "http://[::1]:3"\n'
)

HUB_F = ("https://f", Path("/f/home"), Path("/f/cache"))
HUB_E = ("https://e", Path("/e/home"), Path("/e/cache"))
HUB_C = ("https://c", Path("/c/home"), Path("/c/cache"))
HOSTS_F = (*HUB_F, "https://f:8443", "http://127.0.0.1:1")
HOSTS_E = (*HUB_E, "https://e/civitai", "http://localhost:2")
HOSTS_C = (*HUB_C, "https://c", "http://[::1]:3")
HDD_F = (DriveOverride("/f", DriveKind.HDD),)
SSD_E = (DriveOverride("/e", DriveKind.SSD),)
HDD_C = (DriveOverride("c", DriveKind.HDD),)


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"


def origins(**arguments: object) -> dict[str, str]:
    _, shown = load_settings(**arguments)  # type: ignore[arg-type]
    return {setting.name: setting.origin for setting in shown}


def test_defaults(config_file: Path, home: Path) -> None:
    settings, shown = load_settings(environ={}, config_file=config_file)
    assert home in settings.library.parents
    cache = settings.hub_home / "hub"
    default = Settings(settings.library, False, 1 << 30, 30.0, "auto", (), hub_cache=cache)
    assert settings == default
    assert [setting.name for setting in shown] == list(NAMES)
    assert {setting.origin for setting in shown} == {"default"}


def test_flag_beats_environment_beats_file(config_file: Path) -> None:
    config_file.write_text(FILE)
    found, shown = load_settings(flags=FLAGS, environ=ENVIRON, config_file=config_file)
    assert found == Settings(Path("/f"), True, 4, 4.0, "never", HDD_F, False, *HOSTS_F)
    flags = [f"flag --{name.replace('_', '-')}" for name in NAMES]
    assert [setting.origin for setting in shown] == flags
    found, shown = load_settings(environ=ENVIRON, config_file=config_file)
    assert found == Settings(Path("/e"), True, 3, 3.0, "never", SSD_E, False, *HOSTS_E)
    assert [setting.origin for setting in shown] == [f"environment {name}" for name in ENVIRON]
    found, shown = load_settings(environ={}, config_file=config_file)
    assert found == Settings(Path("/c"), True, 2, 2.0, "never", HDD_C, False, *HOSTS_C)
    assert {setting.origin for setting in shown} == {f"config file {config_file}"}


@pytest.mark.parametrize("name", NAMES)
def test_each_setting_is_resolved_by_itself(config_file: Path, name: str) -> None:
    config_file.write_text(FILE)
    flags = {name: FLAGS[name]}
    found = origins(flags=flags, environ={}, config_file=config_file)
    assert {key for key, origin in found.items() if origin.startswith("flag")} == {name}
    assert {origin for key, origin in found.items() if key != name} == {
        f"config file {config_file}"
    }


def test_flags_that_were_not_given_do_not_count(config_file: Path) -> None:
    flags = dict.fromkeys(NAMES)
    assert set(origins(flags=flags, environ={}, config_file=config_file).values()) == {"default"}


def test_flag_may_say_no(config_file: Path) -> None:
    found, shown = load_settings(flags={"offline": False}, environ=ENVIRON, config_file=config_file)
    assert found.offline is False
    assert shown[1].origin == "flag --offline"


def test_the_hubs_cache_is_in_its_home(config_file: Path) -> None:
    found, shown = load_settings(environ={"HF_HOME": "/e/home"}, config_file=config_file)
    assert found.hub_cache == Path("/e/home/hub")
    assert ("hub_cache", "/e/home/hub", "default") in {
        (one.name, one.value, one.origin) for one in shown
    }


def test_values_shown_are_plain(config_file: Path) -> None:
    _, shown = load_settings(flags=FLAGS, environ={}, config_file=config_file)
    hosts = map(str, HOSTS_F)
    assert [setting.value for setting in shown] == [
        *("/f", True, 4, 4.0, "never", "/f=hdd", False),
        *hosts,
    ]


def test_library_is_absolute_and_home_is_expanded(
    config_file: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found, _ = load_settings(flags={"library": "~/x"}, environ={}, config_file=config_file)
    assert found.library == home / "x"
    found, _ = load_settings(flags={"library": "x"}, environ={}, config_file=config_file)
    assert found.library == tmp_path / "x"


def test_user_config_file_is_read(home: Path) -> None:
    path = default_config_file()
    assert home in path.parents
    path.parent.mkdir(parents=True)
    path.write_text(FILE)
    assert load_settings(environ={})[0].library == Path("/c")


@pytest.mark.parametrize("word", ["1", "true", "YES", " on "])
def test_offline_words_for_yes(config_file: Path, word: str) -> None:
    environ = {"HF_HUB_OFFLINE": word}
    assert load_settings(environ=environ, config_file=config_file)[0].offline is True


@pytest.mark.parametrize("word", ["", "0", "False", "no", "OFF"])
def test_offline_words_for_no(config_file: Path, word: str) -> None:
    config_file.write_text("offline = true\n")
    environ = {"HF_HUB_OFFLINE": word}
    assert load_settings(environ=environ, config_file=config_file)[0].offline is False


BAD = [
    ("library", "MODELCELLAR_LIBRARY", "", '""'),
    ("library", "MODELCELLAR_LIBRARY", "~nobody-is-called-this/x", '"~nobody-is-called-this/x"'),
    ("library", "MODELCELLAR_LIBRARY", "a\0b", r'"a\u0000b"'),
    ("offline", "HF_HUB_OFFLINE", "maybe", '"maybe"'),
    ("offline", "HF_HUB_OFFLINE", "2", "2"),
    ("min_free_bytes", "MODELCELLAR_MIN_FREE_BYTES", "much", '"much"'),
    ("min_free_bytes", "MODELCELLAR_MIN_FREE_BYTES", "-1", "-1"),
    ("min_free_bytes", "MODELCELLAR_MIN_FREE_BYTES", "", '""'),
    ("min_free_bytes", "MODELCELLAR_MIN_FREE_BYTES", "9" * 400, f'"{"9" * 400}"'),
    ("lock_timeout_s", "MODELCELLAR_LOCK_TIMEOUT_S", "-1", "-1"),
    ("lock_timeout_s", "MODELCELLAR_LOCK_TIMEOUT_S", "nan", "nan"),
    ("lock_timeout_s", "MODELCELLAR_LOCK_TIMEOUT_S", "inf", "inf"),
    ("lock_timeout_s", "MODELCELLAR_LOCK_TIMEOUT_S", "soon", '"soon"'),
    ("reflink", "MODELCELLAR_REFLINK", "always", '"always"'),
    ("reflink", "MODELCELLAR_REFLINK", "", "true"),
    ("drive", "MODELCELLAR_DRIVE", "/mnt", '"/mnt"'),
    ("drive", "MODELCELLAR_DRIVE", "=ssd", '"=ssd"'),
    ("drive", "MODELCELLAR_DRIVE", "/mnt=tape", '["/mnt=tape"]'),
    ("drive", "MODELCELLAR_DRIVE", "/mnt=unknown", '"/mnt=unknown"'),
    ("drive", "MODELCELLAR_DRIVE", "/a=ssd;/b", '["/a=ssd", "/b"]'),
    ("drive", "MODELCELLAR_DRIVE", "/a\0=ssd", r'"/a\u0000=ssd"'),
    ("drive", "MODELCELLAR_DRIVE", "~nobody-is-called-this/x=ssd", '"~nobody-is-called-this=hdd"'),
    ("lookup", "MODELCELLAR_LOOKUP", "perhaps", '"perhaps"'),
    ("hub_endpoint", "HF_ENDPOINT", "http://huggingface.co", '"http://huggingface.co"'),
    ("hub_endpoint", "HF_ENDPOINT", "huggingface.co", '"huggingface.co"'),
    ("hub_endpoint", "HF_ENDPOINT", "https://u:p@h", '"https://u:p@h"'),
    ("hub_endpoint", "HF_ENDPOINT", "http://127.0.0.1.example", '"http://localhost.example"'),
    ("civitai_endpoint", "MODELCELLAR_CIVITAI_ENDPOINT", "ftp://h", '"ftp://h"'),
    ("civarchive_endpoint", "MODELCELLAR_CIVARCHIVE_ENDPOINT", "", '"https://h?q"'),
    ("hub_home", "HF_HOME", "", '""'),
    ("hub_endpoint", "HF_ENDPOINT", "https://:sEcret@h", '"https://:sEcret@h"'),
]


@pytest.mark.parametrize(("name", "variable", "value", "toml"), BAD)
def test_bad_value_names_its_origin(
    config_file: Path, name: str, variable: str, value: str, toml: str
) -> None:
    flag = f"flag --{name.replace('_', '-')}"
    with pytest.raises(UsageError, match=rf"{name} \({flag}\)") as error:
        load_settings(flags={name: value}, environ={}, config_file=config_file)
    assert error.value.hint
    with pytest.raises(UsageError, match=rf"{name} \(environment {variable}\)"):
        load_settings(environ={variable: value}, config_file=config_file)
    config_file.write_text(f"{name} = {toml}\n")
    with pytest.raises(UsageError) as error:
        load_settings(environ={}, config_file=config_file)
    assert f"{name} (config file {config_file})" in error.value.message


@pytest.mark.parametrize(
    "line",
    [
        "library = 5",
        "library = true",
        'library = ["/a"]',
        "min_free_bytes = true",
        "min_free_bytes = [1]",
        "lock_timeout_s = true",
        "offline = []",
        "drive = true",
        "drive = [1]",
        'drive = {"/a" = "ssd"}',
    ],
)
def test_value_of_another_kind_in_the_file(config_file: Path, line: str) -> None:
    config_file.write_text(line + "\n")
    with pytest.raises(UsageError, match="config file"):
        load_settings(environ={}, config_file=config_file)


def test_unknown_setting_in_the_file(config_file: Path) -> None:
    config_file.write_text('libary = "/x"\n')
    with pytest.raises(UsageError, match="unknown setting 'libary'") as error:
        load_settings(environ={}, config_file=config_file)
    assert str(config_file) in error.value.message
    assert "library" in error.value.hint


@pytest.mark.parametrize("data", [b"library = \n", b"\xff\xfe", b"[", b"a = 1\na = 2\n"])
def test_file_that_is_not_toml(config_file: Path, data: bytes) -> None:
    config_file.write_bytes(data)
    with pytest.raises(UsageError, match="not valid TOML") as error:
        load_settings(environ={}, config_file=config_file)
    assert str(config_file) in error.value.message


def test_file_that_cannot_be_read_is_an_os_error(config_file: Path) -> None:
    config_file.mkdir()
    with pytest.raises(OSError, match=str(config_file)):
        load_settings(environ={}, config_file=config_file)


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        (0, 0),
        ("0", 0),
        (1073741824, 1 << 30),
        ("500 MB", 500_000_000),
        ("500mb", 500_000_000),
        ("1.5GiB", 3 << 29),
        (" 2 KiB ", 2048),
        ("3k", 3000),
        ("1T", 10**12),
        ("7 B", 7),
        ("9007199254740993", 9007199254740993),
    ],
)
def test_sizes(text: str | int, size_bytes: int) -> None:
    assert parse_size(text) == size_bytes


@pytest.mark.parametrize("text", ["", "B5", "5 X", "1e3", "-5", "1,5 GB", "5 GB extra", ".", "1."])
def test_texts_that_are_no_sizes(text: str) -> None:
    with pytest.raises(UsageError, match="is not a size"):
        parse_size(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ""),
        (" ; ", ""),
        ("/mnt/a=hdd", "/mnt/a=hdd"),
        (" /mnt/a = HDD ; sda=ssd; ", "/mnt/a=hdd;sda=ssd"),
        ("/dev/nvme0n1=ssd", "nvme0n1=ssd"),
        ("/dev/shm=ssd", "/dev/shm=ssd"),
        ("/mnt/a=b=ssd", "/mnt/a=b=ssd"),
        ("/mnt/my models/x=ssd", "/mnt/my models/x=ssd"),
    ],
)
def test_drives(config_file: Path, text: str, shown: str) -> None:
    settings, origins = load_settings(environ={"MODELCELLAR_DRIVE": text}, config_file=config_file)
    assert ";".join(map(str, settings.drive)) == origins[NAMES.index("drive")].value == shown


def test_drives_as_a_list_with_paths_made_absolute(
    config_file: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config_file.write_text('drive = ["~/models=hdd", "./x=ssd", "sdb=hdd"]\n')
    settings, _ = load_settings(environ={}, config_file=config_file)
    assert [one.place for one in settings.drive] == [f"{home}/models", f"{tmp_path}/x", "sdb"]


def test_a_password_in_an_address_is_not_shown(config_file: Path) -> None:
    with pytest.raises(UsageError) as error:
        load_settings(environ={"HF_ENDPOINT": "https://bob:sEcret@h"}, config_file=config_file)
    assert "sEcret" not in str(error.value) + error.value.hint
