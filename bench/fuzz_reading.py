"""One file read by the loaders within its time, and whether what came of it is what they promise.

case ──read──▶ Loaded ──promises kept?──▶ Reading(format, seconds, finding or None)
          ├──▶ UnreadableError, which is as good
          ├──▶ any other error, or too much time: a finding
          └──▶ no end: the kernel ends the process, whoever started it sees that
"""

from __future__ import annotations

import io
import signal
import time
import traceback
import zipfile
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING

from loaders import Loaded, UnreadableError
from loaders.decode import decode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime
    from typing import Final

    from bench.fuzz_mutations import Case
    from loaders import Conversation, Turn

MIB: Final = 2**20
KINDS: Final = ("crashes", "hangs", "foreign_errors", "broken_promises")


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with how a case was read.

    Attributes:
        kind: one of `KINDS`.
        signature: the same for findings that have the same cause, in all likelihood.
    """

    kind: str
    signature: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """How one case was read: the format, `refused` or `error`, the processor time and what was wrong."""

    format: str
    seconds: float
    finding: Finding | None


def examined(case: Case, read: Callable[[str, bytes], Loaded]) -> Reading:
    """Read a case and look at what comes of it; the kernel ends this process where it takes too long.

    Errors that are no loader's are findings, whatever they are.
    """
    allowed = allowed_seconds(case.data)
    outcome, seconds = _timed(case, read, 2 * allowed)
    if seconds > allowed:  # again, since on a busy machine the processor is slower too
        seconds = min(seconds, _timed(case, read, 2 * allowed)[1])
    if isinstance(outcome, Finding):
        return Reading("error", seconds, outcome)
    format_name = outcome.format if isinstance(outcome, Loaded) else "refused"
    if seconds > allowed:
        detail = f"{seconds:.2f} s for {size_to_read(case.data)} bytes"
        return Reading(format_name, seconds, Finding("hangs", f"slow: {format_name}", detail))
    broken = next(_broken(case, outcome), None)
    finding = None if broken is None else Finding("broken_promises", f"{format_name}: {broken}")
    return Reading(format_name, seconds, finding)


def _timed(
    case: Case, read: Callable[[str, bytes], Loaded], limit: float
) -> tuple[Loaded | UnreadableError | Finding, float]:
    """What comes of a case, and the seconds of processor time; the process ends where they pass the limit."""
    outcome: Loaded | UnreadableError | Finding
    signal.setitimer(signal.ITIMER_PROF, limit)
    began = time.process_time()
    try:
        outcome = read(case.name, case.data)
    except UnreadableError as error:
        outcome = error
    except Exception as error:  # noqa: BLE001  (finding any is what this is for)
        frames = traceback.extract_tb(error.__traceback__)
        signature = f"{type(error).__name__} in {Path(frames[-1].filename).name}, {_innermost(frames)}"
        outcome = Finding("foreign_errors", signature, traceback.format_exc())
    seconds = time.process_time() - began
    signal.setitimer(signal.ITIMER_PROF, 0)
    return outcome, seconds


def _innermost(frames: Sequence[traceback.FrameSummary]) -> str:
    """The line of a loader's that an error came out of."""
    ours = [frame for frame in frames if Path(frame.filename).parent.name == "loaders"]
    return f"from {Path(ours[-1].filename).name}:{ours[-1].lineno}" if ours else "from no loader"


def allowed_seconds(data: bytes) -> float:
    """One second per megabyte of what there is to read, and at least one."""
    return max(1.0, size_to_read(data) / MIB)


def size_to_read(data: bytes) -> int:
    """Bytes to read: of a zip those that its members unpack to, as it says, up to a hundred times its own."""
    if not data.startswith(b"PK"):
        return len(data)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            inside = sum(member.file_size for member in archive.infolist())
    except Exception:  # noqa: BLE001  (a torn archive may raise anything)
        return len(data)
    return max(len(data), min(inside, 100 * len(data)))


def _broken(case: Case, outcome: Loaded | UnreadableError) -> Iterator[str]:
    """What `loaders` promises and does not keep."""
    if isinstance(outcome, UnreadableError):
        if not str(outcome).strip() or not _is_storable(str(outcome)):
            yield "a refusal without a reason that can be shown"
        return
    if not outcome.conversations:
        yield "no conversation"
    for conversation in outcome.conversations:
        yield from _broken_in(conversation)
    turns = [turn for conversation in outcome.conversations for turn in conversation.turns]
    if case.marks:
        read = "\n".join(text for turn in turns for text in (turn.text, turn.speaker))
        titles = "\n".join(conversation.title for conversation in outcome.conversations)
        if any(mark not in read and mark not in titles for mark in case.marks):
            yield "words are lost"
    if outcome.format == "notes":
        words = (decode(case.name, case.data).text or "").split()
        if words != [word for turn in turns for word in turn.text.split()]:
            yield "words are lost"


def _broken_in(conversation: Conversation) -> Iterator[str]:
    turns = conversation.turns
    if not turns:
        yield "a conversation without turns"
    if not conversation.id:
        yield "a conversation without an id"
    if not all(map(_is_storable, (conversation.id, conversation.title, *conversation.remarks))):
        yield "an id, a title or a remark that is no UTF-8"
    if [turn.index for turn in turns] != list(range(len(turns))):
        yield "turns out of order"
    if len({turn.id for turn in turns}) != len(turns):
        yield "two turns of one id"
    for turn in turns:
        yield from _broken_at(turn)


def _broken_at(turn: Turn) -> Iterator[str]:
    if not (turn.text.strip() and turn.speaker and turn.id):
        yield "a turn without text, speaker or id"
    if not all(map(_is_storable, (turn.text, turn.speaker, turn.id, *(turn.citations or ())))):
        yield "a turn that is no UTF-8"
    if turn.time is not None and not _is_a_moment(turn.time):
        yield "a time without a zone, or that UTC has not"


def _is_a_moment(time: datetime) -> bool:
    try:
        time.astimezone(UTC)
    except (ValueError, OverflowError):
        return False
    return time.tzinfo is not None


def _is_storable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
