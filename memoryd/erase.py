"""Erases a conversation and proves it: files, ledger, identities, index, logs, then a look at every byte of state.

plan ─▶ row `begun` ─▶ files ─▶ ledger, row `cut` ─▶ models, index, identity ─▶ cleaning ─▶ search ─▶ `done`
          └── from here on it is finished, at the next start if the daemon is killed
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from memoryd.chroma import drop_collections
from memoryd.cut_out import Action, carry_out, plan_cut, unreadable
from memoryd.errors import BadRequestError, ForbiddenError, NotFoundError, ReplayError
from memoryd.identity import DIGEST, Scrubber, quoted_in, quotes_of
from memoryd.index_keeper import begin_generation, remove_other_generations
from memoryd.ingest import printable
from memoryd.ledger import ErasureState, FileState, Signature
from memoryd.ledger.erasures import digest_of
from memoryd.logs import scrub_logs
from memoryd.manifests import read_manifests
from memoryd.memory_folder import MemoryFolder
from memoryd.proof import Sought
from memoryd.watch import ignored

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from llm import Generator
    from memoryd.boot_memory_loop import BootMemoryLoop
    from memoryd.clock import Clock
    from memoryd.config import Paths
    from memoryd.cut_out import Cut
    from memoryd.echo_brain import EchoBrain
    from memoryd.index_keeper import IndexKeeper
    from memoryd.journal import Journal
    from memoryd.ledger import ErasureRow, Ledger, Taken
    from memoryd.proof import Search
    from memoryd.reading import Reading
    from memoryd.users import User, Users
    from memoryd.watch import Watcher

log = logging.getLogger(__name__)

NOTES = {
    Action.REMOVED: "it held nothing else",
    Action.REWRITTEN: "whatever else is in it is as it was, byte for byte",
    Action.REPLACED: "the other conversations are kept in memoryd's own format, with new passage ids; "
    "whatever in it was no conversation is gone",
    Action.UNCHANGED: "the conversation was no longer in it",
    Action.UNREADABLE: "it can't be read, and names the conversation; mend it or take it out, then erase again",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ErasedFile:
    """What became of a file below `memory/`; `target` took its place where it was replaced."""

    path: str
    action: Action
    note: str
    target: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What was looked for afterwards, and what was found.

    Attributes:
        words: of the lexical index that only this conversation had.
        words_left: of them, how many the index still has.
        shared: fragments that were not sought because other conversations hold them too.
        elsewhere: ids of those conversations.
    """

    search: Search
    words: int
    words_left: int
    shared: int
    elsewhere: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """An erasure that is done.

    Attributes:
        copies: names of the files that went because they had been kept of a damaged ledger.
    """

    files: tuple[ErasedFile, ...]
    turns: int
    passages: int
    vectors: int
    identities: int
    log_lines: int
    copies: tuple[str, ...]
    identity_version: int
    generation: int
    proof: Proof
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All that is known before anything is touched.

    Attributes:
        words: of the lexical index that only this conversation has.
        owners: whose it is, where it is not to be taken out of everybody's files.
    """

    conversation_id: str
    turns: int
    cuts: tuple[Cut, ...]
    sought: Sought
    words: tuple[str, ...]
    scrubber: Scrubber
    owners: tuple[str, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleaned:
    """What was taken out beside files and ledger: log lines, and copies of a damaged ledger by name."""

    log_lines: int
    copies: tuple[str, ...]


class Eraser:
    """Erases conversations, one at a time, while the daemon runs.

    Args:
        reading: had alone while it cuts: a read of files that has begun must not end after the cut.
        drop_digest: ends the day digest that a model is writing.
    """

    def __init__(
        self,
        *,
        ledger: Ledger,
        paths: Paths,
        users: Users,
        journal: Journal,
        reading: Reading,
        watcher: Watcher,
        keeper: IndexKeeper,
        brain: EchoBrain,
        generators: Iterable[Generator],
        loop: BootMemoryLoop,
        clock: Clock,
        drop_digest: Callable[[], None] = lambda: None,
    ) -> None:
        self._ledger = ledger
        self._paths = paths
        self._users = users
        self._journal = journal
        self._reading = reading
        self._watcher = watcher
        self._keeper = keeper
        self._brain = brain
        self._generators = generators
        self._loop = loop
        self._drop_digest = drop_digest
        self._clock = clock
        self._folder = MemoryFolder(paths.memory)
        self._one = threading.Lock()

    def erase(self, user: User, conversation_id: str) -> Report:
        """Erases a conversation; one whose erasure broke off is gone on with.

        Raises:
            NotFoundError: there is none of that id that the user may see.
            ForbiddenError: it is not the user's own.
            BadRequestError: one of its files can't be read.
            StoreError: the disk refused; repeat it, or start again.
        """
        # Before anything is waited for: a refusal takes as long whatever others are having read in.
        self._check(user, conversation_id, resumed=self._unfinished(user, conversation_id) is not None)
        with self._one:
            begun = time.perf_counter()
            row = self._unfinished(user, conversation_id)
            plan, taken = None, None
            if row is None or row.state is ErasureState.BEGUN:
                # A replay that began before the cut would add an identity that quotes it after.
                with self._loop.held(), self._reading.alone(), self._journal.held():
                    # Files on a volume that is not mounted would bring the conversation back.
                    self._folder.check()
                    self._check(user, conversation_id, resumed=row is not None)
                    scope = scope_of(self._users, row.by if row else user.id)
                    plan = make_plan(self._ledger, self._paths, self._journal, conversation_id, scope)
                    row = row or self._ledger.erasures.begin(
                        conversation_id, by=user.id, at=self._clock.now(), turns=plan.turns
                    )
                    self._journal.note_erased(conversation_id, scope.owners or self._users.origin.owners)
                    taken = take_out(self._ledger, self._paths, row, plan)
            self._brain.forget(conversation_id)
            # The models forget only when their answers have ended, and this one is for nobody now.
            self._drop_digest()
            generation = self._keeper.renew()
            for generator in self._generators:
                generator.forget()
            for cut in plan.cuts if plan else ():
                self._watcher.note(cut.target or cut.path, settled=True)
            self._replay(row.by)
            cleaned = clean(self._ledger, self._paths, plan)
            proof = prove(self._ledger, self._paths, plan)
            finish(self._ledger, row, proof, self._clock)
            identity = self._loop.identity()
            return Report(
                files=tuple(_erased_file(cut) for cut in plan.cuts) if plan else (),
                turns=plan.turns if plan else row.turns,
                passages=taken.passages if taken else 0,
                vectors=taken.vectors if taken else 0,
                identities=taken.identities if taken else 0,
                log_lines=cleaned.log_lines,
                copies=cleaned.copies,
                identity_version=identity.version if identity else 0,
                generation=generation,
                proof=proof,
                seconds=round(time.perf_counter() - begun, 3),
            )

    def _unfinished(self, user: User, conversation_id: str) -> ErasureRow | None:
        """The erasure of this conversation that broke off: the user's own; of the origin, anybody's."""
        digest = digest_of(conversation_id)
        for row in self._ledger.erasures.unfinished():
            if row.digest == digest and user.id in {row.by, self._users.origin.id}:
                return row
        return None

    def _check(self, user: User, conversation_id: str, *, resumed: bool) -> None:
        """The origin may erase any conversation, a member what is their own of one."""
        if resumed:
            return
        origin = user.id == self._users.origin.id
        stored = self._ledger.files.conversation(conversation_id, None if origin else user.owners)
        if stored is None and origin and self._ledger.identities.lines_of(conversation_id):
            # Its files were deleted by hand, and identities quote it still.
            return
        if stored is None:
            raise NotFoundError(
                f'There is no conversation "{conversation_id}". A search names those that there are.'
            )
        if not origin and user.id not in stored.owners:
            raise ForbiddenError(
                f'The conversation "{conversation_id}" is not {user.id}\'s own; only the origin may erase it.'
            )

    def _replay(self, by: str) -> None:
        """The models have forgotten the identity that quoted it; the one that is in force after this is pinned.

        None quotes a member's own, so that where a member erases there is nothing to replay, and nobody sees it.
        """
        changed = False
        try:
            if by == self._users.origin.id:
                changed = self._loop.replay("erasure").changed
        except ReplayError:
            # The versions that are there quote nothing of it any more; the next replay makes another.
            log.exception("the replay after an erasure failed")
        if not changed:
            self._loop.adopt()


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What an erasure may touch: of these owners, everybody's where there are none named."""

    owners: tuple[str, ...] | None
    owner_of: Callable[[str], str]

    def holds(self, path: str) -> bool:
        """Whether a file is within it."""
        return self.owners is None or self.owner_of(path) in self.owners


