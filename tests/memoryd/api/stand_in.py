"""A daemon for the routes to serve: a real ledger, journal, replay and brain over fakes, all of it in one thread."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from llm import Finish, Identity, ModelNotReadyError, Piece, State, Usage
from memoryd.boot_memory_loop import BootMemoryLoop
from memoryd.config import Config, Llm, Paths
from memoryd.daemon import Part
from memoryd.echo_brain import BrainSettings, EchoBrain
from memoryd.erase import Eraser
from memoryd.errors import NotReadyError
from memoryd.ingest import Ingest
from memoryd.journal import Journal
from memoryd.ledger import Ledger
from memoryd.mood import Moods
from memoryd.own_part import OwnParts
from memoryd.people import People
from memoryd.quotes import Quotes
from memoryd.reading import Reading
from memoryd.recall.recall import Recall
from memoryd.testing import FakeClock, FakeEmbedder, FakeFileEvents, FakeGenerator, FakeVectorIndex
from memoryd.users import Users
from memoryd.verify import Verifier
from memoryd.watch import Watcher

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from llm import GenerateRequest
    from memoryd.journal import Utterance
    from memoryd.korean import WordSplitter
    from memoryd.ledger import IdentityRow
    from memoryd.users import User

LAKE = "day0402/lake.jsonl"
LAKE_TURNS = (
    ("l1", "user", "소연", "2026-04-02T08:30:00+09:00", "호숫가 오두막 열쇠는 우체통 밑에 붙여 뒀어."),
    ("l2", "assistant", "에코", "2026-04-02T08:31:00+09:00", "네, 우체통 밑이군요."),
    ("l3", "user", "소연", "2026-04-02T08:40:00+09:00", "The canoe paddles hang in Bram's garage."),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What the routes read from an open memory."""

    embedder: FakeEmbedder
    watcher: Watcher
    recall: Recall
    brain: EchoBrain
    verifier: Verifier
    eraser: Eraser
    moods: Moods


class OtherIndex:
    """A keeper whose new generation is always the second."""

    def renew(self) -> int:
        """The number."""
        return 2


