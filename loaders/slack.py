"""Slack's data export: a zip with a folder for each channel and in it a JSON file for each day.

    users.json                    who `U0A1` is
    channels.json                 public channels; groups.json private ones, dms.json and mpims.json talks
    general/2026-03-15.json       [{"type": "message", "user": "U0A1", "text": "…", "ts": "1773576240.000100"}]
    D0C3/2026-03-15.json          a direct message's folder has its id for a name

A channel is one conversation. A day's file on its own is read too, its people known by their ids where it
does not name them. Replies in threads stand where time puts them, with a note of what they answer.

Source: https://slack.com/help/articles/220556107-How-to-read-Slack-data-exports for the files,
https://docs.slack.dev/reference/events/message for the messages and
https://docs.slack.dev/messaging/formatting-message-text for `<…>` in their text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from loaders.archive import is_zip, zip_members
from loaders.assemble import Utterance, assemble, own_id
from loaders.base import Role, UnreadableError
from loaders.chat_json import in_time_order, reply_note
from loaders.decode import decode
from loaders.parsing import items, parse_json, record, string
from loaders.slack_text import moment, says, spoken_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Final

    from loaders.archive import Member
    from loaders.base import Conversation, Source
    from loaders.parsing import Record

_PEOPLE: Final = ("users.json", "org_users.json")
_PLACES: Final = ("channels.json", "groups.json", "mpims.json", "dms.json")
_DAY: Final = re.compile(r"(?P<folder>[^/]+)/\d{4}-\d\d-\d\d\.json")

_OPENING: Final = re.compile(r'\s*\[\s*\{\s*"')
_TYPE: Final = re.compile(r'"type"\s*:\s*"message"')
_TS: Final = re.compile(r'"ts"\s*:\s*"\d{9,}\.\d+"')

# Subtypes in which somebody speaks; in all others Slack tells what happened.
_SPOKEN: Final = frozenset(
    {
        "",
        "bot_message",
        "me_message",
        "file_share",
        "file_comment",
        "thread_broadcast",
        "reply_broadcast",
        "slackbot_response",
        "assistant_app_thread",
    },
)


@dataclass(frozen=True, slots=True)
class _Place:
    """A channel or talk: its own id, and its title for people."""

    id: str
    title: str


class SlackLoader:
    """The whole export as a zip, or the file of one day."""

    format: Final = "slack"

    def sniff(self, source: Source) -> bool:
        """Whether a zip has Slack's lists and a day's file, or a JSON list has Slack's messages."""
        if source.text is not None:
            text = source.text
            return all(pattern(text) for pattern in (_OPENING.match, _TYPE.search, _TS.search))
        if not is_zip(source.data):
            return False
        try:
            return _root(zip_members(source.data)) is not None
        except UnreadableError:
            return False

    def load(self, source: Source) -> list[Conversation]:
        """Every channel in the archive's order, or one conversation for the file of a day.

        Raises:
            UnreadableError: the archive or a file in it is damaged.
        """
        if source.text is not None:
            day = _listed(source.text)
            return [_conversation(_Place(own_id(source), ""), day, {})]
        members = zip_members(source.data)
        root = _root(members) or ""
        people = _names(members, root)
        places = _places(members, root, people)
        days: dict[str, list[Member]] = {}
        for path, member in members.items():
            if path.startswith(root) and (match := _DAY.fullmatch(path[len(root) :])):
                days.setdefault(match["folder"], []).append(member)
        links = people | {place.id: place.title.removeprefix("#") for place in places.values()}
        return [
            _conversation(
                places.get(folder) or _Place(f"{own_id(source)}/{folder}", folder),
                [message for member in sorted(files, key=lambda one: one.path) for message in _read(member)],
                links,
            )
            for folder, files in days.items()
        ]


def _root(members: dict[str, Member]) -> str | None:
    """The folder that the export lies in, often none; None where this is no export of Slack's."""
    roots = {
        path[: -len(member.name)] for path, member in members.items() if member.name in {*_PEOPLE, *_PLACES}
    }
    for path in members:
        folders = path.split("/")[:-2]
        root = "/".join([*folders, ""]) if folders else ""
        if root in roots and _DAY.fullmatch(path[len(root) :]):
            return root
    return None


