"""The identity's versions on the command line, and a replay that is followed to its end."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from memoryd.cli import identities
from memoryd.errors import BadRequestError, ReplayError
from memoryd_client import (
    ChangedManifest,
    ChangedSetting,
    IdentityDiff,
    IdentityList,
    IdentitySummary,
    IdentityView,
    ReplacedLine,
    ReplayList,
    ReplayView,
    Restored,
    ToldLine,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from memoryd_client.testing import FakeDaemon
    from tests.cli.conftest import Memoryd

MADE = datetime(2026, 3, 15, 21, 4, tzinfo=UTC)
VIEW = IdentityView(
    version=2,
    digest="abc",
    created_at=MADE,
    tokens=1900,
    missing=["origin_id.txt"],
    text="나는 에코다. [b]\n끝",
)
DONE = ReplayView(
    state="done",
    trigger="request",
    started_at=MADE,
    seconds=2.5,
    turns=300,
    kept=40,
    changed=True,
    identity_version=4,
    digest="abc",
)
BEGUN = DONE.model_copy(update={"state": "running", "identity_version": None, "digest": None, "turns": 0})


def told(text: str, day: str = "2026-03-12") -> ToldLine:
    return ToldLine(
        kind="said", day=day, speaker="지훈", text=text, path="day0312/a.txt", conversation_id="c"
    )


SAME = IdentityDiff(
    before=3,
    now=4,
    restores=None,
    learned=[],
    no_longer_true=[],
    no_longer_told=[],
    feels=[],
    no_longer_feels=[],
    topics_come=[],
    topics_gone=[],
    manifests=[],
    settings=[],
)


def test_identity_prints_the_text_and_what_is_missing(daemon: FakeDaemon, memoryd: Memoryd) -> None:
    daemon.answer("GET /api/identity/2", VIEW)

    assert memoryd("identity", "--version", "2").stdout.splitlines() == [
        "identity 2 · 2026-03-15 21:04 · 1,900 tokens",
        "abc",
        "missing: origin_id.txt",
        "",
        "나는 에코다. [b]",
        "끝",
    ]


def test_a_restored_version_says_whose_words_it_has(daemon: FakeDaemon, memoryd: Memoryd) -> None:
    daemon.answer("GET /api/identity", VIEW.model_copy(update={"restores": 1}))

    assert "tells what identity 1 told" in memoryd("identity").stdout


def test_versions_are_listed_with_the_one_in_force_first(daemon: FakeDaemon, memoryd: Memoryd) -> None:
    rows = [
        IdentitySummary(version=3, digest="c", created_at=MADE, tokens=1900, lines=40, restores=1),
        IdentitySummary(version=2, digest="b", created_at=MADE, tokens=2000, lines=41, restores=None),
    ]
    daemon.answer("GET /api/identities", IdentityList(identities=rows))

    lines = memoryd("identity", "list").stdout.splitlines()
    assert [" ".join(line.split()) for line in lines] == [
        "version made tokens lines",
        "3 2026-03-15 21:04 1,900 40 in force, tells what 1 told",
        "2 2026-03-15 21:04 2,000 41",
    ]
    assert len(json.loads(memoryd("identity", "list", "--json").stdout)["identities"]) == 2


def test_a_difference_reads_as_a_person_would_say_it(daemon: FakeDaemon, memoryd: Memoryd) -> None:
    replaced = ReplacedLine(
        before=told("수영은 화요일이야.", "2026-03-01"), now=told("수영은 이제 목요일이야.")
    )
    daemon.answer(
        "GET /api/identity/diff",
        SAME.model_copy(
            update={
                "learned": [told("두부는 회색 고양이야.")],
                "no_longer_true": [replaced],
                "no_longer_told": [told("비가 왔다.")],
                "feels": [told("마음이 가볍다.")],
                "topics_come": ["치과"],
                "manifests": [
                    ChangedManifest(name="echo_identity.txt", gone=["말을 아낀다."], come=["웃는다."])
                ],
                "settings": [ChangedSetting(name="budget", before="2000", now="2500")],
            }
        ),
    )

    assert memoryd("identity", "diff", "3", "4").stdout.splitlines() == [
        "identity 3 → identity 4",
        "",
        "배운 것 (learned)",
        "  지훈: 두부는 회색 고양이야. (2026-03-12)",
        "",
        "이제는 아닌 것 (no longer true)",
        "  지훈: 수영은 화요일이야. (2026-03-01)",
        "  → 지훈: 수영은 이제 목요일이야. (2026-03-12)",
        "",
        "느끼는 것 (feels)",
        "  지훈: 마음이 가볍다. (2026-03-12)",
        "",
        "새로 자주 나오는 이야기 (comes up again now)",
        "  치과",
        "",
        "바뀐 매니페스트 (manifest changed): echo_identity.txt",
        "  - 말을 아낀다.",
        "  + 웃는다.",
        "",
        "바뀐 설정 (settings changed)",
        "  budget: 2000 → 2500",
        "",
        "자리가 없어 말하지 않는 것 (no longer told, for room)",
        "  지훈: 비가 왔다. (2026-03-12)",
    ]
    assert daemon.requests[0].query == "from=3&to=4"


def test_two_versions_that_tell_the_same_are_said_to(daemon: FakeDaemon, memoryd: Memoryd) -> None:
    daemon.answer("GET /api/identity/diff", SAME)

    assert memoryd("identity", "diff").stdout == "identity 3 → identity 4\nBoth tell the same.\n"
    assert json.loads(memoryd("identity", "diff", "--json").stdout)["now"] == 4


def test_a_restoration_says_what_becomes_of_it(daemon: FakeDaemon, memoryd: Memoryd) -> None:
    daemon.answer("POST /api/identity/1/restore", Restored(identity=VIEW, note="A replay leaves it."))

    assert memoryd("identity", "restore", "1").stdout == "identity 2 is in force\nA replay leaves it.\n"
    assert memoryd("identity", "restore", "9").exit_code != 0


# The origin's id.


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, str]:
    for name, text in (("manifest/origin_id.txt", "haram\n"), ("state/origin.id", "origin\n")):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(text, encoding="utf-8")
    return {
        f"MEMORYD_PATHS__{name.upper()}": str(tmp_path / name)
        for name in ("memory", "manifest", "state", "models")
    }


def test_another_origin_is_confirmed_by_its_id_and_counts_from_the_next_start(
    memoryd: Memoryd, folders: dict[str, str], tmp_path: Path
) -> None:
    shown = memoryd("identity", "origin", "haram", env=folders)
    assert shown.exit_code == 0
    assert "From the daemon's next start on, haram is the origin." in shown.stdout
    assert "The folders of origin stay origin's own." in shown.stdout
    assert (tmp_path / "state" / "origin.id").read_text("utf-8") == "haram\n"
    assert "nothing changes" in memoryd("identity", "origin", "haram", env=folders).stdout


def test_an_id_that_the_manifest_does_not_name_is_refused(
    memoryd: Memoryd, folders: dict[str, str], tmp_path: Path
) -> None:
    refused = memoryd("identity", "origin", "harm", env=folders)
    assert refused.exit_code == BadRequestError.exit_code
    assert "names 'haram', not 'harm'" in refused.stderr
    assert (tmp_path / "state" / "origin.id").read_text("utf-8") == "origin\n"


# Replays.


class Sequence:
    """Answers each call with the next of these, and in the end with the last again."""

    def __init__(self, *lists: ReplayList) -> None:
        self._left = [each.model_dump_json().encode() for each in lists]

    def __iter__(self) -> Iterator[bytes]:
        yield self._left.pop(0) if len(self._left) > 1 else self._left[0]


def ends_with(daemon: FakeDaemon, *rows: list[ReplayView]) -> None:
    """The lists of replays that the daemon shows, one after another."""
    lists = Sequence(*[ReplayList(replays=each) for each in rows])
    daemon.raw("GET /api/replays", lists, content_type="application/json")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, "identity 4 is new\n300 turns read, 40 memories kept, 2.5 s\nabc\n"),
        ({"changed": False}, "identity 4 is unchanged\n"),
        ({"state": "failed", "error": "the disk is full"}, "The replay failed: the disk is full\n"),
    ],
)
def test_replay_now_says_what_it_came_to(
    daemon: FakeDaemon, memoryd: Memoryd, change: dict[str, object], words: str
) -> None:
    daemon.answer("POST /api/replay", BEGUN)
    ends_with(daemon, [DONE.model_copy(update=change)])

    result = memoryd("replay-now")

    assert result.stdout.startswith(words)
    assert result.exit_code == (ReplayError.exit_code if change.get("state") == "failed" else 0)
    assert daemon.requests[0].body == {"wait": False}


def test_a_warning_about_the_manifests_is_shown(daemon: FakeDaemon, memoryd: Memoryd) -> None:
    daemon.answer("POST /api/replay", BEGUN)
    ends_with(daemon, [DONE.model_copy(update={"warning": "the three manifests take it all"})])

    assert memoryd("replay-now").stdout.endswith("warning: the three manifests take it all\n")


def test_a_replay_is_followed_until_it_has_ended_and_told_of_plainly_without_a_terminal(
    daemon: FakeDaemon, memoryd: Memoryd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identities, "LOOK_S", 0.0)
    monkeypatch.setattr(identities, "LINE_S", 0.0)
    earlier = DONE.model_copy(update={"started_at": MADE - timedelta(hours=1), "identity_version": 3})
    daemon.answer("POST /api/replay", BEGUN)
    running = BEGUN.model_copy(update={"progress": 0.4, "turns": 12000})
    ends_with(daemon, [earlier], [running, earlier], [DONE, earlier])

    result = memoryd("replay-now")

    assert result.stdout.startswith("identity 4 is new\n")
    assert result.stderr == "replaying: 40 % of the changed files read, 12,000 turns\n"


def test_as_json_there_is_one_document(
    daemon: FakeDaemon, memoryd: Memoryd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identities, "LOOK_S", 0.0)
    monkeypatch.setattr(identities, "LINE_S", 0.0)
    daemon.answer("POST /api/replay", BEGUN)
    ends_with(daemon, [BEGUN.model_copy(update={"progress": 0.4})], [DONE])

    result = memoryd("replay-now", "--json")

    assert ReplayView.model_validate_json(result.stdout) == DONE
    assert result.stderr == ""


def test_where_another_replay_was_under_way_one_is_run_after_it(daemon: FakeDaemon, memoryd: Memoryd) -> None:
    starts = [BEGUN.model_copy(update={"trigger": "boot"}), BEGUN]
    answers = (each.model_dump_json().encode() for each in starts)

    class Starts:
        def __iter__(self) -> Iterator[bytes]:
            yield next(answers)

    daemon.raw("POST /api/replay", Starts(), content_type="application/json")
    boot = DONE.model_copy(update={"trigger": "boot", "identity_version": 3})
    ends_with(daemon, [boot], [DONE, boot])

    assert memoryd("replay-now").stdout.startswith("identity 4 is new\n")
    assert [each.method for each in daemon.requests] == ["POST", "GET", "POST", "GET"]
