"""One contract for the vector index, kept by Chroma and by the fake alike."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import count
from typing import TYPE_CHECKING, Protocol

import chromadb.api.fastapi as chromadb_http
import httpx
import numpy as np
import pytest

from memoryd.chroma import ChromaIndex, ChromaServer, RemoteChroma, VectorIndex
from memoryd.chroma import index as index_module
from memoryd.errors import IndexUnavailableError
from memoryd.testing import FakeVectorIndex

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

DIMENSION = 16
NUMBERS = count(1)


class ProvableIndex(VectorIndex, Protocol):
    """What the keeper asks of an index besides."""

    def find_themselves(self, owner: str, vectors: NDArray[np.float32]) -> bool: ...


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChromaServer]:
    """A real Chroma child."""
    chroma = ChromaServer(max_file_bytes=2**30)
    chroma.start(tmp_path_factory.mktemp("chroma") / "g0001")
    chroma.url(60)
    yield chroma
    chroma.stop()


def open_index(
    server: ChromaServer | RemoteChroma,
    *,
    embedder: str = "fake",
    dimension: int = DIMENSION,
    generation: int | None = None,
) -> ChromaIndex:
    return ChromaIndex(
        server,
        instance="test",
        embedder=embedder,
        dimension=dimension,
        generation=next(NUMBERS) if generation is None else generation,
        sync_threshold=1000,
    )


@pytest.fixture(params=["Chroma", "fake"])
def index(request: pytest.FixtureRequest) -> ProvableIndex:
    """An empty index."""
    if request.param == "fake":
        return FakeVectorIndex()
    server: ChromaServer = request.getfixturevalue("server")
    return open_index(server)


def vectors(number: int, seed: int = 1, dimension: int = DIMENSION) -> NDArray[np.float32]:
    """Unit rows."""
    drawn = np.random.default_rng(seed).normal(size=(number, dimension)).astype(np.float32)
    rows: NDArray[np.float32] = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
    return rows


def ids(number: int) -> list[str]:
    return [f"p_{place}" for place in range(number)]


def test_an_empty_index_holds_and_finds_nothing(index: ProvableIndex) -> None:
    assert index.count("") == 0
    assert index.query([""], vectors(1)[0], 5) == []
    assert not index.find_themselves("", vectors(1))


def test_the_nearest_come_best_first_with_their_cosines(index: ProvableIndex) -> None:
    stored, question = vectors(30), vectors(1, seed=2)[0]
    index.upsert("", ids(30), stored)
    scores = stored @ question
    found = index.query([""], question, 5)
    assert [each for each, _ in found] == [f"p_{place}" for place in np.argsort(-scores)[:5]]
    np.testing.assert_allclose([score for _, score in found], np.sort(scores)[::-1][:5], atol=1e-4)
    assert index.count("") == 30


def test_asking_for_more_than_there_is_gives_what_there_is(index: ProvableIndex) -> None:
    index.upsert("", ids(3), vectors(3))
    assert len(index.query([""], vectors(1)[0], 50)) == 3


def test_putting_a_passage_in_again_replaces_it(index: ProvableIndex) -> None:
    old, new = vectors(2)
    index.upsert("", ["p_0"], old[None])
    index.upsert("", ["p_0"], new[None])
    assert index.count("") == 1
    assert index.query([""], new, 1)[0][1] == pytest.approx(1.0, abs=1e-4)


def test_what_is_taken_out_is_not_found_and_unknown_ids_are_no_fault(index: ProvableIndex) -> None:
    stored = vectors(3)
    index.upsert("", ids(3), stored)
    index.delete("", ["p_1", "p_unknown"])
    assert index.count("") == 2
    assert {each for each, _ in index.query([""], stored[1], 3)} == {"p_0", "p_2"}
    index.upsert("", ["p_1"], stored[1][None])
    assert index.query([""], stored[1], 1)[0][0] == "p_1"


def test_taking_out_of_an_empty_index_is_no_fault(index: ProvableIndex) -> None:
    index.delete("jihoon", ["p_0"])
    assert index.count("jihoon") == 0


def test_owners_are_kept_apart_and_merged_for_a_question(index: ProvableIndex) -> None:
    shared, own, secret = vectors(3)
    index.upsert("", ["p_shared"], shared[None])
    index.upsert("jihoon", ["p_own"], own[None])
    index.upsert("민아", ["p_secret"], secret[None])
    assert [index.count(owner) for owner in ("", "jihoon", "민아", "nobody")] == [1, 1, 1, 0]
    found = index.query(["", "jihoon"], own, 5)
    assert found[0][0] == "p_own"
    assert {each for each, _ in found} == {"p_shared", "p_own"}
    assert index.query([], own, 5) == []


def test_a_merged_answer_is_no_longer_than_asked_for(index: ProvableIndex) -> None:
    stored = vectors(8)
    index.upsert("", ids(4), stored[:4])
    index.upsert("jihoon", [f"own_{place}" for place in range(4)], stored[4:])
    found = index.query(["", "jihoon"], stored[5], 3)
    assert len(found) == 3
    assert found[0][0] == "own_1"
    assert [score for _, score in found] == sorted((score for _, score in found), reverse=True)


def test_deleting_for_one_owner_leaves_the_others(index: ProvableIndex) -> None:
    index.upsert("", ["p_0"], vectors(1))
    index.upsert("jihoon", ["p_0"], vectors(1))
    index.delete("jihoon", ["p_0"])
    assert (index.count(""), index.count("jihoon")) == (1, 0)


def test_stored_vectors_find_themselves_and_strange_ones_do_not(index: ProvableIndex) -> None:
    stored = vectors(20)
    index.upsert("", ids(20), stored)
    assert index.find_themselves("", stored)
    assert not index.find_themselves("", np.concatenate([stored, vectors(1, seed=9)]))
    assert not index.find_themselves("jihoon", stored[:1])


# Chroma alone


def test_what_an_owner_has_in_it_is_listed_with_its_vectors(
    index: ProvableIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_module, "IDS_PAGE", 3)
    monkeypatch.setattr(index_module, "VECTORS_PAGE", 3)
    put_in = vectors(8)
    index.upsert("", ids(8), put_in)
    index.upsert("jihoon", ["p_own"], put_in[:1])
    assert index.ids("") == set(ids(8))
    assert index.ids("jihoon") == {"p_own"}
    assert index.ids("mia") == set()
    stored = index.stored("", [*ids(8), "p_own"])
    assert stored.keys() == set(ids(8))
    for place, name in enumerate(ids(8)):
        np.testing.assert_allclose(stored[name], put_in[place], atol=1e-6)


def test_what_comes_after_the_first_question_is_not_held_up_by_all_that_came_before(
    server: ChromaServer,
) -> None:
    """Chroma 1.5 puts in again whatever an index took in before it was first asked: ten times as slowly."""
    index = open_index(server, dimension=384)
    before = time.perf_counter()
    index.upsert("", ids(900), vectors(900, dimension=384))
    asked = time.perf_counter()
    index.query([""], vectors(1, seed=2, dimension=384)[0], 1)
    index.upsert("", ["p_after"], vectors(1, seed=3, dimension=384))
    assert time.perf_counter() - asked < asked - before


def test_generations_and_embedders_never_mix(server: ChromaServer) -> None:
    number = next(NUMBERS)
    here = open_index(server, generation=number)
    here.upsert("", ["p_0"], vectors(1))
    assert open_index(server, generation=number).count("") == 1
    assert open_index(server).count("") == 0
    assert open_index(server, generation=number, embedder="other").count("") == 0


def test_an_index_of_an_earlier_memoryd_searches_as_widely_as_a_new_one(
    server: ChromaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    generation = next(NUMBERS)
    with monkeypatch.context() as patch:
        patch.setattr(index_module, "EF_SEARCH", 100)
        open_index(server, generation=generation).upsert("", ids(1), vectors(1))
    for _ in range(2):
        opened = open_index(server, generation=generation)
        assert opened.count("") == 1
    assert opened._collection("").configuration_json["hnsw"]["ef_search"] == index_module.EF_SEARCH


def test_a_vector_of_another_length_is_an_error_of_ours(server: ChromaServer) -> None:
    index = open_index(server)
    index.upsert("", ["p_0"], vectors(1))
    with pytest.raises(IndexUnavailableError):
        index.query([""], np.ones(DIMENSION + 1, np.float32), 1)
    assert index.count("") == 1


def test_nobody_at_the_address_is_an_unavailable_index() -> None:
    index = open_index(RemoteChroma("http://127.0.0.1:9"))
    with pytest.raises(IndexUnavailableError, match="Chroma can't be reached"):
        index.count("")


class Stumbling(BaseHTTPRequestHandler):
    """Greets a client as Chroma does, then answers as a proxy does when what is behind it is gone."""

    def do_GET(self) -> None:
        name = self.path.rpartition("/")[2]
        if name == "identity":
            body: dict[str, object] = {
                "user_id": "",
                "tenant": "default_tenant",
                "databases": ["default_database"],
            }
        else:
            body = {"id": "00000000-0000-0000-0000-000000000000", "name": name, "tenant": "default_tenant"}
        self._answer(200, json.dumps(body).encode())

    def do_POST(self) -> None:
        self._answer(502, b"Bad gateway")

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Quiet."""


