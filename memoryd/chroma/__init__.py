"""Chroma: a child process on loopback (or a server elsewhere), fed from the outbox, asked by recall.

It holds ids and vectors and nothing else: its port has no lock, so no text goes there.
"""

from memoryd.chroma.index import ChromaIndex, VectorIndex, drop_collections
from memoryd.chroma.server import ChromaServer, RemoteChroma

__all__ = ["ChromaIndex", "ChromaServer", "RemoteChroma", "VectorIndex", "drop_collections"]
