from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, get_args

from memoryd.errors import (
    BusyError,
    ConfigError,
    NoModelError,
    NotFoundError,
    NotRunningError,
    TooSlowError,
)
from memoryd.ledger import FileState as State
from memoryd_client import (
    AskAnswer,
    Citation,
    ConversationView,
    DifferenceView,
    Erased,
    ErasedFile,
    ErasureProof,
    FileList,
    FileView,
    FoundFragments,
    Problem,
    Ready,
    Rebuilt,
    SearchAnswer,
    Status,
    TurnView,
    Verified,
)
from memoryd_client.models import FileState

if TYPE_CHECKING:
    from pathlib import Path

    from memoryd_client.testing import FakeDaemon
    from tests.cli.conftest import Memoryd

MADE = datetime(2026, 3, 15, 21, 4, tzinfo=UTC)


def stream(daemon: FakeDaemon, answer: AskAnswer, *words: str) -> None:
    found = {"degraded": None, "citations": [c.model_dump(mode="json") for c in answer.citations]}
    tokens = [("token", {"text": word}) for word in words]
    daemon.stream("POST /api/ask", [("recall", found), *tokens, ("done", answer)])


def test_ask_prints_the_answer_and_its_memories_beneath(
    daemon: FakeDaemon, memoryd: Memoryd, answer: AskAnswer
) -> None:
    stream(daemon, answer, "모델 파일은 ", "/workspace/llm_models/ 에 둔다.")

    result = memoryd("ask", "모델 파일은 어디에 둬?", "--model", "bundled", "--conversation", "c9")

    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "모델 파일은 /workspace/llm_models/ 에 둔다.",
        "",
        "Memories",
        "  1  2026-03-15 21:04 · day0315 · 지훈, Echo",
        "     지훈: 모델 파일은 [bold]거기[/bold]에 둬 [/x] �[31m빨강 Echo: I will.",
        "     memory/day0315/기록.txt",
        "",
        "This is the built-in model; name a better one in config.toml.",
        "bundled · identity 3 · 1.2 s",
        "To go on: memoryd ask --conversation c9 …",
    ]
    assert result.stderr == ""
    assert daemon.requests[0].token == "secret"
    assert daemon.requests[0].body == {
        "question": "모델 파일은 어디에 둬?",
        "model": "bundled",
        "conversation_id": "c9",
        "explain": False,
        "stream": True,
    }


def test_ask_prints_the_whole_answer_where_no_token_came(
    daemon: FakeDaemon, memoryd: Memoryd, answer: AskAnswer
) -> None:
    stream(daemon, answer)

    assert memoryd("ask", "?").stdout.startswith(answer.answer + "\n")


def test_ask_says_what_was_degraded(daemon: FakeDaemon, memoryd: Memoryd, answer: AskAnswer) -> None:
    poor = answer.model_copy(update={"degraded": "Chroma is rebuilding", "note": None, "citations": []})
    stream(daemon, poor, "음")

    shown = memoryd("ask", "?").stdout

    assert "No memory was found" in shown
    assert "Recall was degraded: Chroma is rebuilding" in shown


def test_ask_as_json_is_the_answer_and_nothing_else(
    daemon: FakeDaemon, memoryd: Memoryd, answer: AskAnswer
) -> None:
    daemon.answer("POST /api/ask", answer)

    result = memoryd("ask", "?", "--json")

    assert AskAnswer.model_validate_json(result.stdout) == answer
    assert "모델" in result.stdout
    assert result.stderr == ""


def test_ask_before_a_model_is_ready_lists_the_models(
    daemon: FakeDaemon, memoryd: Memoryd, no_model: Problem, ready: Ready
) -> None:
    daemon.problem("POST /api/ask", no_model, retry_after=5)
    daemon.answer("GET /ready", ready, status=503)

    result = memoryd("ask", "?")

    assert result.exit_code == NoModelError.exit_code
    assert result.stdout == ""
    assert "mixtral            loading  mixtral  12 of 26 GB" in result.stderr
    assert result.stderr.endswith("mixtral is loading.\n")


