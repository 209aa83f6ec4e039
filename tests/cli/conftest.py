"""A fake daemon with scripted answers, and `memoryd` aimed at it."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Protocol

import pytest
from typer.testing import CliRunner

from memoryd.cli.models import app
from memoryd_client import (
    AskAnswer,
    Citation,
    Counts,
    ModelView,
    MoodView,
    PartView,
    Problem,
    Ready,
    Status,
    Timings,
    TurnRef,
)
from memoryd_client.testing import FakeDaemon

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typer.testing import Result

SAID = datetime(2026, 3, 15, 21, 4, tzinfo=UTC)


class Memoryd(Protocol):
    """Runs `memoryd` with these arguments."""

    def __call__(self, *arguments: str, env: dict[str, str] | None = None) -> Result: ...


@pytest.fixture
def daemon() -> Iterator[FakeDaemon]:
    with FakeDaemon() as fake:
        yield fake


@pytest.fixture
def memoryd(daemon: FakeDaemon) -> Memoryd:
    settings: dict[str, str | None] = {
        "MEMORYD_URL": daemon.url,
        "MEMORYD_TOKEN": "secret",
        "MEMORYD_CONFIG": None,
    }

    def invoke(*arguments: str, env: dict[str, str] | None = None) -> Result:
        return CliRunner().invoke(app, list(arguments), env=settings | (env or {}))

    return invoke


@pytest.fixture
def citation() -> Citation:
    return Citation(
        passage_id="p1",
        score=0.876,
        text="지훈: 모델 파일은 [bold]거기[/bold]에 둬 [/x] \x1b[31m빨강\nEcho: I will.",
        path="memory/day0315/기록.txt",
        day="day0315",
        conversation_id="c0",
        turns=[
            TurnRef(id="t1", index=0, role="user", speaker="지훈", time=SAID),
            TurnRef(id="t2", index=1, role="assistant", speaker="Echo", time=SAID),
            TurnRef(id="t3", index=2, role="user", speaker="지훈", time=SAID),
        ],
    )


@pytest.fixture
def answer(citation: Citation) -> AskAnswer:
    return AskAnswer(
        answer="모델 파일은 /workspace/llm_models/ 에 둔다.",
        model="bundled",
        conversation_id="c9",
        identity_version=3,
        degraded=None,
        note="This is the built-in model; name a better one in config.toml.",
        saved=True,
        citations=[citation],
        timings=Timings(
            recall_ms=1.0,
            first_token_ms=2.0,
            total_ms=1234.0,
            prompt_tokens=4,
            cached_tokens=5,
            completion_tokens=6,
        ),
    )


@pytest.fixture
def ready() -> Ready:
    return Ready(
        ready=True,
        parts=[PartView(name="chroma", state="degraded", detail="rebuilding generation 4")],
        models=[
            ModelView(name="bundled", state="ready", family="bundled", path="b.gguf", default=True),
            ModelView(
                name="mixtral",
                state="loading",
                detail="12 of 26 GB",
                family="mixtral",
                path="m.gguf",
                default=False,
            ),
        ],
    )


@pytest.fixture
def status(ready: Ready) -> Status:
    return Status(
        version="0.1.0",
        user="origin",
        uptime_s=9100.0,
        identity_version=3,
        embedder="multilingual-e5-small, 384",
        memory="memory",
        state="state",
        last_day=date(2026, 3, 15),
        counts=Counts(
            files_indexed=12,
            files_skipped=1,
            files_quarantined=2,
            conversations=30,
            turns=12345,
            passages=6000,
            vectors=5990,
            embedded_texts=6001,
            outbox=10,
            waiting_files=3,
        ),
        ready=ready,
        moods=[
            MoodView(
                who="origin",
                being=False,
                emotion="sadness",
                sure=0.72,
                valence=-0.61,
                arousal=-0.3,
                emotions={"sadness": 0.72, "neutral": 0.28},
                turns=4,
                last_said=datetime(2026, 3, 15, 21, tzinfo=UTC),
            )
        ],
    )


@pytest.fixture
def no_model() -> Problem:
    return Problem(
        title="No language model is ready", status=503, detail="mixtral is loading.", code="no_model"
    )
