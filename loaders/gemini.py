"""Gemini: the activity that Google Takeout gives as JSON, and prompts that Google AI Studio keeps.

    [{"header": "Gemini Apps", "title": "Prompted 몇 시야?", "time": "…Z",       My Activity.json, newest first
      "details": [{"url": "https://gemini.google.com/app/c1"}],
      "safeHtmlItem": [{"html": "<p>세 시입니다.</p>"}], "attachedFiles": ["a.png"]}, …]

    {"chunkedPrompt": {"chunks": [{"role": "user", "text": "…"},                  AI Studio, one or a list
                                  {"role": "model", "parts": [{"text": "…", "thought": true}, …]}]},
     "systemInstruction": {"parts": [{"text": "…"}]}}

Activities are put in time order. Those that name their conversation are gathered by it, the others are one
conversation of the file. Activities of other products, and a model's thoughts, are left out.

Source: Google documents how to ask for the export (https://support.google.com/accounts/answer/3024190) and not
its fields; those of an activity are what https://github.com/purarue/google_takeout_parser (models.py) reads.
"""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING

from loaders.assemble import Utterance, assemble, own_id, without_blank_edges
from loaders.base import Role, UnreadableError
from loaders.parsing import epoch_time, items, parse_json, parse_time, record, string

if TYPE_CHECKING:
    from datetime import datetime
    from typing import Final

    from loaders.base import Conversation, Source
    from loaders.parsing import Record

_OPENING: Final = re.compile(r'\s*(?:\[\s*)?\{\s*"')
_MESSAGES_KEY: Final = re.compile(r'"(mapping|chat_messages|chunkedPrompt)"\s*:')
_ACTIVITY: Final = re.compile(r'"header"\s*:\s*"[^"\\]{0,40}(?:Gemini|Bard)')
_APP: Final = re.compile(r"https://gemini\.google\.com/(?:u/\d+/)?(?:app|gem/[^/?#]+)/([0-9a-z]+)")

_PROMPTED: Final = (
    "Prompted",
    "Asked",
    "Said",
    "Branched",
    "Answered",
    "Eingegebener Prompt:",
)  # then the prompt
_DID: Final = (
    "Used ",
    "Created ",
    "Gave feedback",
    "Selected preferred draft",
    "Added ",
)  # no prompt of theirs

# Possessive (`*+`), so that a "<" without an end costs no second look.
_TAG: Final = re.compile(r"<(/?)([A-Za-z][A-Za-z0-9]*+)([^<>]*+)>|<!--[^<>]*-->")
_ALT: Final = re.compile(r'\salt="([^"]*)"')
_BLOCK: Final = re.compile(r"p|div|br|hr|pre|ul|ol|table|blockquote|section|article|h[1-6]|dl|dt|dd")
_FILES: Final = {  # a chunk's field of what is no text, and what to call it
    "inlineImage": "image",
    "inlineAudio": "audio",
    "inlineVideo": "video",
    "inlineFile": "file",
    "inlineData": "file",
    "driveImage": "image",
    "driveAudio": "audio",
    "driveVideo": "video",
    "driveDocument": "document",
    "youtubeVideo": "video",
}


class GeminiLoader:
    """A list of Gemini's activities, or AI Studio's prompts with their `chunkedPrompt`."""

    format: Final = "gemini"

    def sniff(self, source: Source) -> bool:
        """Whether the text opens as a JSON object or a list of them and holds an activity or a prompt."""
        text = source.text or ""
        if _OPENING.match(text) is None:
            return False
        key = _MESSAGES_KEY.search(text)
        if key is not None:
            return key[1] == "chunkedPrompt"
        return text.lstrip().startswith("[") and _ACTIVITY.search(text) is not None

    def load(self, source: Source) -> list[Conversation]:
        """Every conversation.

        Raises:
            UnreadableError: broken JSON, or nothing of Gemini's in it.
        """
        value = parse_json(source.text or "")
        entries = [record(entry) for entry in (value if isinstance(value, list) else [value])]
        if any(isinstance(entry.get("chunkedPrompt"), dict) for entry in entries):
            name = own_id(source)
            names = [name if len(entries) == 1 else f"{name}#{n + 1}" for n in range(len(entries))]
            return [_studio(entry, name) for entry, name in zip(entries, names, strict=True)]
        activities = [entry for entry in entries if _is_gemini(entry)]
        if not activities:
            raise UnreadableError(
                'no entry is an activity of Gemini or has a "chunkedPrompt"; ask Google Takeout for '
                '"My Activity" of Gemini Apps as JSON',
            )
        return _activities(activities, own_id(source), others=len(entries) - len(activities))


def _is_gemini(entry: Record) -> bool:
    names = [entry.get("header"), *items(entry.get("products"))]
    return any("Gemini" in string(name) or "Bard" in string(name) for name in names)


def _activities(entries: list[Record], name: str, *, others: int) -> list[Conversation]:
    """The activities by conversation, oldest first."""
    times = [_time(entry.get("time")) for entry in entries]
    known = [time for time in times if time is not None]
    if known and known[0] > known[-1]:
        entries, times = entries[::-1], times[::-1]
    # One without a time stays beside the one before it; sorting keeps the order of equals.
    placed: list[tuple[float, int]] = []
    last = float("-inf")
    for place, time in enumerate(times):
        last = last if time is None else time.timestamp()
        placed.append((last, place))
    talks: dict[str, list[Utterance]] = {}
    for _, place in sorted(placed):
        talks.setdefault(_app(entries[place]) or name, []).extend(_activity(entries[place], times[place]))
    remark = _remark(others, "1 activity of another product", "{} activities of other products")
    return [
        assemble(key, said, remarks=remark if number == 0 else ())
        for number, (key, said) in enumerate(talks.items())
    ]


