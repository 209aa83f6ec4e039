"""Opens the memory: loads the embedder, waits for Kiwi, and puts ingest, index, recall and brain together."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from memoryd.chroma import ChromaIndex, ChromaServer, RemoteChroma
from memoryd.date_words import spans as named_times
from memoryd.day_digests import DayDigests
from memoryd.digest_writer import DigestWriter
from memoryd.echo_brain import BrainSettings, EchoBrain
from memoryd.embedder import open_embedder
from memoryd.erase import Eraser
from memoryd.errors import KiwiError
from memoryd.file_events import NoEvents, WatchdogEvents
from memoryd.index_keeper import IndexKeeper
from memoryd.ingest import Ingest
from memoryd.korean import WordSplitter
from memoryd.language_models import local_models
from memoryd.manifest_watch import ManifestWatch
from memoryd.mood import Moods
from memoryd.mounts import network_file_system
from memoryd.own_part import OwnParts
from memoryd.quotes import Quotes
from memoryd.reading import Reading
from memoryd.recall.recall import Recall
from memoryd.recall.reranker import Reranker
from memoryd.schedule import Schedule
from memoryd.verify import Verifier
from memoryd.watch import Watcher

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from llm import Generator
    from memoryd.boot_memory_loop import BootMemoryLoop
    from memoryd.clock import Clock
    from memoryd.config import Config
    from memoryd.embedder import Embedder
    from memoryd.journal import Journal
    from memoryd.ledger import Ledger
    from memoryd.users import Users

log = logging.getLogger(__name__)

# Of the room for memories, what a member's own part takes.
PART_OF_OWN = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What is there once the memory is open; nothing in it is started yet.

    Attributes:
        reading: whether files are being read in, or somebody has that to themselves.
        digests: what has a model write digests of days, where that is asked for.
    """

    embedder: Embedder
    keeper: IndexKeeper
    watcher: Watcher
    recall: Recall
    brain: EchoBrain
    schedule: Schedule
    manifests: ManifestWatch
    verifier: Verifier
    eraser: Eraser
    moods: Moods
    reading: Reading
    digests: DigestWriter | None


def open_memory(
    config: Config,
    *,
    ledger: Ledger,
    loop: BootMemoryLoop,
    digests: DayDigests | None,
    users: Users,
    journal: Journal,
    generators: Mapping[str, Generator],
    clock: Clock,
    saved: Callable[[str], None],
) -> Memory:
    """Loads what must be loaded (seconds) and builds the parts.

    Raises:
        EmbedderError: the embedding model can't be loaded.
    """
    words = WordSplitter()
    embedder = _load(config, words)
    ingest = Ingest(
        memory=config.paths.memory,
        ledger=ledger,
        embedder=embedder,
        words=words,
        users=users,
        max_file_bytes=config.watch.max_file_bytes,
        max_tokens=config.passages.max_tokens,
    )
    reading = Reading()
    watcher = _watcher(config, ingest, ledger, clock, reading)
    keeper = _index_keeper(config, ledger, embedder, ingest.fingerprint, watcher.catching_up)
    recall = Recall(
        ledger=ledger,
        embedder=embedder,
        words=words,
        index=lambda: keeper.index,
        degraded=keeper.degraded,
        doubt=keeper.doubt,
        candidates=config.recall.candidates,
        reranker=_reranker(config),
        now=clock.now,
    )
    moods = Moods(
        ledger=ledger, embedder=embedder, clock=clock, being=config.being.name, kept_in=config.paths.models
    )
    brain = EchoBrain(
        recall=recall,
        quotes=Quotes(embedder=embedder, words=words),
        ledger=ledger,
        identity=loop.identity,
        generators=generators,
        journal=journal,
        saved=saved,
        clock=clock,
        settings=_brain_settings(config),
        own_parts=OwnParts(
            ledger, embedder=embedder.id, budget=int(config.recall.token_budget * PART_OF_OWN)
        ),
        moods=moods,
    )
    schedule = Schedule(
        cron=config.replay.cron,
        timezone=config.replay.timezone,
        replay=lambda: loop.replay("schedule"),
        clock=clock,
    )
    verifier = Verifier(
        memory=config.paths.memory,
        ledger=ledger,
        embedder=embedder,
        words=words,
        ingest=ingest,
        watcher=watcher,
        index=lambda: keeper.index,
        origin=users.origin.id,
    )
    writer = _digest_writer(config, digests, loop, generators) if digests else None
    eraser = Eraser(
        ledger=ledger,
        paths=config.paths,
        users=users,
        journal=journal,
        reading=reading,
        watcher=watcher,
        keeper=keeper,
        brain=brain,
        generators=generators.values(),
        loop=loop,
        clock=clock,
        drop_digest=writer.drop if writer else lambda: None,
    )
    return Memory(
        embedder=embedder,
        keeper=keeper,
        watcher=watcher,
        recall=recall,
        brain=brain,
        schedule=schedule,
        manifests=ManifestWatch(config.paths.manifest, lambda: loop.replay("manifest")),
        verifier=verifier,
        eraser=eraser,
        moods=moods,
        reading=reading,
        digests=writer,
    )


