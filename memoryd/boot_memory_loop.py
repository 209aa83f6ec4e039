"""The replay: reads the manifests and every turn again, and writes a new identity where anything has changed.

files without a gist ─▶ gists ─┐
manifests (day digests) ───────┴─▶ Life ─▶ digest as before? ── yes ─▶ identity stays
                                                 └── no ─▶ make_identity ─▶ version n + 1 ──adopted──▶ the models

A full replay and one after a single new day are the same: the ledger keeps each file's gist until the file changes.
"""

from __future__ import annotations

import logging
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from memoryd.emotions import reader_id
from memoryd.errors import BadRequestError, MemorydError, NotFoundError, ReplayError
from memoryd.gists import LedgerGists
from memoryd.identity import DIGEST, ESTIMATE, digest_line, digest_of, make_identity, without_marks
from memoryd.ledger import ReplayRow
from memoryd.life import Life
from memoryd.manifests import of_origin, read_manifests

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from memoryd.clock import Clock
    from memoryd.day_digests import DayDigest, DayDigests
    from memoryd.day_moods import DayMoods
    from memoryd.identity import IdentityText, Tokenizer
    from memoryd.ledger import IdentityRow, Ledger
    from memoryd.manifests import Manifests

log = logging.getLogger(__name__)

# Between two log lines of a replay that takes long.
LOG_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Inputs:
    """All that an identity is made of now, and its digest."""

    manifests: Manifests
    life: Life
    settings: dict[str, str]
    tokenizer: Tokenizer
    moods: DayMoods | None
    digests: Sequence[DayDigest]
    digest: str

    @property
    def whole(self) -> bool:
        """Whether nothing was missing, once the identity is made."""
        return self.moods is not None and self.life.whole