def scope_of(users: Users, by: str) -> Scope:
    """The origin erases everybody's, a member their own: another's conversation may have the same id."""
    return Scope(owners=None if by == users.origin.id else (by,), owner_of=users.owner_of)


def finish_erasures(
    ledger: Ledger, paths: Paths, journal: Journal, clock: Clock, *, users: Users, chroma_url: str
) -> None:
    """Finishes what a kill cut short, before anything reads the files or the ledger.

    A memory folder that is not there keeps it waiting: the conversation is still in those files.

    Args:
        chroma_url: of a Chroma server elsewhere, which keeps generations too; empty where there is none.

    Raises:
        MemorydError: it can't be finished now; the conversation is listed as before, or wholly gone.
    """
    for row in ledger.erasures.unfinished():
        plan = None
        if row.state is ErasureState.BEGUN and row.conversation_id is not None:
            if not any(paths.memory.glob("day*/*")):
                log.warning("erasure %d waits for the memory folder %s", row.id, paths.memory)
                continue
            plan = make_plan(ledger, paths, journal, row.conversation_id, scope_of(users, row.by))
            take_out(ledger, paths, row, plan)
        remove_other_generations(paths.state / "chroma", begin_generation(ledger))
        if chroma_url:
            # The generation that begins has nothing there yet.
            drop_collections(chroma_url, ledger.instance())
        clean(ledger, paths, plan)
        finish(ledger, row, prove(ledger, paths, plan), clock)