def test_ask_gives_its_answer_a_deadline(daemon: FakeDaemon, memoryd: Memoryd, answer: AskAnswer) -> None:
    late = Problem(title="t", status=504, detail="The answer took too long.", code="too_slow")
    daemon.stream(
        "POST /api/ask", [("thought", {"text": "흠"}), ("token", {"text": "모델"}), ("error", late)]
    )

    result = memoryd("ask", "?", "--deadline", "2.5")

    assert daemon.requests[0].body == {
        "question": "?",
        "deadline_s": 2.5,
        "explain": False,
        "stream": True,
    }
    assert result.exit_code == TooSlowError.exit_code
    assert (result.stdout, result.stderr) == ("모델\n", "The answer took too long.\n")


def test_ask_of_a_busy_model_says_only_that(daemon: FakeDaemon, memoryd: Memoryd) -> None:
    busy = Problem(title="t", status=503, detail="6 are answered and 32 wait.", code="busy")
    daemon.problem("POST /api/ask", busy, retry_after=8)

    result = memoryd("ask", "?")

    assert result.exit_code == BusyError.exit_code
    assert result.stderr == "6 are answered and 32 wait.\n"
    assert len(daemon.requests) == 1


def test_ask_says_that_an_answer_was_cut_off(daemon: FakeDaemon, memoryd: Memoryd, answer: AskAnswer) -> None:
    stream(daemon, answer.model_copy(update={"finish": "length"}), "음")

    assert "cut off" in memoryd("ask", "?").stdout


def test_an_answer_that_breaks_off_keeps_what_came_and_says_so(
    daemon: FakeDaemon, memoryd: Memoryd, no_model: Problem
) -> None:
    daemon.stream("POST /api/ask", [("token", {"text": "모델 파일은"}), ("error", no_model)])
    daemon.answer("GET /ready", Ready(ready=False, parts=[], models=[]), status=503)

    result = memoryd("ask", "?")

    assert result.exit_code == NoModelError.exit_code
    assert result.stdout == "모델 파일은\n"


def test_search_prints_whole_passages_best_first(
    daemon: FakeDaemon, memoryd: Memoryd, citation: Citation
) -> None:
    long = citation.model_copy(update={"text": "긴 문장이 이어진다. " * 40, "turns": []})
    daemon.answer(
        "POST /api/search", SearchAnswer(degraded="rebuilding", unread_files=2, hits=[citation, long])
    )

    result = memoryd("search", "폴더", "-k", "2", "--speaker", "지훈")

    assert "  1  2026-03-15 21:04 · day0315 · 지훈, Echo · score 0.876" in result.stdout
    assert (
        "     지훈: 모델 파일은 [bold]거기[/bold]에 둬 [/x] �[31m빨강\n     Echo: I will.\n" in result.stdout
    )
    assert result.stdout.count("이어진다") == 40
    assert "Recall is degraded: rebuilding" in result.stdout
    assert "2 files are still to be read; what is new there was not looked at." in result.stdout
    assert daemon.requests[0].body == {"query": "폴더", "k": 2, "speaker": "지훈", "explain": False}


def test_search_takes_days_and_moments_with_an_offset(daemon: FakeDaemon, memoryd: Memoryd) -> None:
    daemon.answer("POST /api/search", SearchAnswer(degraded=None, hits=[]))

    result = memoryd(
        "search", "x", "--since", "2026-03-01", "--until", "2026-03-15", "--now", "2026-03-20T09:00:00+09:00"
    )

    assert result.stdout == "Nothing was found.\n"
    sent = {key: datetime.fromisoformat(daemon.requests[0].body[key]) for key in ("since", "until", "now")}
    assert sent["since"] == datetime(2026, 3, 1).astimezone()
    assert sent["until"] == datetime(2026, 3, 15, 23, 59, 59, 999999).astimezone()
    assert sent["now"] == datetime(2026, 3, 20, tzinfo=UTC)


def test_search_refuses_what_is_no_date(memoryd: Memoryd) -> None:
    result = memoryd("search", "x", "--until", "어제")

    assert result.exit_code == 2
    assert "'어제' is no date" in result.stderr


