"""The ledger: SQLite, on a local disk, holding everything that memoryd derives from the files.

files ─▶ conversations ─▶ turns
              └─────────▶ passages ─▶ lexical (FTS5)
                              ├─────▶ vectors (by embedder and text, so nothing is embedded twice)
                              └─────▶ outbox ─▶ Chroma
identities, replays, erasures, counters, settings
"""

from memoryd.ledger.erasures import ErasureRow, ErasureState, Taken
from memoryd.ledger.gists import FileToRead
from memoryd.ledger.ledger import Ledger, Recovery
from memoryd.ledger.rows import (
    AGAIN,
    ConversationRow,
    FileRow,
    FileState,
    FoundPassage,
    IdentityRow,
    IdentitySummary,
    NewFile,
    NewPassage,
    OutboxRow,
    Place,
    ReplayRow,
    Signature,
    TurnRow,
)

__all__ = [
    "AGAIN",
    "ConversationRow",
    "ErasureRow",
    "ErasureState",
    "FileRow",
    "FileState",
    "FileToRead",
    "FoundPassage",
    "IdentityRow",
    "IdentitySummary",
    "Ledger",
    "NewFile",
    "NewPassage",
    "OutboxRow",
    "Place",
    "Recovery",
    "ReplayRow",
    "Signature",
    "Taken",
    "TurnRow",
]