def make_plan(ledger: Ledger, paths: Paths, journal: Journal, conversation_id: str, scope: Scope) -> Plan:
    """Reads what there is of a conversation, in the ledger and in files that were not read yet."""
    stored = ledger.files.conversation(conversation_id, scope.owners)
    written = filter(scope.holds, journal.paths_of(conversation_id))
    named = dict.fromkeys([*(stored.paths if stored else ()), *written])
    unread = [cut for cut in _unread(ledger, paths.memory, conversation_id) if scope.holds(cut.path)]
    cuts = (
        *(plan_cut(paths.memory, path, conversation_id) for path in named),
        *(cut for cut in unread if cut.path not in named),
    )
    said = [turn.text for turn in stored.turns] if stored else []
    said += [turn.text for cut in cuts for turn in cut.turns]
    if scope.owners is None:
        # As it was when an identity was made of it: it may have been edited since.
        lines = ledger.identities.lines_of(conversation_id)
        said += [quoted_in(line) for line in lines if line["kind"] != DIGEST]
    removed = [cut.path for cut in cuts if cut.action is Action.REMOVED]
    manifests = [("", text) for text in read_manifests(paths.manifest).texts.values()]
    sought = Sought(
        [*said, stored.title if stored else ""],
        names=[conversation_id, *removed],
        vectors=ledger.erasures.vectors_of(conversation_id, scope.owners),
        beside=[*manifests, *ledger.erasures.texts_beside(conversation_id, scope.owners)],
    )
    return Plan(
        conversation_id=conversation_id,
        turns=max(len(stored.turns) if stored else 0, sum(len(cut.turns) for cut in cuts)),
        cuts=cuts,
        sought=sought,
        words=tuple(ledger.erasures.rare_words(conversation_id, scope.owners)),
        scrubber=_scrubber(ledger, conversation_id, cuts, scope.owners),
        owners=scope.owners,
    )


def take_out(ledger: Ledger, paths: Paths, row: ErasureRow, plan: Plan) -> Taken:
    """Cuts the files, then the ledger; done twice it is the same."""
    for cut in plan.cuts:
        carry_out(paths.memory, cut, plan.conversation_id)
    removed = [cut.path for cut in plan.cuts if cut.action is Action.REMOVED]
    targets = {cut.path: cut.target or cut.path for cut in plan.cuts if cut.path not in removed}
    taken = ledger.erasures.cut(
        row, targets=targets, removed=removed, scrubbed=plan.scrubber.scrub, owners=plan.owners
    )
    log.info("erasure %d by %s: %d turns are cut out", row.id, row.by, taken.turns)
    return taken


