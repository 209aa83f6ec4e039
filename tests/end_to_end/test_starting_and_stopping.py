"""How the process comes up, refuses, and goes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tests.end_to_end.conversation import DROPPED, QUESTIONS, TURNS
from tests.end_to_end.running import HOST, SCRIPTS

if TYPE_CHECKING:
    from tests.end_to_end.running import Running


def test_a_second_daemon_on_the_same_state_refuses_with_a_sentence(shared: Running) -> None:
    second = shared.command("run")
    assert second.returncode == 4
    assert second.stderr == (
        f"Another memoryd owns {shared.state}. Stop it first, or give this one its own paths.state.\n"
    )
    assert shared.found(QUESTIONS[0][0])


def test_sigterm_stops_it_cleanly_and_leaves_nothing_behind(searching: Running) -> None:
    searching.drop(DROPPED, TURNS)
    searching.start_ready()
    children = searching.children()
    assert len(children) == 2
    assert searching.stop() == 0
    assert not any(Path(f"/proc/{child}").exists() for child in children)
    assert "Traceback" not in searching.log
    assert "memoryd.daemon: stopped" in searching.log


def test_without_a_manifest_file_it_runs_and_says_so(searching: Running) -> None:
    (searching.manifest / "fillin_manifest.txt").unlink()
    searching.start()
    searching.wait_listening()
    searching.wait_until(lambda: bool(searching.identity().version), "the first replay")
    identity = searching.identity()
    with searching.client() as client:
        parts = {part.name: part for part in client.ready().parts}
    assert parts["manifest"].state == "degraded"
    assert parts["manifest"].detail == (
        f"fillin_manifest.txt (what it stands for) is not there: write it as UTF-8 text into {searching.manifest}"
    )
    assert identity.missing == ["fillin_manifest.txt"]


def test_uvicorn_serves_the_same_app(searching: Running) -> None:
    uvicorn = str(SCRIPTS / "uvicorn")
    searching.drop(DROPPED, TURNS)
    searching.start(uvicorn, "memoryd.api.server:app", "--host", HOST, "--port", str(searching.port))
    searching.wait_ready()
    searching.wait_read()
    question, turn = QUESTIONS[0]
    assert turn in searching.found(question)
    searching.stop()
    assert "Traceback" not in searching.log
    assert "memoryd.daemon: stopped" in searching.log
