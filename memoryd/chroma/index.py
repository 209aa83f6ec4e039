"""One generation of the vector index: a collection for what is shared and one for each user.

A metadata filter made a query eight times slower (44 ms against 5.7 ms at 20,000 vectors), so a question asks the
collections that its user may see, and merges.
"""

from __future__ import annotations

import hashlib
import re
import threading
from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

import httpx
import numpy as np

from memoryd.errors import IndexDamagedError, IndexUnavailableError
from memoryd.loopback import is_loopback

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from memoryd.chroma.server import ChromaServer, RemoteChroma

# A full disk is no damage: what is there is whole, and there is no room for another.
NO_SPACE = re.compile(r"disk is full|No space left|File too large", re.IGNORECASE)
CALL_TIMEOUT_S = 20.0
SERVER_TIMEOUT_S = 2.0
# Two unit vectors of one text may differ by this much after Chroma's arithmetic.
SAME_VECTOR = 1e-3
# How many neighbours a search keeps in hand. Of the ten nearest among a million, Chroma's own 100 finds seven and 400
# nine, which takes 11 ms instead of 7.5, while the words of the question are looked for.
EF_SEARCH = 400
# Ids, and vectors, that one call asks for.
IDS_PAGE = 5000
VECTORS_PAGE = 200
CONNECTING = threading.Lock()