def test_an_answer_that_makes_no_sense_is_an_unavailable_index() -> None:
    """Found here: chromadb raises a bare Exception for it, which went through to the caller."""
    with HTTPServer(("127.0.0.1", 0), Stumbling) as stumbling:
        thread = threading.Thread(target=stumbling.serve_forever, daemon=True)
        thread.start()
        index = open_index(RemoteChroma(f"http://127.0.0.1:{stumbling.server_port}"))
        try:
            with pytest.raises(IndexUnavailableError, match="Bad gateway") as caught:
                index.count("")
            assert type(caught.value.__cause__) is Exception
        finally:
            stumbling.shutdown()
            thread.join(10)


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
@pytest.mark.parametrize("proxy", ["http://127.0.0.1:9", "socks5://127.0.0.1:9"])
def test_a_proxy_of_the_environment_never_stands_before_the_child(
    server: ChromaServer, monkeypatch: pytest.MonkeyPatch, name: str, proxy: str
) -> None:
    """Found by a review: chromadb takes its proxies from the environment, for loopback too."""
    monkeypatch.setenv(name, proxy)
    index = open_index(server)
    index.upsert("", ids(3), vectors(3))
    assert index.count("") == 3


def test_chromadb_is_left_as_it_was(server: ChromaServer) -> None:
    open_index(server).count("")
    assert vars(chromadb_http)["httpx"] is httpx