def day_digests(config: Config, ledger: Ledger, users: Users, clock: Clock) -> DayDigests | None:
    """What a model says of the last days, where the configuration has one write it."""
    if config.replay.digests != "model":
        return None
    return DayDigests(ledger=ledger, owners=users.identity_owners, clock=clock)


def _digest_writer(
    config: Config, digests: DayDigests, loop: BootMemoryLoop, generators: Mapping[str, Generator]
) -> DigestWriter:
    """The default model writes, or another one whose file is here: words leave the machine only where asked."""
    names = dict.fromkeys([config.llm.default, *local_models(config)])
    models = [generators[name] for name in names if name in generators]
    return DigestWriter(digests=digests, loop=loop, models=models)


def _load(config: Config, words: WordSplitter) -> Embedder:
    """Everything that no question is to wait for. Kiwi has been loading beside it since the daemon started."""
    embedder = open_embedder(config)
    # The first feast that moves has the calendar read.
    named_times("설, Christmas", datetime.now(UTC))
    try:
        words.load()
    except KiwiError as error:
        # Each text and each question in Korean tries again, and says it where it still fails.
        log.warning("the memory opens without Korean words: %s", error)
    return embedder


def _reranker(config: Config) -> Reranker | None:
    settings = config.recall
    if not settings.reranker:
        return None
    return Reranker(settings.reranker, budget_ms=settings.rerank_milliseconds)


def _watcher(
    config: Config,
    ingest: Ingest,
    ledger: Ledger,
    clock: Clock,
    reading: Reading,
) -> Watcher:
    """Listens on a local disk, compares at intervals on a network mount; holds `reading` while it reads files in."""

    def read(paths: Sequence[str], between: Callable[[], None]) -> dict[str, Exception]:
        def go_on() -> None:
            reading.go_on()
            between()

        with reading.of_files():
            return ingest.read(paths, go_on)

    def give_up(path: str, reason: str) -> None:
        with reading.of_files():
            ingest.give_up(path, reason)

    settings = config.watch
    mounted = network_file_system(config.paths.memory)
    if mounted:
        log.info(
            "%s is on %s: compared every %g s", config.paths.memory, mounted, settings.network_scan_seconds
        )
    return Watcher(
        root=config.paths.memory,
        events=NoEvents() if mounted else WatchdogEvents(),
        read=read,
        give_up=give_up,
        known=ledger.files.known,
        clock=clock,
        settle_seconds=settings.settle_seconds,
        rescan_seconds=settings.network_scan_seconds if mounted else settings.rescan_seconds,
    )


def _index_keeper(
    config: Config, ledger: Ledger, embedder: Embedder, fingerprint: str, catching_up: Callable[[], bool]
) -> IndexKeeper:
    store = config.store
    server: ChromaServer | RemoteChroma = (
        RemoteChroma(store.chroma_url)
        if store.chroma_url
        else ChromaServer(max_file_bytes=store.max_file_bytes)
    )
    return IndexKeeper(
        ledger=ledger,
        server=server,
        open_index=lambda generation: ChromaIndex(
            server,
            instance=ledger.instance(),
            embedder=embedder.id,
            dimension=embedder.dimension,
            generation=generation,
            sync_threshold=store.sync_threshold,
        ),
        embedder_id=embedder.id,
        folder=config.paths.state / "chroma",
        fingerprint=fingerprint,
        batch_size=store.batch_size,
        catching_up=catching_up,
    )


def _brain_settings(config: Config) -> BrainSettings:
    return BrainSettings(
        name=config.being.name,
        default_model=config.llm.default,
        passages=config.recall.passages,
        memory_tokens=config.recall.token_budget,
        max_tokens=config.llm.max_tokens,
        temperature=config.llm.temperature,
    )
