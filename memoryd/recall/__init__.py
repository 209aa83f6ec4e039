"""Finds what was said: by meaning, by words and by time, ranked together, shown with what stands beside it.

    question ─┬─ embed ─▶ Chroma (or exact search while it is away) ─┐
              ├─ words ─▶ FTS5 ──────────────────────────────────────┼─▶ candidates ─▶ one score ─▶ hits
              └─ dates ─▶ what was said then ────────────────────────┘                (widened)

`docs/recall.md` has the figures behind every weight.

What does the finding, `memoryd.recall.recall`, is imported where it is used: the routes import this, and the port
opens first.
"""

from memoryd.recall.filter import Filter
from memoryd.recall.hits import Found, Hit, Timings, Why
from memoryd.recall.pack import pack, written

__all__ = ["Filter", "Found", "Hit", "Timings", "Why", "pack", "written"]
