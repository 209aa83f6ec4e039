"""Who may see what: the origin, whose id is in `manifest/origin_id.txt`, and the owner of each file.

memory/day0315/talk.txt          shared
memory/day0315/<user>/talk.txt   that user's own
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from memoryd.disk import UNSAFE, write_whole
from memoryd.errors import StoreError, UnauthorizedError

if TYPE_CHECKING:
    from pathlib import Path

SHARED = ""
DEFAULT_ORIGIN = "origin"
ORIGIN_FILE = "origin_id.txt"
TOKEN_FILE = "origin.token"  # noqa: S105  (a file's name)


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Someone with a token."""

    id: str

    @property
    def owners(self) -> tuple[str, ...]:
        """Whose files this user recalls: what is shared and their own."""
        return (SHARED, self.id)


class Users:
    """The people that the daemon knows: for now the origin alone.

    The token is made at first start and kept as `origin.token` (mode 0600) in the state folder.
    """

    def __init__(self, manifest: Path, state: Path) -> None:
        self.origin = User(id=origin_id(manifest))
        self._token = _token(state / TOKEN_FILE)

    def of_token(self, token: str | None) -> User:
        """The user whose token it is.

        Raises:
            UnauthorizedError: none, or nobody's.
        """
        where = f"The origin's is in the state folder, file {TOKEN_FILE}; set MEMORYD_TOKEN to it."
        if token is None:
            raise UnauthorizedError(f"This call needs a bearer token. {where}")
        if not hmac.compare_digest(_digest(token), _digest(self._token)):
            raise UnauthorizedError(f"The bearer token of this call is nobody's. {where}")
        return self.origin

    def owner_of(self, path: str) -> str:
        """Whose a file below `memory/` is."""
        return owner_of(path, self.origin.id)


def owner_of(path: str, origin: str) -> str:
    """Whose a file below `memory/` is: a folder with a user's id inside a day folder is that user's."""
    parts = path.split("/")
    return origin if len(parts) > 2 and parts[1] == origin else SHARED


def origin_id(manifest: Path) -> str:
    """The origin's id as `manifest/` names it, fit to be a folder's name."""
    try:
        words = (manifest / ORIGIN_FILE).read_text(encoding="utf-8-sig").split()
    except (OSError, UnicodeDecodeError):
        words = []
    # The id names a folder, which must be a plain and visible one.
    return (UNSAFE.sub("_", words[0]).strip(".") if words else "") or DEFAULT_ORIGIN


def _token(file: Path) -> str:
    try:
        if file.is_file() and (kept := file.read_text(encoding="utf-8").strip()):
            return kept
        return _new_token(file)
    except OSError as error:
        raise StoreError(
            f"The token {file} can't be read or made: {error.strerror}. Mend the state folder's permissions."
        ) from error


def _new_token(file: Path) -> str:
    token = secrets.token_urlsafe(32)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_whole(file, f"{token}\n".encode(), aside=file.with_suffix(f".{os.getpid()}"), mode=0o600)
    return token


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