class BootMemoryLoop:
    """Runs replays, one at a time.

    Args:
        manifest: the folder of the three files.
        owners: whose turns the identity is made of.
        origin: the origin's id.
        being: the being's name.
        budget: of the identity, in tokens.
        adopted: told of each identity that comes into force, in their order; must not fail.
        embedder: the id of the embedder whose vectors are looked at; empty while there is none.
        tokenizer: what counts the budget; the model's that serves, or an estimate.
        moods: what reads how days were, once there is something that does.
        digests: what a model says of the last days; None where the identity tells only what was said.
        ended: called after each replay that did not fail; must not fail.
    """

    def __init__(
        self,
        *,
        ledger: Ledger,
        manifest: Path,
        owners: Sequence[str],
        origin: str,
        being: str,
        budget: int,
        adopted: Callable[[IdentityRow], None],
        clock: Clock,
        embedder: Callable[[], str] = str,
        tokenizer: Callable[[], Tokenizer] = lambda: ESTIMATE,
        moods: Callable[[], DayMoods | None] = lambda: None,
        digests: DayDigests | None = None,
        ended: Callable[[], None] = lambda: None,
    ) -> None:
        self._ledger = ledger
        self._manifest = manifest
        self._owners = owners
        self._origin = origin
        self._being = being
        self._budget = budget
        self._embedder = embedder
        self._tokenizer = tokenizer
        self._moods = moods
        self._digests = digests
        self._ended = ended
        self._adopted = adopted
        self._clock = clock
        self._lock = threading.Lock()
        self._running: ReplayRow | None = None
        self.fault = ""

    def identity(self) -> IdentityRow | None:
        """The identity in force, or None before the first replay."""
        return self._ledger.identities.latest()

    def adopt(self) -> IdentityRow | None:
        """Tells of the identity in force again: at the start, and where the models have forgotten it."""
        with self._lock:
            identity = self.identity()
            if identity is not None:
                self._adopted(identity)
            return identity

    def running(self) -> ReplayRow | None:
        """The replay that is under way, or None."""
        return self._running

    @contextmanager
    def held(self) -> Iterator[None]:
        """Waits for the replay that runs, and lets none begin meanwhile."""
        with self._lock:
            yield

    def replay(self, trigger: str) -> ReplayRow:
        """Runs one replay; a second one waits for the first.

        Raises:
            ReplayError: it failed; the identity before it stays in force.
        """
        with self._lock:
            begun = time.perf_counter()
            row = ReplayRow(
                state="running",
                trigger=trigger,
                started_at=self._clock.now(),
                seconds=0.0,
                turns=0,
                kept=0,
                changed=False,
                identity_version=None,
                digest=None,
            )
            self._running = row
            try:
                row = replace(self._run(row), seconds=_seconds_since(begun))
                self._ledger.identities.log_replay(row)
                self.fault = ""
            except (MemorydError, OSError) as error:
                failed = replace(row, state="failed", seconds=_seconds_since(begun), error=str(error))
                self._log_failure(failed)
                self.fault = f"the last replay failed: {error}"
                raise ReplayError(
                    f"The replay failed: {error} The identity before it stays in force."
                ) from error
            finally:
                self._running = None
            log.info(
                "replay (%s): %d turns, %d memories kept, identity %s%s in %.2f s",
                trigger,
                row.turns,
                row.kept,
                row.identity_version,
                "" if row.changed else " unchanged",
                row.seconds,
            )
            self._ended()
            return row

    def restore(self, version: int) -> IdentityRow:
        """Makes a new version that tells what an earlier one told; returns it.

        Its digest is that of what there is now: a replay of the same memories leaves it in force, and the next new
        memory, or a changed manifest, makes another identity. Lines that an erasure took out stay out, and of day
        digests it tells those that are told now.

        Raises:
            NotFoundError: there is no such version.
            BadRequestError: what it tells is in force already, or was another origin's own.
            ReplayError: the memories can't be read; the identity before it stays in force.
        """
        with self._lock:
            latest, old = self._ledger.identities.latest(), self._ledger.identities.get(version)
            if latest is None or old is None:
                newest = latest.version if latest else 0
                raise NotFoundError(f"There is no identity {version}; the newest is {newest}.")
            # A version from before this was kept is the present origin's.
            whose = old.made_of.get("settings", {}).get("origin", self._origin)
            if whose != self._origin:
                raise BadRequestError(
                    f"Identity {version} tells what was {whose}'s own, who was the origin then; it stays as it is."
                )
            text, lines = self._still_told(old)
            if text == without_marks(latest.text):
                same = "" if latest.version == version else f" as identity {latest.version}"
                raise BadRequestError(f"What identity {version} tells is in force already{same}.")
            try:
                inputs = self._inputs()
            except (MemorydError, OSError) as error:
                raise ReplayError(
                    f"Identity {version} can't be restored: {error} Identity {latest.version} stays in force."
                ) from error
            restored = self._ledger.identities.add(
                digest=inputs.digest,
                text=text,
                tokens=inputs.tokenizer.count(text),
                missing=old.missing,
                created_at=self._clock.now(),
                made_of={
                    **old.made_of,
                    "lines": lines,
                    "settings": inputs.settings,
                    "restores": version,
                    "whole": True,
                },
            )
            self._adopted(restored)
        log.info("identity %d is restored, as identity %d", version, restored.version)
        return restored

    def _still_told(self, old: IdentityRow) -> tuple[str, list[dict[str, str]]]:
        """A version's text and lines, but for those from conversations that are no longer the identity's to tell."""
        lines = old.made_of.get("lines", [])
        known = self._ledger.files.conversations_of(self._owners)
        retold = {digest_line(each).text for each in self._known_digests()}
        gone = {
            line["text"]
            for line in lines
            if line["conversation_id"] not in known or (line["kind"] == DIGEST and line["text"] not in retold)
        }
        text = "\n".join(line for line in old.text.split("\n") if line not in gone)
        return without_marks(text), [line for line in lines if line["text"] not in gone]

    def _known_digests(self) -> list[DayDigest]:
        return self._digests.known() if self._digests else []

    def _log_failure(self, row: ReplayRow) -> None:
        """Records a failed replay, unless the ledger itself is what failed."""
        try:
            self._ledger.identities.log_replay(row)
        except MemorydError:
            log.exception("the failed replay could not be recorded")

    def _run(self, row: ReplayRow) -> ReplayRow:
        inputs = self._inputs(self._progress(row))
        identity = self._ledger.identities.latest()
        same = identity is not None and identity.digest == inputs.digest
        changed = False
        # One that was made before moods were learned, or while vectors were missing, may tell more of the same now.
        if identity is None or not same or not identity.made_of.get("whole", True):
            made = self._made(inputs)
            changed = identity is None or not same or made.text != identity.text
            if identity is None or changed:
                identity = self._ledger.identities.add(
                    digest=inputs.digest,
                    text=made.text,
                    tokens=made.tokens,
                    missing=made.missing,
                    created_at=self._clock.now(),
                    made_of=made.made_of | {"whole": inputs.whole},
                )
                self._adopted(identity)
            elif inputs.whole:
                self._ledger.identities.mark_whole(identity.version)
        warning = identity.made_of.get("warning") or None
        if warning:
            log.warning("replay: %s", warning)
        return replace(
            row,
            state="done",
            turns=inputs.life.turns,
            kept=len(identity.made_of.get("lines", ())),
            changed=changed,
            identity_version=identity.version,
            digest=inputs.digest,
            warning=warning,
        )

    def _made(self, inputs: _Inputs) -> IdentityText:
        return make_identity(
            inputs.manifests,
            inputs.life,
            budget=self._budget,
            settings=inputs.settings,
            tokenizer=inputs.tokenizer,
            moods=inputs.moods.of(self._owners) if inputs.moods else (),
            digests=inputs.digests,
        )

    def _inputs(self, told: Callable[[int, int, int], None] = lambda *_: None) -> _Inputs:
        """What there is now.

        Args:
            told: how far the reading of changed files is: see `LedgerGists.make_missing`.
        """
        gists = LedgerGists(self._ledger, self._owners)
        gists.make_missing(told)
        embedder, tokenizer, moods = self._embedder(), self._tokenizer(), self._moods()
        life = Life(
            gists,
            lambda passages: self._ledger.vectors.of_passages(embedder, passages),
            origin=self._origin,
        )
        manifests = of_origin(read_manifests(self._manifest), self._origin)
        settings = {
            "budget": str(self._budget),
            "tokenizer": tokenizer.name,
            "embedder": embedder,
            "origin": self._origin,
            "moods": reader_id(embedder),
            "being": self._being,
        }
        if self._digests:
            settings["digests"] = "model"
        digests = self._known_digests()
        return _Inputs(
            manifests=manifests,
            life=life,
            settings=settings,
            tokenizer=tokenizer,
            moods=moods,
            digests=digests,
            digest=digest_of(manifests, life, settings, digests),
        )

    def _progress(self, row: ReplayRow) -> Callable[[int, int, int], None]:
        """Shows how far the reading of changed files is, and logs it every few seconds."""
        said = time.monotonic()

        def told(read: int, files: int, turns: int) -> None:
            nonlocal said
            self._running = replace(row, turns=turns, progress=round(read / files, 3))
            if time.monotonic() - said >= LOG_SECONDS:
                log.info("replay: %d of %d files read, %d turns", read, files, turns)
                said = time.monotonic()

        return told


def _seconds_since(begun: float) -> float:
    return round(time.perf_counter() - begun, 3)
