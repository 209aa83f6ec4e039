"""The composition root: builds every part, starts them in order behind the open port, stops them in reverse.

lock ─▶ (app) ─▶ ledger ─▶ replay ─▶ models ∥ (embedder ∥ Kiwi's child) ─▶ Chroma ─▶ watcher ─▶ replay, schedule
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from llm import Engine, Identity, State
from memoryd.clock import SystemClock
from memoryd.errors import (
    EmbedderError,
    LedgerDamagedError,
    MemorydError,
    NotReadyError,
    ReplayError,
    StoreError,
)
from memoryd.journal import Journal
from memoryd.kiwi import KIWI
from memoryd.language_models import BUNDLED, generators
from memoryd.ledger_keeper import LedgerKeeper
from memoryd.manifests import read_manifests, room_fault
from memoryd.origin import unconfirmed
from memoryd.state_lock import lock_state
from memoryd.users import Users

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import IO

    from memoryd.boot_memory_loop import BootMemoryLoop
    from memoryd.config import Config
    from memoryd.day_moods import DayMoods
    from memoryd.journal import Utterance
    from memoryd.ledger import IdentityRow, Ledger
    from memoryd.opening import Memory
    from memoryd.people import People
    from memoryd.users import User
    from memoryd.watch import Watcher

log = logging.getLogger(__name__)

STOP_LIMIT_S = 3.0
# Between two tries of a step of the boot that the ledger refused.
RETRY_SECONDS = 1.0

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part's state for `/ready`: ready, loading, absent, failed or degraded."""

    name: str
    state: str
    detail: str = ""