class VectorIndex(Protocol):
    """Nearest passages by vector; `memoryd.testing.FakeVectorIndex` is its fake."""

    def upsert(self, owner: str, ids: Sequence[str], vectors: NDArray[np.float32]) -> None:
        """Puts vectors in, (n, d) float32 unit rows.

        Raises:
            IndexUnavailableError: it can't be reached.
        """
        ...

    def delete(self, owner: str, ids: Sequence[str]) -> None:
        """Takes vectors out; unknown ids are no fault."""
        ...

    def query(self, owners: Sequence[str], vector: NDArray[np.float32], k: int) -> list[tuple[str, float]]:
        """(passage id, cosine) of the nearest passages of these owners, best first."""
        ...

    def count(self, owner: str) -> int:
        """How many vectors an owner has in it."""
        ...

    def ids(self, owner: str) -> set[str]:
        """The ids of all that an owner has in it."""
        ...

    def stored(self, owner: str, ids: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """Those of these ids that are in it, with their vectors, (d,) float32."""
        ...


class ChromaIndex:
    """A `VectorIndex` in Chroma.

    Args:
        server: where Chroma answers.
        instance: names this memory, so that two of them can share a server.
        embedder: id of the embedder, part of every collection's name.
        dimension: of the vectors, the same.
        generation: counts up when the index is made anew.
        sync_threshold: vectors between two writes of Chroma's index files.
    """

    def __init__(
        self,
        server: ChromaServer | RemoteChroma,
        *,
        instance: str,
        embedder: str,
        dimension: int,
        generation: int,
        sync_threshold: int,
    ) -> None:
        self._server = server
        model = hashlib.sha256(embedder.encode()).hexdigest()[:12]
        self._instance = instance
        self._prefix = f"{instance}-{model}-{dimension}-g{generation}"
        self._sync_threshold = sync_threshold
        self._lock = threading.Lock()
        self._client: Any = None
        self._collections: dict[str, Any] = {}

    def upsert(self, owner: str, ids: Sequence[str], vectors: NDArray[np.float32]) -> None:
        """Puts vectors in, (n, d) float32 unit rows."""
        with self._reaching():
            self._collection(owner).upsert(ids=list(ids), embeddings=vectors)

    def delete(self, owner: str, ids: Sequence[str]) -> None:
        """Takes vectors out; unknown ids are no fault."""
        with self._reaching():
            self._collection(owner).delete(ids=list(ids))

    def query(self, owners: Sequence[str], vector: NDArray[np.float32], k: int) -> list[tuple[str, float]]:
        """(passage id, cosine) of the nearest passages of these owners, best first."""
        found: list[tuple[str, float]] = []
        with self._reaching():
            for owner in owners:
                answer = self._collection(owner).query(
                    query_embeddings=[vector], n_results=k, include=["distances"]
                )
                pairs = zip(answer["ids"][0], answer["distances"][0], strict=True)
                # None is the distance of a torn vector that is no number; the proof comes by it.
                found += [(passage_id, 1.0 - float(far)) for passage_id, far in pairs if far is not None]
        return sorted(found, key=lambda pair: (-pair[1], pair[0]))[:k]

    def count(self, owner: str) -> int:
        """How many vectors an owner has in it."""
        with self._reaching():
            return int(self._collection(owner).count())

    def find_themselves(self, owner: str, vectors: NDArray[np.float32]) -> bool:
        """Whether every one of these stored vectors, (n, d) float32, is its own nearest: what a torn index fails at."""
        with self._reaching():
            answer = self._collection(owner).query(
                query_embeddings=vectors, n_results=1, include=["distances"]
            )
            firsts = [distances[0] if distances else None for distances in answer["distances"]]
            return all(first is not None and first < SAME_VECTOR for first in firsts)

    def ids(self, owner: str) -> set[str]:
        """The ids of all that an owner has in it."""
        found: list[str] = []
        with self._reaching():
            collection = self._collection(owner)
            while page := collection.get(limit=IDS_PAGE, offset=len(found), include=[])["ids"]:
                found += page
        return set(found)

    def stored(self, owner: str, ids: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """Those of these ids that are in it, with their vectors, (d,) float32."""
        found: dict[str, NDArray[np.float32]] = {}
        with self._reaching():
            for at in range(0, len(ids), VECTORS_PAGE):
                answer = self._collection(owner).get(
                    ids=list(ids[at : at + VECTORS_PAGE]), include=["embeddings"]
                )
                # A torn vector that is no number comes as None, and is NaN here: like no other.
                vectors = [np.asarray(each, dtype=np.float32) for each in answer["embeddings"]]
                found |= dict(zip(answer["ids"], vectors, strict=True))
        return found

    def drop_others(self) -> None:
        """Deletes this memory's other collections on a server elsewhere; in a child's folder there are none."""
        if not self._server.elsewhere:
            return
        with self._reaching():
            self._collection("")
            _drop(self._client, self._instance, but=f"{self._prefix}-")

    def _collection(self, owner: str) -> Any:
        with self._lock:
            if owner not in self._collections:
                self._collections[owner] = self._open(owner)
            return self._collections[owner]

    def _open(self, owner: str) -> Any:
        """Chroma ignores another space silently when a collection is opened again, so it is checked."""
        if self._client is None:
            self._client = _connect(self._server.url(SERVER_TIMEOUT_S))
        who = hashlib.sha256(owner.encode()).hexdigest()[:12] if owner else "shared"
        collection = self._client.get_or_create_collection(
            f"{self._prefix}-{who}",
            embedding_function=None,
            configuration={
                "hnsw": {"space": "cosine", "sync_threshold": self._sync_threshold, "ef_search": EF_SEARCH}
            },
        )
        hnsw = collection.configuration_json["hnsw"]
        if hnsw["space"] != "cosine":
            raise IndexUnavailableError(
                f"The collection {collection.name} measures {hnsw['space']}, not cosine."
            )
        if hnsw["ef_search"] != EF_SEARCH:
            # One of an earlier memoryd; Chroma heeds it from its next start on.
            collection.modify(configuration={"hnsw": {"ef_search": EF_SEARCH}})
        # What is put in before anything was asked, Chroma puts in once more after the first question: five milliseconds
        # a vector that is not in its files yet, for which every search waits. Counting is asking.
        collection.count()
        return collection

    def _disconnect(self) -> None:
        """Forgets the connection; chromadb keeps one for good that is not closed. The lock must be held."""
        client, self._client = self._client, None
        self._collections.clear()
        if client is not None:
            client.close()

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        """Connects anew after an error: the child may have moved."""
        try:
            with _our_errors():
                yield
        except IndexUnavailableError:
            with self._lock:
                self._disconnect()
            raise


def drop_collections(url: str, instance: str) -> None:
    """Deletes all that a memory has on a server elsewhere.

    Raises:
        IndexUnavailableError: that server can't be reached.
    """
    with _our_errors():
        client = _connect(url)
        try:
            _drop(client, instance)
        finally:
            client.close()


def _drop(client: Any, instance: str, *, but: str = "") -> None:
    """Deletes a memory's collections, but for those whose names begin so."""
    for collection in client.list_collections():
        if collection.name.startswith(f"{instance}-") and not (but and collection.name.startswith(but)):
            client.delete_collection(collection.name)


@contextmanager
def _our_errors() -> Iterator[None]:
    """Turns chromadb's errors into ours."""
    from chromadb.errors import ChromaError

    try:
        yield
    except Exception as error:
        # chromadb raises a bare Exception for an answer that it can't read.
        theirs = (httpx.HTTPError, ChromaError, ValueError, OSError)
        if type(error) is not Exception and not isinstance(error, theirs):
            raise
        if isinstance(error, ChromaError) and not NO_SPACE.search(str(error)):
            raise IndexDamagedError(f"Chroma can't read its index: {str(error).rstrip('.')}.") from error
        raise IndexUnavailableError(f"Chroma can't be reached: {str(error).rstrip('.')}.") from error


def _connect(url: str) -> Any:
    """A client of which every call has a time limit, and which goes to this machine's own addresses directly."""
    import chromadb
    from chromadb.config import Settings

    parts = urlsplit(url)
    secure = parts.scheme == "https"
    host = parts.hostname or "127.0.0.1"
    proxies = not is_loopback(host)
    # First, because chromadb calls any failure of its own first questions a missing tenant.
    httpx.get(f"{url}/api/v2/heartbeat", timeout=CALL_TIMEOUT_S, verify=secure, trust_env=proxies)
    with _made_with(timeout=CALL_TIMEOUT_S, trust_env=proxies):
        return chromadb.HttpClient(
            host=host,
            port=parts.port or (443 if secure else 80),
            ssl=secure,
            # Without a certificate to check none are read, which takes a tenth of a second each time.
            settings=Settings(anonymized_telemetry=False, chroma_server_ssl_verify=None if secure else False),
        )


@contextmanager
def _made_with(**settings: object) -> Iterator[None]:
    """Has chromadb make its httpx client with more settings than it passes on.

    It offers none for time limits and proxies, and asks its first questions before anybody else can get at the client.
    """
    from chromadb.api import fastapi

    def client(**given: Any) -> httpx.Client:
        return httpx.Client(**given | settings)

    module: Any = fastapi
    with CONNECTING:
        module.httpx = SimpleNamespace(Client=client)
        try:
            yield
        finally:
            module.httpx = httpx
