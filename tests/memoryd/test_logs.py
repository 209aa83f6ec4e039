"""Logs go to stderr and to a file that rotates into gzipped ones."""

from __future__ import annotations

import gzip
import logging
from typing import TYPE_CHECKING

import pytest

from memoryd import logs
from memoryd.logs import scrub_logs, setup_logging

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def _the_root_logger_is_put_back() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    noisy = {name: logging.getLogger(name).level for name in logs.NOISY}
    root.handlers = []
    yield
    for handler in root.handlers:
        handler.close()
    root.handlers = handlers
    root.setLevel(level)
    for name, before in noisy.items():
        logging.getLogger(name).setLevel(before)


def test_a_line_goes_to_stderr_and_to_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    setup_logging("info", tmp_path / "state" / "logs")
    logging.getLogger("memoryd.test").info("보리가 %s", "왔다")
    written = (tmp_path / "state" / "logs" / "memoryd.log").read_text(encoding="utf-8")
    assert written.endswith("INFO    memoryd.test: 보리가 왔다\n")
    assert capsys.readouterr().err == written


@pytest.mark.parametrize(("level", "lines"), [("debug", 3), ("info", 2), ("warning", 1)])
def test_the_level_decides_what_is_written(tmp_path: Path, level: str, lines: int) -> None:
    setup_logging(level, tmp_path)
    log = logging.getLogger("memoryd.test")
    log.debug("one")
    log.info("two")
    log.warning("three")
    assert len((tmp_path / "memoryd.log").read_text().splitlines()) == lines


def test_libraries_that_log_every_request_are_quiet(tmp_path: Path) -> None:
    setup_logging("debug", tmp_path)
    logging.getLogger("httpx").info("GET /heartbeat")
    logging.getLogger("httpx").warning("slow")
    assert (tmp_path / "memoryd.log").read_text().splitlines()[0].endswith("httpx: slow")


def test_a_full_file_rotates_into_gzipped_ones_and_the_oldest_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "FILE_BYTES", 200)
    monkeypatch.setattr(logs, "FILES_KEPT", 2)
    setup_logging("info", tmp_path)
    for number in range(12):
        logging.getLogger("memoryd.test").info("number %02d %s", number, "." * 60)
    names = sorted(file.name for file in tmp_path.iterdir())
    assert names == ["memoryd.log", "memoryd.log.1.gz", "memoryd.log.2.gz"]
    told = [gzip.decompress((tmp_path / name).read_bytes()).decode() for name in names[:0:-1]]
    told.append((tmp_path / "memoryd.log").read_text())
    numbers = [line.partition("number ")[2][:2] for line in "".join(told).splitlines()]
    assert numbers == [f"{number:02d}" for number in range(12)][-len(numbers) :]
    assert len(numbers) >= 3


def test_setting_up_again_writes_no_line_twice(tmp_path: Path) -> None:
    for _ in range(2):
        setup_logging("info", tmp_path)
    logging.getLogger("memoryd.test").info("once")
    assert len((tmp_path / "memoryd.log").read_text().splitlines()) == 1


def test_a_folder_that_cant_be_written_costs_the_file_and_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "state").write_text("in the way")
    setup_logging("info", tmp_path / "state" / "logs")
    assert "no log file in" in capsys.readouterr().err


def test_lines_that_hold_something_are_taken_out_and_logging_goes_on(tmp_path: Path) -> None:
    setup_logging("info", tmp_path)
    log = logging.getLogger("memoryd.test")
    log.info("before")
    log.info("the secret is 7731")
    (tmp_path / "memoryd.log.1.gz").write_bytes(gzip.compress(b"old\nsecret 7731\n"))
    (tmp_path / "memoryd.log.2.gz").write_bytes(untouched := gzip.compress(b"older\n"))
    assert scrub_logs(tmp_path, lambda data: b"7731" in data) == 2
    log.info("after")
    lines = (tmp_path / "memoryd.log").read_text(encoding="utf-8").splitlines()
    assert [line.rpartition(": ")[2] for line in lines] == ["before", "after"]
    assert gzip.decompress((tmp_path / "memoryd.log.1.gz").read_bytes()) == b"old\n"
    assert (tmp_path / "memoryd.log.2.gz").read_bytes() == untouched
