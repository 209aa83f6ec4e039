"""The people that the daemon knows: the origin (see `memoryd.origin`), and up to five members.

state/origin.token   the origin's token, for the command line of this machine
state/users.json     the members, each with the SHA-256 of their token

A token is 256 random bits, so that nobody finds it by trying, and its plain SHA-256 is enough: salt and a slow hash
guard passwords, which people choose. Not in the ledger, which is derived and may be made anew.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import os
import secrets
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from memoryd.disk import write_whole
from memoryd.errors import (
    BadRequestError,
    ConflictError,
    ForbiddenError,
    NotFoundError,
    StoreError,
    UnauthorizedError,
)
from memoryd.origin import origin_in_force, settle_origin
from memoryd.owners import (
    SHARED,
    SHARED_WORD,
    Owners,
    checked_name,
    folder_key,
    keep_folders,
    read_folders,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

log = logging.getLogger(__name__)

MOST_USERS = 6
TOKEN_FILE = "origin.token"  # noqa: S105  (a file's name)
USERS_FILE = "users.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Someone with a token.

    Attributes:
        others: whose files they see besides what is shared and their own: the origin, everybody's.
    """

    id: str
    is_origin: bool = False
    others: tuple[str, ...] = ()

    @property
    def owners(self) -> tuple[str, ...]:
        """Whose files this user sees."""
        return (SHARED, self.id, *self.others)

    @property
    def own(self) -> tuple[str, ...]:
        """What a conversation of theirs goes on with: what is shared and their own, the origin too."""
        return (SHARED, self.id)

    def narrowed(self, names: Sequence[str] | None) -> tuple[str, ...]:
        """The owners that the user wants to hear of: `shared`, or ids of users; all of theirs without names.

        Raises:
            BadRequestError: a name that is nobody's whom they see, whether there is such a user or not.
        """
        if names is None:
            return self.owners
        seen = {SHARED_WORD: SHARED} | {each: each for each in self.owners[1:]}
        for name in names:
            if name not in seen:
                raise BadRequestError(f'You see nothing of "{name}". You may name: {", ".join(seen)}.')
        return tuple(dict.fromkeys(seen[name] for name in names))

    def must_be_origin(self, what: str) -> None:
        """Refuses everybody else.

        Raises:
            ForbiddenError: the user is a member.
        """
        if not self.is_origin:
            raise ForbiddenError(
                f"Only the origin may {what}: it concerns everybody's memory. You are {self.id}, a member; "
                "ask the origin to do it."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A user who is not the origin; `digest` is their token's SHA-256, hexadecimal."""

    id: str
    digest: str
    since: datetime


class Users:
    """Who has which token, and whose folders are whose; safe for threads.

    The origin's token is made at first start and kept as `origin.token` (mode 0600) in the state folder.

    Raises:
        StoreError: who the users are can't be read, or the origin's token can't be made.
    """

    def __init__(self, manifest: Path, state: Path) -> None:
        self._manifest = manifest
        self._state = state
        self._lock = threading.RLock()
        self._origin = settle_origin(manifest, state)
        self._token = _token(state / TOKEN_FILE)
        kept = _read(state / USERS_FILE)
        self._members = {
            member.id: member for member in kept.members if folder_key(member.id) != folder_key(self._origin)
        }
        self._owners = _owners(manifest, kept, self._origin)
        if kept.origin != self._origin:
            self._remember_origin(kept.origin)

    @property
    def origin(self) -> User:
        """The origin, who sees what everybody has, and had."""
        return User(id=self._origin, is_origin=True, others=self._owners.others)

    @property
    def identity_owners(self) -> tuple[str, ...]:
        """Whose turns the identity is made of: what is shared and the origin's own, no member's."""
        return (SHARED, self._origin)

    @property
    def owners(self) -> Owners:
        """Whose a file is."""
        return self._owners

    def owner_of(self, path: str) -> str:
        """Whose a file below `memory/` is."""
        return self._owners.of(path)

    @property
    def members(self) -> tuple[Member, ...]:
        """In the order in which they came."""
        return tuple(self._members.values())

    @property
    def former(self) -> tuple[str, ...]:
        """Those who are no users any more; their folders stay private, for the origin to see."""
        return tuple(each for each in self._owners.others if each not in self._members)

    @contextmanager
    def steady(self) -> Iterator[None]:
        """Nobody becomes a user, or a file's owner, until it ends."""
        with self._lock:
            yield

    def of_token(self, token: str | None) -> User:
        """The user whose token it is.

        Raises:
            UnauthorizedError: none, or nobody's.
        """
        where = (
            f"The origin's is in the state folder, file {TOKEN_FILE}; set MEMORYD_TOKEN to it. "
            "A member's was shown when they were added."
        )
        if token is None:
            raise UnauthorizedError(f"This call needs a bearer token. {where}")
        digest = _digest(token)
        if hmac.compare_digest(digest, _digest(self._token)):
            return self.origin
        for member in tuple(self._members.values()):
            if hmac.compare_digest(digest, member.digest):
                return User(id=member.id)
        raise UnauthorizedError(f"The bearer token of this call is nobody's. {where}")

    def add(
        self,
        name: str,
        *,
        now: datetime,
        returning: bool = False,
        owned: Callable[[Owners], object] = lambda _: None,
    ) -> tuple[User, str]:
        """Makes a member; returns them and their token, which is kept nowhere.

        Args:
            returning: one who was a user before, and gets their folders back.
            owned: gives the files to their owners, before anybody has the token.

        Raises:
            BadRequestError: the name can't be one.
            ConflictError: it is taken, or was somebody's, or there are six users already.
            StoreError: the disk refuses; nobody was added.
        """
        chosen = checked_name(name)
        with self._lock:
            self._must_be_free(chosen, returning=returning)
            token = secrets.token_urlsafe(32)
            owners = Owners(self._origin, (*self._owners.others, chosen))
            keep_folders(self._manifest, owners.others)
            owned(owners)
            before = self._members
            self._members = {**before, chosen: Member(id=chosen, digest=_digest(token), since=now)}
            try:
                self._save()
            except StoreError:
                # The name is in `private_folders.txt`: their folders stay private, and they can be added again.
                self._members = before
                raise
            finally:
                self._owners = owners
        log.info("%s is a user now", chosen)
        return User(id=chosen), token

    def remove(self, name: str) -> str:
        """Takes a member's token away; returns their id. Their folders stay theirs, for the origin alone to see.

        Raises:
            NotFoundError: there is no such member.
            BadRequestError: it is the origin.
            StoreError: the disk refuses.
        """
        with self._lock:
            user = self._known(name)
            if user == self._origin:
                raise BadRequestError(
                    f"{user} is the origin, who can't be removed. manifest/origin_id.txt says who that is."
                )
            keep_folders(self._manifest, self._owners.others)
            before = self._members
            self._members = {each: member for each, member in before.items() if each != user}
            try:
                self._save()
            except StoreError:
                self._members = before
                raise
        log.info("%s is no user any more", user)
        return user

    def rotate(self, name: str) -> tuple[str, str]:
        """Gives a user another token, and returns their id and it; the old one is nobody's from now on.

        Raises:
            NotFoundError: there is no such user.
            StoreError: the disk refuses; the old token stays good.
        """
        with self._lock:
            user = self._known(name)
            if user == self._origin:
                self._token = token = _made_token(self._state / TOKEN_FILE)
                return user, token
            token, before = secrets.token_urlsafe(32), self._members
            member = before[user]
            self._members = {
                **before,
                user: Member(id=user, digest=_digest(token), since=member.since),
            }
            try:
                self._save()
            except StoreError:
                self._members = before
                raise
        log.info("%s has another token now", user)
        return user, token

    def _known(self, name: str) -> str:
        user = self._owners.named(name.strip())
        if user is None or (user != self._origin and user not in self._members):
            known = ", ".join([self._origin, *self._members])
            raise NotFoundError(f'There is no user "{name}". There are: {known}.')
        return user

    def _must_be_free(self, name: str, *, returning: bool) -> None:
        taken = self._owners.named(name)
        if taken == self._origin or taken in self._members:
            raise ConflictError(
                f'There is a user "{taken}" already. `memoryd users rotate {taken}` gives them another token.'
            )
        if taken is not None and not (returning and taken == name):
            raise ConflictError(
                f'"{taken}" was a user before, and whatever lies in their folders is still theirs. If it is the same '
                f"person, `memoryd users add {taken} --returning` lets them in again; else choose another name."
            )
        if len(self._members) + 1 >= MOST_USERS:
            names = ", ".join([self._origin, *self._members])
            raise ConflictError(
                f"There are {MOST_USERS} users already, the origin among them, and no more are possible: {names}. "
                f"`memoryd users remove NAME` makes room; whose folders they are stays as it is."
            )

    def _remember_origin(self, before: str) -> None:
        """Another origin, or the first start: who was it before keeps their folders to themselves."""
        try:
            if before:
                log.warning(
                    "the origin was %s and is %s now; the folders of both stay private", before, self._origin
                )
                keep_folders(self._manifest, [before])
            self._save()
        except StoreError as error:
            # A disk that takes nothing now must not keep the memory shut; it is tried again at the next start.
            log.warning("the origin's id can't be kept: %s", error)

    def _save(self) -> None:
        members = [
            {"id": each.id, "sha256": each.digest, "since": each.since.isoformat()}
            for each in self._members.values()
        ]
        data = json.dumps({"origin": self._origin, "members": members}, ensure_ascii=False, indent=2)
        _write(self._state / USERS_FILE, data)


def known_owners(manifest: Path, state: Path) -> Owners:
    """Whose folders are whose, for who has no daemon to ask; nothing is written.

    Raises:
        StoreError: it can't be read.
    """
    return _owners(manifest, _read(state / USERS_FILE), origin_in_force(manifest, state))


@dataclass(frozen=True, slots=True)
class _Kept:
    """What `users.json` holds."""

    origin: str = ""
    members: tuple[Member, ...] = ()


def _read(file: Path) -> _Kept:
    try:
        kept = json.loads(file.read_text(encoding="utf-8"))
        members = tuple(
            Member(id=each["id"], digest=each["sha256"], since=datetime.fromisoformat(each["since"]))
            for each in kept["members"]
        )
        return _Kept(kept["origin"], members)
    except FileNotFoundError:
        return _Kept()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"{file} can't be read ({error}), so nobody knows who the members are. Mend it, or take it away and let "
            "them in again with `memoryd users add NAME --returning`: their folders stay theirs."
        ) from error


def _owners(manifest: Path, kept: _Kept, origin: str) -> Owners:
    members = (member.id for member in kept.members)
    return Owners(origin, (*read_folders(manifest), *members, *([kept.origin] if kept.origin else [])))


def _token(file: Path) -> str:
    try:
        if file.is_file() and (kept := file.read_text(encoding="utf-8").strip()):
            return kept
    except OSError as error:
        raise StoreError(
            f"The token {file} can't be read: {error.strerror}. Mend the state folder's permissions."
        ) from error
    return _made_token(file)


def _made_token(file: Path) -> str:
    token = secrets.token_urlsafe(32)
    _write(file, token)
    return token


def _write(file: Path, text: str) -> None:
    """Writes a file of the state folder whole, for its owner's eyes alone."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, f"{text}\n".encode(), aside=file.with_suffix(f".{os.getpid()}"), mode=0o600)
    except OSError as error:
        raise StoreError(
            f"{file} can't be written: {error.strerror}. Mend the state folder's permissions, or free the disk."
        ) from error


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