def clean(ledger: Ledger, paths: Paths, plan: Plan | None) -> Cleaned:
    """Cleans whatever may hold a trace still: the ledger's freed pages, copies of a damaged ledger, logs."""
    ledger.erasures.compact()
    copies = ledger.remove_copies()
    if copies:
        log.info("removed, because they may hold what is erased: %s", ", ".join(copies))
    lines = scrub_logs(paths.state / "logs", plan.sought.stands_in) if plan else 0
    return Cleaned(log_lines=lines, copies=copies)


def prove(ledger: Ledger, paths: Paths, plan: Plan | None) -> Proof:
    """Looks for a trace."""
    sought = plan.sought if plan else Sought(())
    search = sought.search(paths.state)
    words = plan.words if plan else ()
    return Proof(
        search=search,
        words=len(words),
        words_left=ledger.erasures.words_left(words),
        shared=sought.shared,
        elsewhere=sought.elsewhere,
    )


def finish(ledger: Ledger, row: ErasureRow, proof: Proof, clock: Clock) -> None:
    """Records the erasure, and says so where something was found."""
    found = sum(each.fragments for each in proof.search.found)
    sought = proof.search.fragments
    ledger.erasures.finish(
        row.id, at=clock.now(), fragments=sought, found=found + proof.words_left if sought else None
    )
    if found:
        where = ", ".join(each.path for each in proof.search.found)
        log.warning("erasure %d: %d fragments are still in %s", row.id, found, where)
    log.info("erasure %d is done: %d fragments sought, %d found", row.id, sought, found)


def _unread(ledger: Ledger, memory: Path, conversation_id: str) -> Iterator[Cut]:
    """Cuts of the files that hold the conversation and are not in the ledger as they are: new, changed, unreadable."""
    known = ledger.files.known()
    quarantined = {row.path for row in ledger.files.list(FileState.QUARANTINED)}
    for file in sorted(memory.glob("day*/**/*")):
        path = file.relative_to(memory).as_posix()
        name = printable(path)
        if ignored(path) or file.is_symlink() or not file.is_file():
            continue
        if name not in quarantined and known.get(name) == Signature.of(file.lstat()):
            continue
        try:
            cut: Cut | None = plan_cut(memory, name, conversation_id)
        except BadRequestError:
            cut = unreadable(memory, name, conversation_id)
        if cut and cut.action is not Action.UNCHANGED:
            yield cut


def _scrubber(
    ledger: Ledger, conversation_id: str, cuts: Iterable[Cut], owners: Sequence[str] | None
) -> Scrubber:
    stored = ledger.files.conversation(conversation_id, owners)
    if owners is not None:
        # A member's own is in no identity; only what their files' names stand at can be of it.
        return Scrubber(
            gone=frozenset(),
            spoken=frozenset(),
            kept=frozenset(),
            paths=frozenset(cut.path for cut in cuts),
            known=frozenset(),
        )
    gone: dict[str, str] = {}
    for path in stored.paths if stored else ():
        gone |= quotes_of(path, stored.turns if stored else ())
    kept: dict[str, str] = {}
    for path, turn in ledger.erasures.turns_beside(conversation_id, owners):
        kept |= quotes_of(path, [turn])
    return Scrubber(
        gone=frozenset(gone),
        spoken=frozenset(gone.values()),
        kept=frozenset(kept),
        paths=frozenset(cut.path for cut in cuts),
        known=frozenset(ledger.files.known()),
        days=frozenset(turn.time.isoformat()[:10] for turn in stored.turns) if stored else frozenset(),
        retold=True,
    )


def _erased_file(cut: Cut) -> ErasedFile:
    gone = cut.action is Action.REMOVED and cut.file is None
    note = "it was gone already" if gone else NOTES[cut.action]
    return ErasedFile(path=cut.path, action=cut.action, note=note, target=cut.target)