class Daemon:
    """One memoryd over one state folder.

    Args:
        config: the configuration.
        lock: what holds the state folder already; without it, it is taken here.
        users: who they are, where that was read already.

    Raises:
        AlreadyRunningError: another daemon owns the state folder.
        StoreError: the state folder can't be written, or who the users are can't be read.
    """

    def __init__(self, config: Config, *, lock: IO[str] | None = None, users: Users | None = None) -> None:
        self.config = config
        self.clock = SystemClock()
        self.began = self.clock.monotonic()
        self._lock_file = lock or lock_state(config.paths.state)
        self.users = users or Users(config.paths.manifest, config.paths.state)
        self.journal = Journal(config.paths.memory)
        self.engine = Engine()
        self.generators = generators(config, self.engine)
        self._ledger_keeper = LedgerKeeper(config.paths.state, clock=self.clock)
        self._loop: BootMemoryLoop | None = None
        self._memory: Memory | None = None
        self._people: People | None = None
        # Set once every file is known to be its owner's; until then nobody is shown any.
        self._owned = threading.Event()
        self._faults: dict[str, str] = {}
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Begins to open everything; returns at once. `parts` says how far it is."""
        KIWI.start()
        self._spawn("boot", self._boot)

    def stop(self) -> None:
        """Stops every part in reverse; what was acknowledged is on disk already."""
        self._stopping.set()
        self._ledger_keeper.stop()
        memory = self._memory
        if memory is not None:
            memory.schedule.stop()
            memory.manifests.stop()
            if memory.digests is not None:
                memory.digests.stop()
            memory.watcher.stop()
            memory.keeper.stop()
        # Nobody reads any more; a start that still waits for it is over at once.
        KIWI.stop()
        for thread in self._threads:
            # A model that is being loaded is not waited for: nothing of it needs saving.
            thread.join(STOP_LIMIT_S)
        for generator in self.generators.values():
            if generator.status().state is not State.LOADING:
                generator.close()
        self.engine.close()
        if self._ledger_keeper.ledger is not None:
            self._ledger_keeper.ledger.close()
        self._lock_file.close()
        log.info("stopped")

    @property
    def ledger(self) -> Ledger:
        """The ledger.

        Raises:
            NotReadyError: it is being opened.
            StoreError: it can't be opened.
        """
        ledger = self._ledger_keeper.ledger
        if ledger is None and self._ledger_keeper.fault:
            raise StoreError(self._ledger_keeper.fault)
        if ledger is None or not self._owned.is_set():
            raise NotReadyError("The ledger is being opened; try again in a moment.")
        return ledger

    @property
    def people(self) -> People:
        """Users who come.

        Raises:
            NotReadyError: the ledger is being opened.
        """
        _ = self.loop
        if self._people is None:
            raise NotReadyError("The users are being prepared; try again in a moment.")
        return self._people

    @property
    def loop(self) -> BootMemoryLoop:
        """The replay.

        Raises:
            NotReadyError: the ledger is being opened.
        """
        _ = self.ledger
        if self._loop is None:
            raise NotReadyError("The replay is being prepared; try again in a moment.")
        return self._loop

    @property
    def memory(self) -> Memory:
        """Recall and all that it stands on.

        Raises:
            NotReadyError: it is being opened; the message says what is missing.
        """
        if self._memory is None:
            _ = self.ledger
            if "embedder" in self._faults:
                raise EmbedderError(self._faults["embedder"])
            waits = [
                f"{part.name}: {part.detail or part.state}" for part in self.parts() if part.state != "ready"
            ]
            raise NotReadyError(f"The memory is being opened ({'; '.join(waits)}). Try again in a moment.")
        return self._memory

    def heard(self, user: User, conversation_id: str, turns: Sequence[Utterance]) -> None:
        """Lets the conversation at hand know of turns that were written beside it."""
        if self._memory is not None:
            try:
                self._memory.brain.heard(user, conversation_id, turns)
            except MemorydError:
                log.exception("conversation %s is on disk and can't be kept at hand", conversation_id)

    def remembered(self, path: str) -> None:
        """Has a file that we wrote ourselves read at once."""
        if self._memory is not None:
            self._memory.watcher.note(path, settled=True)

    def _moved(self) -> None:
        """Files have another owner: what conversations quote of them goes, and the identity is made without them."""
        if self._memory is not None:
            self._memory.brain.forget()
        self._spawn("replay", lambda: self._replay("users"))

    def rebuild(self, *, embed: bool = False) -> int:
        """Makes everything derived again from files and vectors; returns the new generation's number.

        Args:
            embed: make the vectors again too, instead of taking them from the ledger.
        """
        memory = self.memory
        # The vectors of a file in hand must not be taken out from under it.
        with memory.reading.alone():
            self.ledger.begin_rebuild(memory.embedder.id, memory.embedder.dimension, embed=embed)
        generation = memory.keeper.rebuild()
        memory.watcher.rescan()
        return generation

    def parts(self) -> list[Part]:
        """Every part but the models, in the order in which they are started."""
        return [
            self._ledger_part(),
            self._manifest_part(),
            self._opened("embedder", self._memory is not None),
            _looked_at("index", self._index_part),
            self._watcher_part(),
            _looked_at("replay", self._replay_part),
            *[Part(name="built-in model", state="failed", detail=why) for why in self._built_in_faults()],
        ]

    def answers(self) -> bool:
        """Whether a question can be answered now (or searched, where models are switched off)."""
        models = [generator.status().state for generator in self.generators.values()]
        ledger = self._ledger_keeper.ledger
        whole = ledger is not None and not ledger.damage
        return whole and self._memory is not None and (State.READY in models or not models)

    def _boot(self) -> None:
        # Numpy, httpx and torch come in here, behind the open port.
        from memoryd.boot_memory_loop import BootMemoryLoop
        from memoryd.erase import finish_erasures
        from memoryd.opening import day_digests, open_memory
        from memoryd.people import People, give_to_owners
        from memoryd.serving_tokenizer import ServingTokenizer

        ledger = self._ledger_keeper.open()
        if ledger is None:
            return
        # From here on: damage that the next steps meet is recovered from while they wait.
        self._ledger_keeper.watch(self._read_everything_again)

        def finish() -> None:
            try:
                finish_erasures(
                    ledger,
                    self.config.paths,
                    self.journal,
                    self.clock,
                    users=self.users,
                    chroma_url=self.config.store.chroma_url,
                )
            except LedgerDamagedError:
                raise
            except MemorydError:
                log.exception("an erasure that was cut short can't be finished; the next start tries again")

        self._insist(lambda: give_to_owners(ledger, self.users.owners))
        self._owned.set()
        self._insist(finish)
        digests = day_digests(self.config, ledger, self.users, self.clock)
        if digests is None:
            # What a model wrote while that was asked for.
            self._insist(lambda: ledger.digests.keep({}))
        loop = self._loop = BootMemoryLoop(
            ledger=ledger,
            manifest=self.config.paths.manifest,
            owners=self.users.identity_owners,
            origin=self.users.origin.id,
            being=self.config.being.name,
            budget=self.config.replay.token_budget,
            adopted=self._pin,
            clock=self.clock,
            embedder=lambda: self.memory.embedder.id,
            tokenizer=ServingTokenizer(self.config),
            moods=self._day_moods,
            digests=digests,
            ended=self._replayed,
        )
        self._people = People(users=self.users, ledger=ledger, loop=loop, moved=self._moved, clock=self.clock)
        self._spawn("models", self._load_models)
        # One from before serves until the first scan is done: a long life takes long to replay.
        adopted = self._insist(loop.adopt)
        try:
            memory = self._insist(
                lambda: open_memory(
                    self.config,
                    ledger=ledger,
                    loop=loop,
                    digests=digests,
                    users=self.users,
                    journal=self.journal,
                    generators=self.generators,
                    clock=self.clock,
                    saved=self.remembered,
                )
            )
        except MemorydError as error:
            log.exception("the memory can't be opened")
            self._faults["embedder"] = str(error)
            return
        if memory is None or self._stopping.is_set():
            return
        self._memory = memory
        if adopted is None:
            self._replay("boot")
        self._insist(memory.keeper.start)
        if not self._stopping.is_set():
            self._watch_over(memory, adopted)

    def _watch_over(self, memory: Memory, adopted: IdentityRow | None) -> None:
        """Starts what goes on by itself; replays what came into `memory/` meanwhile, and the days' moods with it."""
        memory.watcher.start()
        memory.schedule.start()
        memory.manifests.start()
        if memory.digests is not None:
            memory.digests.start()
        log.info("the memory is open")
        # What was learned before is on disk, and the identity in force was made with it. The first time it takes
        # the processors for a while, so that nothing waits for it.
        learned = bool(adopted and adopted.made_of.get("whole"))
        if learned:
            self._learn_moods(memory)
        self._replay_after_first_scan(memory.watcher)
        if not learned and not self._stopping.is_set():
            self._learn_moods(memory)
            self._replay("boot")

    def _day_moods(self) -> DayMoods | None:
        """What reads how days were, once moods are learned."""
        from memoryd.day_moods import DayMoods

        memory = self._memory
        if memory is None or memory.moods.reader is None:
            return None
        return DayMoods(
            ledger=self.ledger,
            reader=memory.moods.reader,
            embedder=memory.embedder.id,
            being=self.config.being.name,
        )

    def _learn_moods(self, memory: Memory) -> None:
        try:
            memory.moods.learn(self._stopping)
        except EmbedderError:
            log.info("moods are not read: the daemon was told to stop")
        except Exception:  # an embedder raises whatever it likes, and nothing hangs on moods
            log.exception("moods can't be read")

    def _insist(self, step: Callable[[], Result]) -> Result | None:
        """Takes a step of the boot, again where the ledger refuses: it is being seen to meanwhile.

        Returns:
            What the step returns; None where the daemon was told to stop first.
        """
        while not self._stopping.is_set():
            try:
                result = step()
            except StoreError as error:
                log.warning("the start waits and tries again: %s", error)
                self._faults["boot"] = str(error)
                self._stopping.wait(RETRY_SECONDS)
            else:
                self._faults.pop("boot", None)
                return result
        return None

    def _load_models(self) -> None:
        """The built-in model first (seconds), then the default, then the rest."""
        order = dict.fromkeys([BUNDLED, self.config.llm.default, *self.generators])
        for name in order:
            generator = self.generators.get(name)
            if generator is None or self._stopping.is_set():
                continue
            if name == BUNDLED:
                self._put_bundled_model_in_place()
            generator.load()
            status = generator.status()
            if status.state is not State.FAILED:  # the model itself has said why
                log.info("model %s: %s, %s", name, status.state, status.detail)

    def _pin(self, identity: IdentityRow) -> None:
        """Has every model compute an identity beside its work; one that is not loaded yet does so then."""
        pinned = Identity(version=identity.version, text=identity.text, speaker=self.config.being.name)
        for generator in self.generators.values():
            generator.pin(pinned)

    def _put_bundled_model_in_place(self) -> None:
        """A fault of the built-in model must not keep the others from loading."""
        from memoryd.bundled import ensure_language_model

        try:
            ensure_language_model(self.config.paths.models)
        except Exception as error:  # the package that carries it raises whatever it likes
            log.exception("the built-in model can't be put in place")
            self._faults[BUNDLED] = f"it can't be put into {self.config.paths.models}: {error}"

    def _replayed(self) -> None:
        """A replay has ended, on any thread: days without a digest have one written."""
        if self._memory is not None and self._memory.digests is not None:
            self._memory.digests.wake()

    def _replay(self, trigger: str) -> None:
        try:
            self.loop.replay(trigger)
        except ReplayError:
            log.exception("the replay failed")

    def _replay_after_first_scan(self, watcher: Watcher) -> None:
        """What came into `memory/` while the daemon was down belongs to the identity too."""
        while not self._stopping.is_set():
            if watcher.idle.wait(0.5):
                self._replay("boot")
                return

    def _read_everything_again(self) -> None:
        """After a damaged ledger was made anew: its files into it, and Chroma from it.

        A memory that is not open yet begins so by itself: the ledger says that it is a new one.
        """
        memory = self._memory
        if memory is None:
            return
        # First, so that the new generation waits for the files.
        memory.watcher.rescan()
        memory.keeper.rebuild()
        self._spawn("replay", lambda: self._replay_after_first_scan(memory.watcher))

    def _spawn(self, name: str, target: Callable[[], None]) -> None:
        def guarded() -> None:
            try:
                target()
            except Exception as error:  # the thread's boundary: the port stays open and says why
                log.exception("%s failed", name)
                self._faults[name] = str(error)

        thread = threading.Thread(target=guarded, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _opened(self, name: str, there: bool) -> Part:
        fault = self._faults.get(name) or self._faults.get("boot")
        if there:
            return Part(name=name, state="ready")
        return Part(name=name, state="failed" if fault else "loading", detail=fault or "")

    def _built_in_faults(self) -> list[str]:
        return [self._faults[BUNDLED]] if BUNDLED in self._faults else []

    def _ledger_part(self) -> Part:
        if "boot" in self._faults and self._ledger_keeper.ledger is None:
            return self._opened("ledger", there=False)
        state, detail = self._ledger_keeper.state()
        return Part(name="ledger", state=state, detail=detail)

    def _manifest_part(self) -> Part:
        folder = self.config.paths.manifest
        manifests = read_manifests(folder)
        faults = [
            *manifests.faults,
            unconfirmed(folder, self.config.paths.state, self.users.origin.id),
            room_fault(manifests, self.config.replay.token_budget),
        ]
        detail = "; ".join(filter(None, faults))
        return Part(name="manifest", state="degraded" if detail else "ready", detail=detail)

    def _index_part(self) -> Part:
        if self._memory is None:
            return self._opened("index", there=False)
        reason = self._memory.keeper.degraded()
        return Part(name="index", state="degraded" if reason else "ready", detail=reason or "")

    def _watcher_part(self) -> Part:
        if self._memory is None:
            return self._opened("watcher", there=False)
        watcher = self._memory.watcher
        fault = self._faults.get("boot") or watcher.fault
        if fault:
            return Part(name="watcher", state="degraded", detail=fault)
        waiting = watcher.waiting()
        return Part(name="watcher", state="ready", detail=f"{waiting} files to read" if waiting else "")

    def _replay_part(self) -> Part:
        if self._loop is not None and self._loop.fault:
            return Part(name="replay", state="degraded", detail=self._loop.fault)
        identity = self._loop.identity() if self._loop else None
        if identity is None:
            return self._opened("replay", there=False)
        due = self._memory.schedule.next_run() if self._memory else None
        then = f", next replay {due:%Y-%m-%d %H:%M}" if due else ""
        return Part(name="replay", state="ready", detail=f"identity {identity.version}{then}")


def _looked_at(name: str, look: Callable[[], Part]) -> Part:
    """A part whose state is in the ledger; where that can't be read now, `/ready` answers all the same."""
    try:
        return look()
    except StoreError as error:
        return Part(name=name, state="degraded", detail=str(error))
