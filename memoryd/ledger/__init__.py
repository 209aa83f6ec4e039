"""The ledger: SQLite, on a local disk, holding everything that memoryd derives from the files.

files ─▶ conversations ─▶ turns
              └─────────▶ passages ─▶ lexical (FTS5)
                              ├─────▶ vectors (by embedder and text, so nothing is embedded twice)
                              └─────▶ outbox ─▶ Chroma
identities, replays, counters, settings
"""

from memoryd.ledger.ledger import Ledger, Recovery
from memoryd.ledger.rows import (
    ConversationRow,
    FileRow,
    FileState,
    FoundPassage,
    IdentityRow,
    NewFile,
    NewPassage,
    OutboxRow,
    ReplayRow,
    TurnRow,
)

__all__ = [
    "ConversationRow",
    "FileRow",
    "FileState",
    "FoundPassage",
    "IdentityRow",
    "Ledger",
    "NewFile",
    "NewPassage",
    "OutboxRow",
    "Recovery",
    "ReplayRow",
    "TurnRow",
]
