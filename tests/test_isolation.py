"""The promises that ``conftest.py`` makes to every test."""

import os
import socket
import urllib.request
from pathlib import Path

import platformdirs
import pytest


def test_home_is_an_empty_folder_of_this_test(home: Path) -> None:
    assert Path.home() == home
    assert list(home.iterdir()) == []
    for folder in (platformdirs.user_data_path("x"), platformdirs.user_config_path("x")):
        assert home in folder.parents
    ours = [name for name in os.environ if name.startswith("MODELCELLAR_")]
    assert ours == ["MODELCELLAR_LOOKUP"]


@pytest.mark.parametrize("host", ["192.0.2.1", "example.org", "2001:db8::1"])
def test_other_hosts_are_refused(host: str) -> None:
    with pytest.raises(pytest.fail.Exception, match="no test may use the network"):
        socket.create_connection((host, 80), timeout=1)


def test_look_ups_are_refused_through_any_library() -> None:
    with pytest.raises(pytest.fail.Exception, match=r"example\.org"):
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open("http://example.org")


def test_loopback_works() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname(), timeout=5).close()
        server.accept()[0].close()