def test_status_is_a_page(daemon: FakeDaemon, memoryd: Memoryd, status: Status) -> None:
    daemon.answer("GET /api/status", status)

    lines = [line.rstrip() for line in memoryd("status").stdout.splitlines()]

    assert lines[0] == f"memoryd 0.1.0 at {daemon.url}"
    assert "up              2 h 31 min" in lines
    assert "identity        version 3" in lines
    assert "last day        2026-03-15" in lines
    mood = "mood of origin  sadness, 72% sure; valence -0.61, arousal -0.30; last said 2026-03-"
    assert any(line.startswith(mood) for line in lines)
    assert "chroma  degraded  rebuilding generation 4" in lines
    assert "bundled (default)  ready    bundled  b.gguf" in lines
    assert any("built-in" in line for line in lines)
    assert "mixtral            loading  mixtral  12 of 26 GB" in lines
    assert "turns           12,345" in lines
    assert "vectors         5,990, 10 on their way to Chroma" in lines
    assert any(line.endswith("12 indexed, 1 skipped, 2 quarantined, 3 waiting") for line in lines)
    assert "memoryd files --state quarantined" in lines[-1]


def test_status_of_an_empty_memory_says_so(daemon: FakeDaemon, memoryd: Memoryd, status: Status) -> None:
    empty = Ready(ready=False, parts=[], models=[])
    fresh = status.model_copy(update={"last_day": None, "identity_version": 0, "ready": empty})
    daemon.answer("GET /api/status", fresh)

    shown = memoryd("status").stdout

    assert "nothing remembered yet" in shown
    assert "none yet" in shown
    assert "not yet" in shown
    assert "No language model is configured." in shown


def test_files_lists_each_with_its_reason(daemon: FakeDaemon, memoryd: Memoryd) -> None:
    bad = FileView(
        path="day0316/나쁜 [red].jsonl",
        state="quarantined",
        format="native",
        reason="not JSON",
        line=3,
        turns=0,
        passages=0,
        size=9,
    )
    good = FileView(
        path="day0315/대화.txt",
        state="indexed",
        format="transcript",
        reason=None,
        line=None,
        turns=1200,
        passages=600,
        size=99,
    )
    daemon.answer("GET /api/files", FileList(files=[bad, good]))

    result = memoryd("files", "--state", "quarantined")

    assert [line.rstrip() for line in result.stdout.splitlines()] == [
        "state        format      turns  passages  file",
        "quarantined  native          0         0  day0316/나쁜 [red].jsonl",
        "                                            line 3: not JSON",
        "indexed      transcript  1,200       600  day0315/대화.txt",
    ]
    assert daemon.requests[0].query == "state=quarantined"
    assert FileList.model_validate_json(memoryd("files", "--json").stdout).files == [bad, good]


def test_the_states_to_choose_from_are_the_ledger_s() -> None:
    assert get_args(FileState) == tuple(State)


def test_no_files_is_said(daemon: FakeDaemon, memoryd: Memoryd) -> None:
    daemon.answer("GET /api/files", FileList(files=[]))

    assert memoryd("files").stdout == "No such file.\n"


def verified(**fields: object) -> Verified:
    compared = {"full": False, "seconds": 1.2, "files": 12, "refused": 1, "turns": 3000, "passages": 900}
    parts = {"words": 500, "vectors": 900, "index_ids": 880, "index_vectors": 500}
    none: dict[str, object] = {"waiting": [], "differences": [], "more": 0}
    return Verified.model_validate(compared | parts | none | fields)


def test_verify_says_that_nothing_differs_and_what_was_compared(daemon: FakeDaemon, memoryd: Memoryd) -> None:
    daemon.answer("POST /api/verify", verified(waiting=["3 files wait to be read"]))
    result = memoryd("verify")
    assert result.exit_code == 0
    assert "Compared 12 files (1 of them skipped or quarantined" in result.stdout
    assert "Not compared yet: 3 files wait to be read." in result.stdout
    assert "`--full` compares all" in result.stdout
    assert "Nothing differs." in result.stdout
    assert daemon.requests[-1].body == {"full": False}
    memoryd("verify", "--full")
    assert daemon.requests[-1].body == {"full": True}