def _app(entry: Record) -> str:
    """The id of the conversation that an activity names; of several branches the first."""
    links = [entry.get("titleUrl"), *(record(one).get("url") for one in items(entry.get("details")))]
    return next((match[1] for link in links if (match := _APP.match(string(link)))), "")


def _activity(entry: Record, time: datetime | None) -> list[Utterance]:
    """The prompt and every answer to it; what was done and not said is a system notice."""
    title = string(entry.get("title"))
    answers = [text_of_html(string(record(one).get("html"))) for one in items(entry.get("safeHtmlItem"))]
    prefix = next((one for one in _PROMPTED if title == one or title.startswith(f"{one} ")), "")
    done = title.startswith(_DID) or not (prefix or any(answers))
    asked = "\n".join(filter(None, [title[len(prefix) :].strip(), *_attached(entry)]))
    return [
        Utterance(role=Role.SYSTEM if done else Role.USER, text=asked, time=time),
        *(Utterance(role=Role.ASSISTANT, text=answer, time=time) for answer in answers),
    ]


def _attached(entry: Record) -> list[str]:
    """Notes of pictures and files that came with a prompt or an answer."""
    image = entry.get("imageFile")
    images = [name for one in [image, *items(image)] if (name := string(one))]
    files = [name for one in items(entry.get("attachedFiles")) if (name := string(one)) not in {"", *images}]
    return [f"[image: {name}]" for name in images] + [f"[file: {name}]" for name in files]


def _time(value: object) -> datetime | None:
    try:
        return parse_time(string(value))
    except UnreadableError:
        return None


def _studio(entry: Record, name: str) -> Conversation:
    """AI Studio's conversation; chunks without a time of their own take its time."""
    began = epoch_time(entry.get("create_time"))
    instruction = record(entry.get("systemInstruction"))
    parts = [string(record(part).get("text")) for part in items(instruction.get("parts"))]
    words = string(instruction.get("text")) or "".join(parts)
    said = [Utterance(role=Role.SYSTEM, text=words, time=began)]
    thoughts = 0
    for chunk in map(record, items(record(entry.get("chunkedPrompt")).get("chunks"))):
        if chunk.get("isThought") is True:
            thoughts += 1
        else:
            thoughts += sum(map(_is_thought, items(chunk.get("parts"))))
            said.append(_chunk(chunk, began))
    return assemble(
        string(entry.get("id")) or name,
        said,
        title=string(entry.get("title")),
        remarks=_remark(thoughts, "1 thought of the model", "{} thoughts of the model"),
    )


def _remark(count: int, one: str, many: str) -> tuple[str, ...]:
    if not count:
        return ()
    return (f"{one} was left out",) if count == 1 else (f"{many.format(count)} were left out",)


def _chunk(chunk: Record, began: datetime | None) -> Utterance:
    """One chunk: its parts, else its text; code and its output; a note for each file."""
    parts = [record(part) for part in items(chunk.get("parts")) if not _is_thought(part)]
    lines = ["".join(string(part.get("text")) for part in parts)]
    if not lines[0].strip():
        lines = [string(chunk.get("text"))]
    outputs = []
    for holder in (chunk, *parts):
        lines.append(string(record(holder.get("executableCode")).get("code")))
        outputs.append(string(record(holder.get("codeExecutionResult")).get("output")))
        held = ((kind, record(holder[field])) for field, kind in _FILES.items() if holder.get(field))
        lines += [
            f"[{kind}: {name}]" if (name := string(file.get("name"))) else f"[{kind}]" for kind, file in held
        ]
    lines.append(string(chunk.get("errorMessage")))
    role = {"user": Role.USER, "system": Role.SYSTEM}.get(string(chunk.get("role")), Role.ASSISTANT)
    if any(outputs) and not any(lines):
        role = Role.TOOL
    return Utterance(
        role=role,
        text="\n".join(filter(None, lines + outputs)),
        time=_time(chunk.get("createTime")) or began,
    )


def _is_thought(part: object) -> bool:
    return record(part).get("thought") is True


def text_of_html(source: str) -> str:
    """The words of an answer's HTML: a line for each block, a dash before list items, bars between cells."""
    pieces: list[str] = []
    end = 0
    for match in _TAG.finditer(source):
        pieces.append(_unescape(source[end : match.start()]))
        pieces.append(_tag_text(match))
        end = match.end()
    pieces.append(_unescape(source[end:]))
    lines = [line.rstrip() for line in "".join(pieces).split("\n")]
    kept = [line for line, before in zip(lines, ["", *lines], strict=False) if line or before]
    return without_blank_edges(kept)


def _tag_text(match: re.Match[str]) -> str:
    closing, tag, attributes = match[1], (match[2] or "").lower(), match[3] or ""
    if tag == "img":
        alt = _ALT.search(attributes)
        return f"[image: {_unescape(alt[1])}]" if alt and alt[1] else "[image]"
    if tag in {"td", "th"}:
        return "" if not closing else " | "
    if tag in {"li", "tr"}:
        return "" if closing else ("\n- " if tag == "li" else "\n")
    return "\n" if _BLOCK.fullmatch(tag) else ""


def _unescape(text: str) -> str:
    try:
        return html.unescape(text)
    except ValueError:  # a character reference of thousands of digits
        return text