def _read(member: Member) -> list[Record]:
    """The objects of a JSON list in the archive."""
    try:
        return _listed(decode(member.path, member.read()).text or "")
    except UnreadableError as error:
        raise UnreadableError(f"{member.path!r} in the zip archive: {error}") from error


def _listed(text: str) -> list[Record]:
    value = parse_json(text)
    if not isinstance(value, list):
        raise UnreadableError("no JSON list, as all files of a Slack export are; export it again")
    return [record(one) for one in value]


def _names(members: dict[str, Member], root: str) -> dict[str, str]:
    """What each person is called, by id."""
    files = [members[root + name] for name in _PEOPLE if root + name in members]
    users = (user for file in files for user in _read(file))
    return {string(user.get("id")): name for user in users if (name := spoken_name(user))}


def _places(members: dict[str, Member], root: str, people: dict[str, str]) -> dict[str, _Place]:
    """Channels and talks by the name of their folder."""
    places = {}
    for file in _PLACES:
        for place in _read(members[root + file]) if root + file in members else []:
            own, name = string(place.get("id")), string(place.get("name"))
            others = (people.get(one, one) for one in map(string, items(place.get("members"))))
            title = f"#{name}" if file in {"channels.json", "groups.json"} else ", ".join(others)
            if own:
                places[name or own] = _Place(own, title or name)
    return places


def _conversation(place: _Place, messages: Iterable[Record], names: dict[str, str]) -> Conversation:
    """One channel in time order; its messages are known by their timestamps."""
    found: dict[str, Record] = {}
    said = []
    reactions = 0
    for message in messages:
        ts = string(message.get("ts"))
        if ts in found and found[ts] == message:  # shown twice, as an export in parts may do
            continue
        own = f"{place.id}:{ts}" if ts and ts not in found else None
        found.setdefault(ts, message)
        said.append(_utterance(message, names, own))
        reactions += len(items(message.get("reactions")))
    ordered = _with_threads(in_time_order(said), place, found)
    remarks = (f"reactions were left out ({reactions})",) if reactions else ()
    return assemble(place.id, ordered, title=place.title, remarks=remarks)


def _with_threads(said: list[Utterance], place: _Place, found: dict[str, Record]) -> Iterator[Utterance]:
    """The same, a note above each reply that does not stand right under its thread."""
    by_id = {one.id: one for one in said}
    thread = ""
    for one in said:
        ts = (one.id or "").removeprefix(f"{place.id}:")
        before, thread = thread, string(found.get(ts, {}).get("thread_ts")) or ts
        parent = by_id.get(f"{place.id}:{thread}")
        if one.text and parent is not None and thread not in {ts, before}:
            yield one._replace(text=f"{reply_note(parent.speaker, parent.text)}\n{one.text}")
        else:
            yield one


def _utterance(message: Record, names: dict[str, str], own: str | None) -> Utterance:
    return Utterance(
        id=own,
        role=_role(message),
        speaker=_speaker(message, names),
        time=moment(message.get("ts")),
        text=says(message, names),
    )


def _role(message: Record) -> Role:
    """A program's message is a tool's; it has a profile of its own, or no user."""
    subtype = string(message.get("subtype"))
    if subtype not in _SPOKEN:
        return Role.SYSTEM
    is_program = "bot_profile" in message or (message.get("bot_id") and not message.get("user"))
    return Role.TOOL if subtype == "bot_message" or is_program else Role.USER


def _speaker(message: Record, names: dict[str, str]) -> str | None:
    """A person's name, else the name that the message itself gives, else the bare id."""
    user = string(message.get("user")) or string(record(message.get("comment")).get("user"))
    program = string(record(message.get("bot_profile")).get("name"))
    return (
        names.get(user)
        or spoken_name(record(message.get("user_profile")))
        or program
        or string(message.get("username"))
        or user
        or string(message.get("bot_id"))
        or None
    )