def test_a_server_that_never_answers_is_unavailable_in_a_bounded_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(index_module, "CALL_TIMEOUT_S", 0.1)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        index = open_index(RemoteChroma(f"http://127.0.0.1:{silent.getsockname()[1]}"))
        with pytest.raises(IndexUnavailableError, match="timed out"):
            index.count("")


@pytest.mark.parametrize("call", ["upsert", "delete", "query", "count", "find_themselves"])
def test_every_call_to_a_child_that_hangs_ends_in_a_bounded_time(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_module, "CALL_TIMEOUT_S", 2.0)
    server = ChromaServer(max_file_bytes=2**30)
    server.start(tmp_path / "g0001")
    server.url(60)
    assert server._process is not None
    try:
        index = open_index(server)
        index.upsert("", ids(3), vectors(3))
        monkeypatch.setattr(index_module, "CALL_TIMEOUT_S", 0.1)
        index._client._server._session.timeout = 0.1
        os.kill(server._process.pid, signal.SIGSTOP)
        calls: dict[str, Callable[[], object]] = {
            "upsert": lambda: index.upsert("", ids(3), vectors(3)),
            "delete": lambda: index.delete("", ids(1)),
            "query": lambda: index.query([""], vectors(1)[0], 1),
            "count": lambda: index.count(""),
            "find_themselves": lambda: index.find_themselves("", vectors(3)),
        }
        with pytest.raises(IndexUnavailableError, match="timed out"):
            calls[call]()
    finally:
        os.kill(server._process.pid, signal.SIGCONT)
        server.stop()


def test_the_broken_fake_fails_as_an_unreachable_chroma_does() -> None:
    fake = FakeVectorIndex()
    fake.broken = True
    with pytest.raises(IndexUnavailableError):
        fake.count("")


def test_on_a_server_elsewhere_only_this_memorys_older_collections_are_deleted(server: ChromaServer) -> None:
    def opened(instance: str, generation: int) -> ChromaIndex:
        return ChromaIndex(
            RemoteChroma(server.url(60)),
            instance=instance,
            embedder="fake",
            dimension=DIMENSION,
            generation=generation,
            sync_threshold=1000,
        )

    for instance, generation in (("renewed", 1), ("renewed", 12), ("renewed2", 1)):
        for owner in ("", "jihoon"):
            opened(instance, generation).upsert(owner, ids(2), vectors(2))
    opened("renewed", 12).drop_others()
    counts = [opened(*each).count("jihoon") for each in (("renewed", 1), ("renewed", 12), ("renewed2", 1))]
    assert counts == [0, 2, 2]


def test_a_childs_folder_holds_one_generation_and_nothing_to_delete(server: ChromaServer) -> None:
    index = open_index(server)
    index.upsert("", ids(1), vectors(1))
    open_index(server).drop_others()
    assert index.count("") == 1
