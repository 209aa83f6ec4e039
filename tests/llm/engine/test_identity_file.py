"""A computed identity on disk: whole, its own, or not believed."""

from __future__ import annotations

import logging
import os
import threading
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llm.engine.identity_file import BLOCK, BLOCKS, KEPT, IdentityFiles, Sample, StoredIdentity, fingerprint
from tests.llm.engine.fake_context import logits_after

if TYPE_CHECKING:
    from pathlib import Path

TOKENS = [1, 5, 9, 2]
STORED = StoredIdentity(Sample.of(logits_after(TOKENS)), bytes(range(256)) * 3)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "모델.gguf"
    path.write_bytes(os.urandom(BLOCK * 3))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "states"


@pytest.fixture
def files(folder: Path, model: Path) -> IdentityFiles:
    return IdentityFiles(folder, model, kv_type="f16")


def save(files: IdentityFiles, tokens: list[int] = TOKENS) -> None:
    files.save(tokens, STORED, removals=files.removals)


def only(folder: Path) -> Path:
    [path] = folder.iterdir()
    return path


# -- samples


def test_a_sample_is_the_likeliest_tokens_best_first() -> None:
    logits = logits_after([1])
    sample = Sample.of(logits)
    assert list(sample.tokens) == np.argsort(-logits, kind="stable")[:32].tolist()
    assert sample.agrees(logits)
    assert Sample.of(logits[:3]).agrees(logits[:3])


def test_a_sample_agrees_but_for_rounding() -> None:
    logits = logits_after([1])
    sample = Sample.of(logits)
    assert sample.agrees(logits + np.float32(0.4))
    assert not sample.agrees(logits + np.float32(0.6))
    assert not sample.agrees(logits_after([2]))
    assert not sample.agrees(logits[: max(sample.tokens)])
    assert not sample.agrees(np.full_like(logits, np.nan))


# -- files


def test_what_was_saved_is_loaded(files: IdentityFiles, folder: Path) -> None:
    assert files.load(TOKENS) is None
    save(files)
    assert files.load(TOKENS) == STORED
    assert files.load(np.array(TOKENS, np.int32)) == STORED
    assert only(folder).suffix == ".identity"


def test_another_identity_model_or_kv_type_has_another_file(
    files: IdentityFiles, folder: Path, model: Path, tmp_path: Path
) -> None:
    save(files)
    assert files.load([1, 5, 9]) is None
    assert IdentityFiles(folder, model, kv_type="q8_0").load(TOKENS) is None
    other = tmp_path / "other.gguf"
    other.write_bytes(b"other")
    assert IdentityFiles(folder, other, kv_type="f16").load(TOKENS) is None
    same = tmp_path / "moved.gguf"
    same.write_bytes(model.read_bytes())
    assert IdentityFiles(folder, same, kv_type="f16").load(TOKENS) == STORED


def test_a_file_under_another_s_name_is_not_believed(files: IdentityFiles, folder: Path) -> None:
    save(files)
    path = only(folder)
    save(files, [7])
    [other] = set(folder.iterdir()) - {path}
    path.rename(other)
    assert files.load([7]) is None


def test_a_torn_file_is_not_believed_wherever_it_ends(
    files: IdentityFiles, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    save(files)
    path = only(folder)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert files.load(TOKENS) is None
    assert "is torn or of another kind; it is computed again" in caplog.text
    path.write_bytes(whole + b"\0")
    assert files.load(TOKENS) is None
    path.write_bytes(whole)
    assert files.load(TOKENS) == STORED


@given(st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200, deadline=None)
def test_a_changed_byte_is_not_believed(files: IdentityFiles, folder: Path, data: st.DataObject) -> None:
    save(files)
    path = only(folder)
    changed = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(changed) - 1))
    changed[place] ^= data.draw(st.integers(1, 255))
    path.write_bytes(changed)
    assert files.load(TOKENS) is None


@given(st.binary(max_size=300))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_bytes_are_not_believed(files: IdentityFiles, folder: Path, data: bytes) -> None:
    save(files)
    only(folder).write_bytes(data)
    assert files.load(TOKENS) is None


def test_the_two_newest_are_kept_and_nothing_half_written(files: IdentityFiles, folder: Path) -> None:
    for number in range(4):
        save(files, [number])
        for path in folder.iterdir():  # a second older each time, whatever the file system's clock
            os.utime(path, ns=(0, path.stat().st_mtime_ns - 10**9))
        half = folder / f"{only_name(folder)}-half.part"
        half.write_bytes(b"half")
    save(files, [4])
    assert [number for number in range(5) if files.load([number])] == [3, 4]
    assert len(list(folder.iterdir())) == KEPT