class StandIn:
    """What the routes use of a daemon. `loading` is the sentence that an unopened memory refuses with."""

    def __init__(self, folder: Path, words: WordSplitter) -> None:
        paths = Paths(**{name: folder / name for name in ("memory", "manifest", "state", "models")})
        paths.memory.mkdir()
        paths.manifest.mkdir()
        (paths.manifest / "echo_identity.txt").write_text("나는 에코다.", encoding="utf-8")
        (paths.manifest / "fillin_manifest.txt").write_text("들은 것을 지킨다.", encoding="utf-8")
        (paths.manifest / "origin_id.txt").write_text("origin", encoding="utf-8")
        self.config = Config(paths=paths, llm=Llm(default="fake", max_tokens=64), models={})
        self.clock = FakeClock()
        self.began = self.clock.monotonic()
        self.users = Users(paths.manifest, paths.state)
        self.journal = Journal(paths.memory)
        self.generator = FakeGenerator()
        self.generators = {"fake": self.generator}
        self.ledger = Ledger(paths.state)
        self.loop = BootMemoryLoop(
            ledger=self.ledger,
            manifest=paths.manifest,
            owners=self.users.identity_owners,
            origin=self.users.origin.id,
            being=self.config.being.name,
            budget=500,
            adopted=self._pin,
            clock=self.clock,
        )
        self.people = People(
            users=self.users, ledger=self.ledger, loop=self.loop, moved=self._moved, clock=self.clock
        )
        self.loading: str | None = None
        self.degraded: str | None = None
        self.started = threading.Event()
        self.stopped = threading.Event()
        self._memory = self._open(words)

    @property
    def memory(self) -> Memory:
        """The memory, once it is not loading."""
        if self.loading:
            raise NotReadyError(self.loading)
        return self._memory

    @property
    def token(self) -> str:
        """The origin's."""
        return (self.config.paths.state / "origin.token").read_text().strip()

    def start(self) -> None:
        """Nothing is left to open."""
        self.started.set()

    def stop(self) -> None:
        """Closes the ledger, once."""
        if not self.stopped.is_set():
            self.ledger.close()
            self.stopped.set()

    def parts(self) -> list[Part]:
        """One part."""
        return [
            Part(name="embedder", state="loading" if self.loading else "ready", detail=self.loading or "")
        ]

    def answers(self) -> bool:
        """Whether a question can be answered."""
        return not self.loading and self.generator.state is State.READY

    def heard(self, user: User, conversation_id: str, turns: Sequence[Utterance]) -> None:
        """As the daemon does."""
        self.memory.brain.heard(user, conversation_id, turns)

    def remembered(self, path: str) -> None:
        """Reads the file before it returns, so that no test has to wait."""
        self._memory.watcher.note(path, settled=True)
        self._memory.watcher.step()

    def rebuild(self, *, embed: bool = False) -> int:
        """Has every file read again; the generation is always the second."""
        embedder = self._memory.embedder
        self.ledger.begin_rebuild(embedder.id, embedder.dimension, embed=embed)
        self._memory.watcher.rescan()
        self._memory.watcher.step()
        return 2

    def drop(self, path: str, data: str) -> None:
        """Puts a file into `memory/` and has it read."""
        self._put(path, data)
        self.remembered(path)

    def drop_unread(self, path: str) -> None:
        """Puts a file into `memory/` that nobody reads."""
        self._put(path, "아직 아무도 읽지 않았다.")
        self._memory.watcher.note(path)

    def _put(self, path: str, data: str) -> None:
        file = self.config.paths.memory / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(data, encoding="utf-8")

    def drop_lake(self) -> None:
        """Puts a small conversation in, half Korean and half English."""
        keys = ("id", "role", "speaker", "time", "text")
        turns = [{"conversation": "lake", **dict(zip(keys, turn, strict=True))} for turn in LAKE_TURNS]
        self.drop(LAKE, "".join(json.dumps(turn, ensure_ascii=False) + "\n" for turn in turns))

    def kept(self) -> list[dict[str, Any]]:
        """Every line that the journal has written, in order."""
        files = sorted(self.config.paths.memory.glob("day*/origin/*.jsonl"))
        return [json.loads(line) for file in files for line in file.read_text("utf-8").splitlines()]

    def member(self, name: str) -> str:
        """Adds a user; returns their token."""
        return self.people.add(name).token

    def _moved(self) -> None:
        self._memory.brain.forget()
        self.loop.replay("users")

    def _pin(self, identity: IdentityRow) -> None:
        for generator in self.generators.values():
            generator.pin(Identity(version=identity.version, text=identity.text, speaker="에코"))

    def _open(self, words: WordSplitter) -> Memory:
        paths = self.config.paths
        embedder, index = FakeEmbedder(), FakeVectorIndex()
        ingest = Ingest(
            memory=paths.memory,
            ledger=self.ledger,
            embedder=embedder,
            words=words,
            users=self.users,
            max_file_bytes=2**20,
            max_tokens=64,
        )
        recall = Recall(
            ledger=self.ledger,
            embedder=embedder,
            words=words,
            index=lambda: index,
            degraded=lambda: self.degraded,
            doubt=lambda: None,
            candidates=50,
        )
        watcher = Watcher(
            root=paths.memory,
            events=FakeFileEvents(),
            read=ingest.read,
            give_up=ingest.give_up,
            known=self.ledger.files.known,
            clock=self.clock,
            settle_seconds=0,
            rescan_seconds=0,
        )
        moods = Moods(
            ledger=self.ledger, embedder=embedder, clock=self.clock, being="에코", kept_in=paths.models
        )
        brain = EchoBrain(
            recall=recall,
            quotes=Quotes(embedder=embedder, words=words),
            ledger=self.ledger,
            identity=self.loop.identity,
            generators=self.generators,
            journal=self.journal,
            saved=self.remembered,
            clock=self.clock,
            own_parts=OwnParts(self.ledger, embedder="fake", budget=200),
            settings=BrainSettings(
                name="에코",
                default_model="fake",
                passages=4,
                memory_tokens=400,
                max_tokens=self.config.llm.max_tokens,
                temperature=0.0,
            ),
            moods=moods,
        )
        verifier = Verifier(
            memory=paths.memory,
            ledger=self.ledger,
            embedder=embedder,
            words=words,
            ingest=ingest,
            watcher=watcher,
            index=lambda: index,
            origin=self.users.origin.id,
        )
        eraser = Eraser(
            ledger=self.ledger,
            paths=paths,
            users=self.users,
            journal=self.journal,
            reading=Reading(),
            watcher=watcher,
            keeper=cast("Any", OtherIndex()),
            brain=brain,
            generators=self.generators.values(),
            loop=self.loop,
            clock=self.clock,
        )
        return Memory(
            embedder=embedder,
            watcher=watcher,
            recall=recall,
            brain=brain,
            verifier=verifier,
            eraser=eraser,
            moods=moods,
        )


class FailingGenerator(FakeGenerator):
    """Says one word, then fails."""

    def generate(self, request: GenerateRequest) -> Iterator[Piece]:
        """One piece, then the error."""
        self.requests.append(request)
        yield Piece(text="그건")
        raise ModelNotReadyError("fake ran out of memory; give it a smaller context")


class PatientGenerator(FakeGenerator):
    """Says one word, then nothing until its request is cancelled; `cancelled_at` says when that was."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting = threading.Event()
        self.ended = threading.Event()
        self.cancelled_at = 0.0

    def _pieces(self, request: GenerateRequest) -> Iterator[Piece]:
        yield Piece(text="음")
        self.waiting.set()
        assert request.cancelled is not None
        assert request.cancelled.wait(20)
        self.cancelled_at = time.perf_counter()
        usage = Usage(prompt_tokens=10, cached_tokens=5, completion_tokens=1)
        yield Piece(text="", finish=Finish.CANCELLED, usage=usage)
        self.ended.set()


def events(stream: str) -> list[tuple[str, dict[str, Any]]]:
    """The (name, data) pairs of a stream of server-sent events."""
    found = []
    for block in stream.strip().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n"))
        found.append((fields["event"], json.loads(fields["data"])))
    return found
