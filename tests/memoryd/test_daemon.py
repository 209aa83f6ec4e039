"""The boot comes through what its ledger meets on the way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from llm import ModelSettings
from memoryd import opening
from memoryd.config import Config, Embedding, Llm, Model, Paths
from memoryd.daemon import Daemon
from memoryd.errors import StoreError
from memoryd.index_keeper import PIPELINE
from memoryd.language_models import local_models
from memoryd.ledger.digests import DigestStore
from memoryd.manifests import MANIFESTS
from memoryd.testing import FakeGenerator
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from memoryd.opening import Memory

PATIENCE_S = 120.0


def test_every_model_is_set_as_the_configuration_says(tmp_path: Path) -> None:
    llm = Llm(
        default="deepseek",
        context_tokens=1024,
        cache_tokens=4096,
        parallel=3,
        waiting=7,
        kv_type="q8_0",
        gpu_layers=9,
        fewer_gpu_layers=True,
        threads=2,
    )
    models = local_models(Config(paths=Paths(state=tmp_path, models=tmp_path), llm=llm))
    assert list(models) == ["bundled", "deepseek", "mixtral", "llama"]
    family, settings = models["deepseek"]
    assert family == "deepseek"
    file = Config().models["deepseek"]
    assert isinstance(file, Model)
    assert settings == ModelSettings(
        path=file.path,
        context_tokens=1024,
        cache_tokens=4096,
        parallel=3,
        waiting=7,
        kv_type="q8_0",
        gpu_layers=9,
        fewer_gpu_layers=True,
        threads=2,
        states=tmp_path / "identities",
    )


def test_no_model_where_they_are_switched_off() -> None:
    assert local_models(Config(llm=Llm(enabled=False))) == {}


@pytest.fixture
def daemon(tmp_path: Path, models_folder: Path) -> Iterator[Daemon]:
    """Not started; its memory is one file."""
    folders = {name: tmp_path / name for name in ("memory", "manifest", "state")}
    for folder in folders.values():
        folder.mkdir()
    (folders["memory"] / "day0315").mkdir()
    (folders["memory"] / "day0315" / "a.txt").write_text("The lantern hangs in the attic.", encoding="utf-8")
    made = Daemon(
        Config(
            paths=Paths(**folders, models=models_folder),
            llm=Llm(enabled=False),
            embedding=Embedding(device="cpu"),
        )
    )
    yield made
    made.stop()


def test_a_ledger_damaged_while_the_daemon_starts_is_recovered_and_the_start_goes_on(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found by a review: the ledger was looked after only once everything was open, and a start never got there."""
    real, tries = opening.open_memory, []

    def damaged_at_first(*arguments: object, **parts: object) -> Memory:
        tries.append(1)
        if len(tries) == 1:
            (daemon.config.paths.state / "ledger.sqlite3").unlink()
        return real(*arguments, **parts)  # type: ignore[arg-type]

    monkeypatch.setattr(opening, "open_memory", damaged_at_first)
    daemon.start()
    until(
        lambda: all(part.state == "ready" for part in daemon.parts() if part.name != "manifest"), PATIENCE_S
    )
    until(lambda: daemon.ledger.files.totals().indexed == 1, PATIENCE_S)
    assert "was damaged" in next(part.detail for part in daemon.parts() if part.name == "ledger")
    assert daemon.ledger.setting(PIPELINE) != "salvaged"
    assert len(tries) > 1  # how many depends on when the ledger is looked after


def test_a_disk_that_refuses_while_stale_digests_are_dropped_delays_the_start_and_does_not_end_it(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, tries = DigestStore.keep, []

    def refusing_at_first(store: DigestStore, keys: dict[str, str]) -> None:
        tries.append(keys)
        if len(tries) == 1:
            raise StoreError("the disk is full")
        real(store, keys)

    monkeypatch.setattr(DigestStore, "keep", refusing_at_first)
    daemon.start()
    until(lambda: daemon.answers() and daemon.ledger.files.totals().indexed == 1, PATIENCE_S)
    assert tries == [{}, {}]


def test_the_identity_in_force_is_pinned_in_every_model_at_the_start_and_after_a_replay(
    daemon: Daemon,
) -> None:
    models = [FakeGenerator("one"), FakeGenerator("other")]
    daemon.generators.update({each.name: each for each in models})
    daemon.start()
    until(daemon.answers, PATIENCE_S)
    until(lambda: daemon.loop.replay("request") and daemon.ledger.files.totals().indexed == 1, PATIENCE_S)
    identity = daemon.loop.identity()
    assert identity is not None
    for each in models:
        assert [pinned.version for pinned in each.pinned] == list(range(1, identity.version + 1))
        assert (each.pinned[-1].text, each.pinned[-1].speaker) == (identity.text, "에코")


def _manifest_part(daemon: Daemon) -> tuple[str, str]:
    (part,) = [part for part in daemon.parts() if part.name == "manifest"]
    return part.state, part.detail


def test_what_is_amiss_with_the_manifests_is_said_in_words(daemon: Daemon) -> None:
    folder = daemon.config.paths.manifest
    assert _manifest_part(daemon)[1].count("is not there: write it as UTF-8 text") == 3
    for name in MANIFESTS:
        (folder / name).write_text("origin", encoding="utf-8")
    assert _manifest_part(daemon) == ("ready", "")
    (folder / "echo_identity.txt").write_bytes("나는 에코다.".encode("cp949"))
    assert "echo_identity.txt (who the being is) is written in CP949" in _manifest_part(daemon)[1]
    (folder / "echo_identity.txt").write_text("나는 에코다. " * 1000, encoding="utf-8")
    assert "the three manifests take" in _manifest_part(daemon)[1]


def test_another_origin_in_the_file_degrades_the_part_and_changes_nothing(daemon: Daemon) -> None:
    folder = daemon.config.paths.manifest
    for name in MANIFESTS:
        (folder / name).write_text("haram", encoding="utf-8")
    state, detail = _manifest_part(daemon)
    assert state == "degraded"
    assert "`memoryd identity origin haram`" in detail
    assert daemon.users.origin.id == "origin"
