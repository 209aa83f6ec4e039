"""Writes a turn as a line of memoryd's own format, which `loaders.native` describes and reads."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime


def native_line(
    *,
    id: str,  # noqa: A002  (the format's own word)
    conversation: str,
    time: datetime | None,
    role: str,
    speaker: str,
    text: str,
    citations: Sequence[str] | None = None,
    title: str | None = None,
    identity_version: int | None = None,
    mood: str | None = None,
) -> str:
    """The line, with its end; what is None is left out.

    Args:
        time: aware; written to its last digit, with its offset.
    """
    fields = {
        "id": id,
        "conversation": conversation,
        "time": time and time.isoformat(),
        "role": role,
        "speaker": speaker,
        "text": text,
        "citations": None if citations is None else list(citations),
        "title": title,
        "identity_version": identity_version,
        "mood": mood,
    }
    kept = {name: value for name, value in fields.items() if value is not None}
    return json.dumps(kept, ensure_ascii=False) + "\n"
