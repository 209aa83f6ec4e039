"""What differs between model families, as data; one `*_runner.py` holds each."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """How the models of one family are spoken to.

    Attributes:
        name: what `[models.X] family` says.
        template: the Jinja chat template for a file that has none; None for the transcript form.
        stop: the marks of its turns. They end an answer even where the file doesn't mark them as end tokens,
            and in a message's text they are broken, even where the file has them as plain text.
        thinks: whether an answer may begin with `<think>…</think>`, which is left out.
        quotes: whether its free prose is poor, so that it only chooses among given sentences.
    """

    name: str
    template: str | None = None
    stop: tuple[str, ...] = ()
    thinks: bool = False
    quotes: bool = False
