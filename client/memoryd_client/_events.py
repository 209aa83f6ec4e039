"""The answer of `/api/ask` as it comes: bytes of an event stream in, events out.

    bytes ──EventParser──▶ (name, data) ──AskStream──▶ Recalled, Thought, …, Token, Token, …, AskAnswer

The format: https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import ValidationError

from memoryd_client._errors import ConnectionLostError, UnexpectedAnswerError, problem_error
from memoryd_client.models import AskAnswer, Citation, Problem, Wire

if TYPE_CHECKING:
    from collections.abc import Iterator


class Recalled(Wire):
    """The first event: what was found for the question, before a word of the answer."""

    degraded: str | None
    citations: list[Citation]


class Token(Wire):
    """A piece of the answer's text, whole characters only."""

    text: str


class Thought(Wire):
    """A piece of what a thinking model thinks before it answers."""

    text: str


AskEvent = Recalled | Thought | Token | AskAnswer
"""What `ask_stream` yields: `Recalled` once, `Thought`s, `Token`s, and the whole `AskAnswer` last."""


class EventParser:
    """Splits an event stream into events, however the bytes are cut into chunks."""

    def __init__(self) -> None:
        self._pending: list[bytes] = []
        self._after_return = False
        self._name = ""
        self._data: list[str] = []

    def feed(self, chunk: bytes) -> Iterator[tuple[str, str]]:
        """Yields (event name, data) for every event that this chunk completes."""
        if self._after_return and chunk.startswith(b"\n"):
            chunk = chunk[1:]  # the second half of a \r\n that was cut in two
            self._after_return = False
        if not chunk:
            return
        self._after_return = chunk.endswith(b"\r")
        lines = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        for line in lines[:-1]:
            self._pending.append(line)
            whole = b"".join(self._pending).decode("utf-8", "replace")
            self._pending = []
            if whole:
                self._field(whole)
            elif event := self._dispatch():
                yield event
        self._pending.append(lines[-1])

    def _field(self, line: str) -> None:
        name, _, value = line.removeprefix("\ufeff").partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            self._name = value
        elif name == "data":
            self._data.append(value)
        # Anything else is a comment (": heartbeat") or a field without a meaning here.

    def _dispatch(self) -> tuple[str, str] | None:
        name, data = self._name or "message", self._data
        self._name, self._data = "", []
        return (name, "\n".join(data)) if data else None


class AskStream:
    """Turns the bytes of one streamed answer into its events."""

    def __init__(self) -> None:
        self._parser = EventParser()
        self._done = False

    def feed(self, chunk: bytes) -> Iterator[AskEvent]:
        """Yields the events that this chunk completes.

        Raises:
            ProblemError: the daemon gave up midway and said why.
            UnexpectedAnswerError: an event does not have its shape.
        """
        for name, data in self._parser.feed(chunk):
            try:
                match name:
                    case "recall":
                        yield Recalled.model_validate_json(data)
                    case "thought":
                        yield Thought.model_validate_json(data)
                    case "token":
                        yield Token.model_validate_json(data)
                    case "done":
                        self._done = True
                        yield AskAnswer.model_validate_json(data)
                    case "error":
                        raise problem_error(Problem.model_validate_json(data))
                    case _:
                        pass  # a newer daemon may say more than this client knows
            except ValidationError as error:
                raise UnexpectedAnswerError(
                    f'The event "{name}" does not have its shape: {data[:200]}'
                ) from error

    def close(self) -> None:
        """Says that no more bytes come.

        Raises:
            ConnectionLostError: the answer was not whole.
        """
        if not self._done:
            raise ConnectionLostError("The answer broke off before it was whole; ask again.")
