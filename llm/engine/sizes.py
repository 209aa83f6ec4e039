"""How large the engine's steps and caches are: for who makes contexts, and for who plans without loading numpy."""

from __future__ import annotations

BATCH_TOKENS = 512
KEPT_SEQUENCES = 16
IDENTITY_SEQUENCES = 3


def sequences(parallel: int) -> int:
    """How many sequences a context needs: answers, kept conversations, identities (old, new, one to prove)."""
    return parallel + KEPT_SEQUENCES + IDENTITY_SEQUENCES
