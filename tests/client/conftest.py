"""A fake daemon on a real port, and an answer for it to give."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from memoryd_client import AskAnswer, Citation, Problem, Timings, TurnRef
from memoryd_client.testing import FakeDaemon

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def daemon() -> Iterator[FakeDaemon]:
    with FakeDaemon() as fake:
        yield fake


@pytest.fixture
def answer() -> AskAnswer:
    said = datetime(2026, 3, 15, 12, 4, tzinfo=UTC)
    return AskAnswer(
        answer="모델 파일은 /workspace/llm_models/ 에 둔다.",
        model="bundled",
        conversation_id="c1",
        identity_version=3,
        degraded=None,
        saved=True,
        citations=[
            Citation(
                passage_id="p1",
                score=0.9,
                text="지훈: 모델 파일은 거기에 둬.",
                path="day0315/origin.txt",
                day="day0315",
                conversation_id="c0",
                turns=[TurnRef(id="t1", index=0, role="user", speaker="지훈", time=said)],
            )
        ],
        timings=Timings(
            recall_ms=1.0,
            first_token_ms=2.0,
            total_ms=3.0,
            prompt_tokens=4,
            cached_tokens=5,
            completion_tokens=6,
        ),
    )


@pytest.fixture
def loading() -> Problem:
    return Problem(title="No model", status=503, detail="mixtral is loading.", code="no_model")
