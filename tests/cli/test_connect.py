from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from memoryd.cli.connect import Daemon, find_daemon
from memoryd.errors import ConfigError
from memoryd.users import TOKEN_FILE

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def config(tmp_path: Path) -> Path:
    for folder in ("memory", "manifest", "state"):
        (tmp_path / folder).mkdir()
    (tmp_path / "state" / TOKEN_FILE).write_text("stored\n", encoding="utf-8")
    file = tmp_path / "config.toml"
    file.write_text("[server]\nport = 7070\n", encoding="utf-8")
    return file


def test_address_and_token_come_from_the_configuration(config: Path) -> None:
    assert find_daemon(url=None, config=config, env={}) == Daemon(url="http://127.0.0.1:7070", token="stored")
    assert find_daemon(url=None, config=None, env={"MEMORYD_CONFIG": str(config)}).token == "stored"


def test_the_environment_comes_before_the_configuration_and_the_option_before_both(config: Path) -> None:
    env = {"MEMORYD_URL": "http://localhost:1/", "MEMORYD_TOKEN": " mine "}

    assert find_daemon(url=None, config=config, env=env) == Daemon(url="http://localhost:1", token="mine")
    assert find_daemon(url="http://[::1]:2", config=config, env=env).url == "http://[::1]:2"


def test_a_loopback_address_is_shown_the_stored_token(config: Path) -> None:
    for url in ("http://127.0.0.1:9", "http://localhost:9", "http://[::1]:9"):
        assert find_daemon(url=url, config=config, env={}) == Daemon(url=url, token="stored")


def test_an_address_elsewhere_never_sees_this_machine_s_token(config: Path) -> None:
    assert find_daemon(url="https://pod.example", config=config, env={}).token == ""


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("0.0.0.0", "http://127.0.0.1:7777"),  # noqa: S104  (what the file may say)
        ("::", "http://[::1]:7777"),
        ("fd00::7", "http://[fd00::7]:7777"),
        ("echo.local", "http://echo.local:7777"),
    ],
)
def test_the_address_bound_to_becomes_one_that_can_be_called(config: Path, host: str, url: str) -> None:
    config.write_text(f'[server]\nhost = "{host}"\n', encoding="utf-8")

    assert find_daemon(url=None, config=config, env={}).url == url


def test_a_port_that_the_daemon_chose_must_be_named(config: Path) -> None:
    config.write_text("[server]\nport = 0\n", encoding="utf-8")

    with pytest.raises(ConfigError, match="--url"):
        find_daemon(url=None, config=config, env={})


def test_before_the_first_start_there_is_no_token(config: Path) -> None:
    (config.parent / "state" / TOKEN_FILE).unlink()

    assert find_daemon(url=None, config=config, env={}).token == ""


def test_a_token_that_can_not_be_read_is_named_with_the_remedy(config: Path) -> None:
    file = config.parent / "state" / TOKEN_FILE
    file.unlink()
    file.mkdir()

    with pytest.raises(ConfigError, match="MEMORYD_TOKEN"):
        find_daemon(url=None, config=config, env={})


@pytest.mark.parametrize(
    "url", ["localhost:7777", "http://", "ftp://x", "http://x:port", "http://x:0", "http://[::1"]
)
def test_an_address_that_is_none_is_refused_by_name(url: str) -> None:
    with pytest.raises(ConfigError, match="--url"):
        find_daemon(url=url, config=None, env={})
    with pytest.raises(ConfigError, match="MEMORYD_URL"):
        find_daemon(url=None, config=None, env={"MEMORYD_URL": url})


def test_an_address_and_a_token_need_no_configuration(tmp_path: Path) -> None:
    nowhere = tmp_path / "none.toml"

    assert find_daemon(url="http://127.0.0.1:9", config=nowhere, env={"MEMORYD_TOKEN": "t"}).token == "t"
