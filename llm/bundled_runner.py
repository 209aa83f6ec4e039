"""The built-in model, Gemma 3 270M *base*: it continues transcripts, and answers by quoting."""

from __future__ import annotations

from llm.family import Family

BUNDLED = Family(name="bundled", quotes=True)