def only_name(folder: Path) -> str:
    return {path.name.split("-")[0] for path in folder.iterdir()}.pop()


def test_another_model_s_files_stay_until_all_are_removed(
    files: IdentityFiles, folder: Path, tmp_path: Path
) -> None:
    path = tmp_path / "other.gguf"
    path.write_bytes(b"other")
    other = IdentityFiles(folder, path, kv_type="f16")
    save(other)
    for number in range(3):
        save(files, [number])
    assert other.load(TOKENS) == STORED
    files.remove()
    assert other.load(TOKENS) is None
    assert list(folder.iterdir()) == []


def test_removing_leaves_none_not_even_half_written(files: IdentityFiles, folder: Path) -> None:
    files.remove()  # no folder yet
    save(files)
    only(folder).with_suffix(".part").write_bytes(b"half")
    files.remove()
    assert list(folder.iterdir()) == []


def test_what_was_computed_before_a_removal_is_not_written_after_it(
    files: IdentityFiles, folder: Path
) -> None:
    before = files.removals
    files.remove()
    files.save(TOKENS, STORED, removals=before)
    assert not folder.exists()
    save(files)
    assert files.load(TOKENS) == STORED


def test_removing_waits_for_a_file_that_is_being_written(
    files: IdentityFiles, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writing, go_on = threading.Event(), threading.Event()
    fsync = os.fsync

    def slow(number: int) -> None:
        writing.set()
        assert go_on.wait(20)
        fsync(number)

    monkeypatch.setattr(os, "fsync", slow)
    saver = threading.Thread(target=save, args=(files,))
    saver.start()
    assert writing.wait(20)
    remover = threading.Thread(target=files.remove)
    remover.start()
    go_on.set()
    saver.join(20)
    remover.join(20)
    assert list(folder.iterdir()) == []


def test_a_folder_that_can_not_be_written_is_a_line_in_the_log(
    unprivileged: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = unprivileged / "model.gguf"
    model.write_bytes(b"model")
    for mode in (0o555, 0o000):
        folder = unprivileged / f"{mode:o}"
        folder.mkdir()
        files = IdentityFiles(folder, model, kv_type="f16")
        folder.chmod(mode)
        caplog.clear()
        save(files)
        assert f"can't be kept in {folder}" in caplog.text
        folder.chmod(0o755)
        assert list(folder.iterdir()) == []


def test_a_folder_that_is_a_file_is_a_line_in_the_log(
    files: IdentityFiles, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder.write_bytes(b"")
    save(files)
    assert "can't be kept in" in caplog.text
    caplog.clear()
    assert files.load(TOKENS) is None
    assert "can't be read" in caplog.text


def test_a_file_that_can_not_be_read_is_a_line_in_the_log(
    files: IdentityFiles, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    save(files)
    path = only(folder)
    path.unlink()
    path.mkdir()
    with caplog.at_level(logging.WARNING):
        assert files.load(TOKENS) is None
    assert "can't be read" in caplog.text


# -- the model's fingerprint


def test_a_model_of_a_few_blocks_is_known_by_every_byte(tmp_path: Path) -> None:
    path = tmp_path / "small.gguf"
    data = bytearray(os.urandom(1000))
    path.write_bytes(data)
    known = {fingerprint(path)}
    for place in (0, 1, 499, 998, 999):
        changed = data.copy()
        changed[place] ^= 1
        path.write_bytes(changed)
        known.add(fingerprint(path))
    path.write_bytes(data + b"\0")
    known.add(fingerprint(path))
    assert len(known) == 7


def test_a_large_model_is_known_by_its_size_and_every_block_that_is_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "large.gguf"
    size = 3 * BLOCK * BLOCKS + 12345
    with path.open("wb") as file:
        file.truncate(size)
    known = {fingerprint(path)}
    for number in range(BLOCKS + 1):
        place = (size - BLOCK) * number // BLOCKS
        for byte in (place, place + BLOCK - 1):
            with path.open("r+b") as file:
                file.seek(byte)
                file.write(b"\1")
            known.add(fingerprint(path))
            with path.open("r+b") as file:
                file.seek(byte)
                file.write(b"\0")
    with path.open("r+b") as file:
        file.truncate(size + 1)
    known.add(fingerprint(path))
    assert len(known) == 2 + 2 * (BLOCKS + 1)


def test_an_empty_model_has_a_fingerprint_and_a_missing_one_none(tmp_path: Path) -> None:
    path = tmp_path / "empty.gguf"
    path.write_bytes(b"")
    assert fingerprint(path)
    with pytest.raises(FileNotFoundError):
        IdentityFiles(tmp_path, tmp_path / "none.gguf", kv_type="f16")