def test_verify_names_what_differs_and_ends_with_its_own_code(daemon: FakeDaemon, memoryd: Memoryd) -> None:
    difference = DifferenceView(
        kind="turns",
        path="day0315/기록.txt",
        detail="the ledger lacks the turns t1",
        remedy="memoryd rebuild",
    )
    whole = difference.model_copy(update={"kind": "index", "path": "", "detail": "Chroma lacks p_1"})
    daemon.answer("POST /api/verify", verified(differences=[difference, whole], more=7))
    result = memoryd("verify")
    assert result.exit_code == 12
    assert (
        "day0315/기록.txt\n   turns: the ledger lacks the turns t1\n   remedy: memoryd rebuild"
        in result.stdout
    )
    assert "the whole memory\n   index: Chroma lacks p_1" in result.stdout
    assert "… and 7 more differences" in result.stdout
    assert "Nothing differs" not in result.stdout
    result = memoryd("verify", "--json")
    assert result.exit_code == 12
    assert len(json.loads(result.stdout)["differences"]) == 2


def test_rebuild_embeds_when_it_is_told_to(daemon: FakeDaemon, memoryd: Memoryd) -> None:
    daemon.answer("POST /api/rebuild", Rebuilt(files=12, passages=6000, generation=5))
    memoryd("rebuild")
    memoryd("rebuild", "--embed")
    assert [request.body for request in daemon.requests] == [{"embed": False}, {"embed": True}]


def test_rebuild_says_what_it_has_begun(daemon: FakeDaemon, memoryd: Memoryd) -> None:
    daemon.answer("POST /api/rebuild", Rebuilt(files=12, passages=6000, generation=5))

    assert memoryd("rebuild").stdout == (
        "6,000 passages are being made anew (generation 5); `memoryd status` shows how far.\n"
    )
    assert json.loads(memoryd("rebuild", "--json").stdout) == {
        "files": 12,
        "passages": 6000,
        "generation": 5,
    }


def test_a_daemon_that_is_not_there_is_one_plain_sentence(memoryd: Memoryd) -> None:
    result = memoryd("status", "--url", "http://127.0.0.1:1")

    assert result.exit_code == NotRunningError.exit_code
    assert result.stdout == ""
    assert result.stderr == (
        "memoryd is not running at http://127.0.0.1:1. Start it with `make run` (or `memoryd run`).\n"
    )


def test_an_error_as_json_is_the_problem_document_on_standard_output(
    daemon: FakeDaemon, memoryd: Memoryd
) -> None:
    result = memoryd("identity", "--version", "9", "--json")

    assert result.exit_code == NotFoundError.exit_code
    assert Problem.model_validate_json(result.stdout).code == "not_found"
    assert result.stderr == ""


def test_the_daemon_s_own_words_can_not_move_the_cursor(daemon: FakeDaemon, memoryd: Memoryd) -> None:
    daemon.problem(
        "GET /api/status", Problem(title="t", status=500, detail="broken \x1b[2J[bold]", code="new_code")
    )

    result = memoryd("status")

    assert result.exit_code == 1
    assert result.stderr == "broken �[2J[bold]\n"


def test_config_prints_each_value_and_where_it_is_from(memoryd: Memoryd, tmp_path: Path) -> None:
    for folder in ("memory", "manifest"):
        (tmp_path / folder).mkdir()
    file = tmp_path / "c.toml"
    file.write_text('[replay]\ncron = ""\n', encoding="utf-8")
    env = {"MEMORYD_SERVER__PORT": "7070", "COLUMNS": "200"}

    lines = [line.split() for line in memoryd("config", "--config", str(file), env=env).stdout.splitlines()]
    document = json.loads(memoryd("config", "--config", str(file), "--json", env=env).stdout)

    assert ["server.port", "7070", "MEMORYD_SERVER__PORT"] in lines
    assert ["server.host", "127.0.0.1", "default"] in lines
    assert ["llm.enabled", "true", "default"] in lines
    assert document["file"] == str(file)
    assert document["keys"]["replay.cron"] == {"value": "", "from": str(file)}
    assert document["keys"]["server.port"] == {"value": 7070, "from": "MEMORYD_SERVER__PORT"}


