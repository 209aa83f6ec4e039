"""The resident engine: one thread, all models, every answer a token at a time; see docs/engine.md.

Engine ─steps─▶ Batcher (a model) ─┬─ Waiting   whose turn it is
├─ Cache     identity, answers and conversations in the KV cache
└─ Job       a request; its Pieces come out at the other end
"""

from __future__ import annotations

from llm.engine.engine import Engine

__all__ = ["Engine"]
