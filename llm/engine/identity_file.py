"""A computed identity on disk: its keys and values, and a sample of logits that proves them after loading.

magic │ SHA-256 of all that follows │ length │ header (JSON: key, sample) │ keys and values

Written aside and renamed, checked whole before anything of it is believed.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import threading
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

log = logging.getLogger(__name__)

State = bytes | bytearray | memoryview

MAGIC = b"memoryd identity 2\n"
SUFFIX = ".identity"
PART = ".part"
DIGEST_BYTES = 32
LENGTH_BYTES = 8
SAMPLED = 32
TOLERANCE = 0.5
BLOCK = 64 * 1024
BLOCKS = 64
KEPT = 2


@dataclass(frozen=True, slots=True)
class Sample:
    """The likeliest tokens after the identity and its last token once more, with their logits."""

    tokens: tuple[int, ...]
    logits: tuple[float, ...]

    @classmethod
    def of(cls, logits: NDArray[np.float32]) -> Sample:
        """From logits of shape (vocabulary,)."""
        count = min(SAMPLED, len(logits))
        likeliest = np.argpartition(logits, -count)[-count:]
        likeliest = likeliest[np.argsort(-logits[likeliest], kind="stable")]
        return cls(tuple(map(int, likeliest)), tuple(map(float, logits[likeliest])))

    def agrees(self, logits: NDArray[np.float32]) -> bool:
        """Whether the same tokens got the same logits again, but for rounding."""
        if max(self.tokens, default=0) >= len(logits):
            return False
        again = logits[list(self.tokens)]
        return bool(np.abs(again - np.array(self.logits, np.float32)).max() <= TOLERANCE)


@dataclass(frozen=True, slots=True)
class StoredIdentity:
    """What a file holds. The state may be a gigabyte: it is handed on as it is, and never copied."""

    sample: Sample
    state: State


class IdentityFiles:
    """The files of one model, in a folder that several models share.

    Attributes:
        removals: how often all were removed.
    """

    def __init__(self, folder: Path, model: Path, *, kv_type: str) -> None:
        """Reads a few megabytes of the model, however large it is, to know it again.

        Raises:
            OSError: the model can't be read.
        """
        self.removals = 0
        self._lock = threading.Lock()
        self._folder = folder
        self._model = fingerprint(model)[:24]
        self._kind = f"{kv_type} {version('llama-cpp-python')}".encode()  # what its bytes depend on besides

    def load(self, tokens: Sequence[int] | NDArray[np.int32]) -> StoredIdentity | None:
        """What was saved for these tokens; None, with a line in the log, where the file is torn or another's."""
        path = self._path(tokens)
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            log.warning("the computed identity %s can't be read: %s", path, error.strerror)
            return None
        stored = _parse(data, path.stem)
        if stored is None:
            log.warning("the computed identity %s is torn or of another kind; it is computed again", path)
        return stored

    def save(
        self, tokens: Sequence[int] | NDArray[np.int32], stored: StoredIdentity, *, removals: int
    ) -> None:
        """Writes the file and removes this model's older ones. A failure is a line in the log, nothing more.

        Args:
            tokens: the identity's.
            stored: what was computed of it.
            removals: as it was then; what was to be removed since is not brought back.
        """
        path = self._path(tokens)
        aside = path.with_suffix(PART)
        with self._lock:
            if self.removals != removals:
                return
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
                _write(aside, path.stem, stored)
                aside.replace(path)
                for old in [*self._newest_first()[KEPT:], *self._parts()]:
                    old.unlink(missing_ok=True)
            except OSError as error:
                log.warning("the computed identity can't be kept in %s: %s", self._folder, error)
                with suppress(OSError):
                    aside.unlink(missing_ok=True)

    def remove(self) -> None:
        """Removes all files of the folder, and sees to it that none of this model's being written comes back.

        Raises:
            OSError: one can't be removed.
        """
        with self._lock:
            self.removals += 1
            remove_identities(self._folder)

    def _path(self, tokens: Sequence[int] | NDArray[np.int32]) -> Path:
        digest = hashlib.sha256(self._kind + np.asarray(tokens, np.int32).tobytes()).hexdigest()[:24]
        return self._folder / f"{self._model}-{digest}{SUFFIX}"

    def _newest_first(self) -> list[Path]:
        files = list(self._folder.glob(f"{self._model}-*{SUFFIX}"))
        return sorted(files, key=lambda path: path.stat().st_mtime_ns, reverse=True)

    def _parts(self) -> list[Path]:
        """What a process left that ended while it wrote."""
        return list(self._folder.glob(f"{self._model}-*{PART}"))


def remove_identities(folder: Path) -> None:
    """Removes what was computed of identities, whatever the model: of one that is gone or was replaced, too.

    Raises:
        OSError: a file can't be removed.
    """
    for path in [*folder.glob(f"*{SUFFIX}"), *folder.glob(f"*{PART}")]:
        path.unlink(missing_ok=True)


def fingerprint(model: Path) -> str:
    """A digest of a file's size, beginning, end, and blocks spread between, so that 25 GiB take no time."""
    digest = hashlib.sha256()
    with model.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        digest.update(str(size).encode())
        for place in sorted({max(0, (size - BLOCK) * each // BLOCKS) for each in range(BLOCKS + 1)}):
            file.seek(place)
            digest.update(file.read(BLOCK))
    return digest.hexdigest()


def _write(path: Path, key: str, stored: StoredIdentity) -> None:
    header = json.dumps({"key": key, "tokens": stored.sample.tokens, "logits": stored.sample.logits}).encode()
    begins = len(header).to_bytes(LENGTH_BYTES, "little") + header
    digest = hashlib.sha256(begins)
    digest.update(stored.state)
    with path.open("wb") as file:
        file.write(MAGIC + digest.digest() + begins)
        file.write(stored.state)
        file.flush()
        os.fsync(file.fileno())


def _parse(data: bytes, key: str) -> StoredIdentity | None:
    body = memoryview(data)[len(MAGIC) + DIGEST_BYTES :]
    if data[: -len(body)] != MAGIC + hashlib.sha256(body).digest():
        return None
    length = int.from_bytes(body[:LENGTH_BYTES], "little")
    header = json.loads(bytes(body[LENGTH_BYTES : LENGTH_BYTES + length]))
    if header["key"] != key:
        return None
    sample = Sample(tuple(header["tokens"]), tuple(header["logits"]))
    return StoredIdentity(sample, body[LENGTH_BYTES + length :])