def test_a_wrong_configuration_is_one_plain_sentence(memoryd: Memoryd, tmp_path: Path) -> None:
    file = tmp_path / "none.toml"

    result = memoryd("config", "--config", str(file))

    assert result.exit_code == ConfigError.exit_code
    assert str(file) in result.stderr
    assert "Traceback" not in result.output


def test_version_is_printed(memoryd: Memoryd) -> None:
    assert memoryd("version").stdout.startswith("memoryd ")
    assert "version" in json.loads(memoryd("version", "--json").stdout)


def erased(**proof: object) -> Erased:
    clean = {"found": [], "unread": [], "words_left": 0, "shared": 0, "elsewhere": []}
    made = {"files": 12, "bytes": 345_678, "fragments": 40, "words": 9, "seconds": 0.25}
    return Erased(
        files=[
            ErasedFile(path="day0315/a.txt", action="removed", note="it held nothing else"),
            ErasedFile(
                path="day0315/b.json",
                action="replaced",
                note="the others are kept",
                target="day0315/b.json.jsonl",
            ),
        ],
        turns=1234,
        passages=600,
        vectors=599,
        identities=2,
        identity_version=7,
        log_lines=3,
        copies=["ledger.damaged-20260315T210400.sqlite3"],
        generation=4,
        proof=ErasureProof.model_validate(made | clean | proof),
        seconds=1.5,
    )


def test_erase_prints_what_went_and_what_was_looked_through(daemon: FakeDaemon, memoryd: Memoryd) -> None:
    daemon.answer("DELETE /api/conversations/c1", erased())

    result = memoryd("erase", "c1", "--yes")

    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        "Erased: 1,234 turns, 600 passages, 599 vectors",
        "  day0315/a.txt: removed (it held nothing else)",
        "  day0315/b.json: replaced by day0315/b.json.jsonl (the others are kept)",
        "Lines were cut from 2 identity versions; identity 7 is in force.",
        "3 log lines are gone. Index generation 4 is being filled.",
        "Gone too, because they were kept of a damaged ledger and may hold it: ledger.damaged-20260315T210400.sqlite3.",
        "Looked for 40 fragments and 9 words in 12 files of the state folder, 345,678 bytes, 0.2 s",
        "Nothing was found.",
    ]


def test_erase_says_what_is_still_there_and_fails(daemon: FakeDaemon, memoryd: Memoryd) -> None:
    found = [FoundFragments(path="copy.bak", fragments=2)]
    daemon.answer(
        "DELETE /api/conversations/c1",
        erased(found=found, unread=["locked"], words_left=1, shared=3, elsewhere=["c2", "c3"]),
    )

    result = memoryd("erase", "c1", "--yes")

    assert result.exit_code == 1
    assert result.stdout.splitlines()[-4:] == [
        "Still there: 2 fragments in copy.bak",
        "Still there: 1 words in the lexical index",
        "Could not be looked through: locked",
        "3 fragments stay, because other conversations hold them too: c2, c3",
    ]


def test_erase_asks_first_and_shows_what_it_would_take(daemon: FakeDaemon, memoryd: Memoryd) -> None:
    said = TurnView(id="t1", index=0, role="user", speaker="지훈", time=MADE, text="금고 이야기야.")
    seen = ConversationView(id="c1", title="", paths=["day0315/a.txt"], turns=[said, said])
    daemon.answer("GET /api/conversations/c1", seen)

    result = memoryd("erase", "c1")  # nobody answers the question

    assert result.exit_code == 1
    assert result.stdout.strip() == ""
    assert "c1: 2 turns, 2026-03-15 to 2026-03-15" in result.stderr
    assert "It begins: 지훈: 금고 이야기야." in result.stderr
    assert [request.method for request in daemon.requests] == ["GET"]


def test_erase_as_json_is_one_document(daemon: FakeDaemon, memoryd: Memoryd) -> None:
    daemon.answer("DELETE /api/conversations/c1", erased())

    assert Erased.model_validate_json(memoryd("erase", "c1", "--yes", "--json").stdout) == erased()
