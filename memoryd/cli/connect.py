"""Finds the daemon: its address and the token to show it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from memoryd.errors import ConfigError
from memoryd.loopback import is_loopback
from memoryd.users import TOKEN_FILE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from memoryd.config import Config

EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  (what the daemon may be bound to)


@dataclass(frozen=True, slots=True, kw_only=True)
class Daemon:
    """Where the daemon is, and the token to show it ("" for none)."""

    url: str
    token: str


def find_daemon(*, url: str | None, config: Path | None, env: Mapping[str, str]) -> Daemon:
    """Finds the daemon from options, environment and configuration, in this order.

    Args:
        url: `--url`; then `MEMORYD_URL`, then the configuration's `server.host` and `server.port`.
        config: `--config`; then what `memoryd.config` looks for.
        env: the environment; `MEMORYD_TOKEN` comes before the token file in the state folder.

    Raises:
        ConfigError: the address is none, the configuration is wrong, or the token file can't be read.
    """
    address = _address(url, "--url") or _address(env.get("MEMORYD_URL"), "MEMORYD_URL")
    token = env.get("MEMORYD_TOKEN", "").strip()
    if address and (token or not is_loopback(urlsplit(address).hostname or "")):
        # This machine's token is nobody else's business: an address elsewhere needs MEMORYD_TOKEN.
        return Daemon(url=address, token=token)

    from memoryd.config import load_config

    found = load_config(config, env, to_run=False).config
    return Daemon(url=address or _configured(found), token=token or _stored_token(found))


def _address(value: str | None, origin: str) -> str:
    if not value:
        return ""
    try:
        parts = urlsplit(value)
        good = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number, half an IPv6 address
        good = False
    if not good:
        raise ConfigError(f"{origin}: {value!r} is not an address. Write it as http://127.0.0.1:7777.")
    return value.rstrip("/")


def _configured(config: Config) -> str:
    if config.server.port == 0:
        raise ConfigError(
            "server.port is 0, so the daemon chose its own port. Name the address that it printed with --url."
        )
    host = EVERYWHERE.get(config.server.host, config.server.host)
    return f"http://[{host}]:{config.server.port}" if ":" in host else f"http://{host}:{config.server.port}"


def _stored_token(config: Config) -> str:
    file = config.paths.state / TOKEN_FILE
    try:
        return file.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return ""  # before the daemon's first start; then nothing answers either
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"The token in {file} can't be read: {error}. Run as the user who runs the daemon, "
            "or set MEMORYD_TOKEN."
        ) from error
