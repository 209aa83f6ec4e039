"""Conversations pasted as text: lines that name the speaker, and what was said under or beside them.

    나의 말:              You said:               지훈: 내일 몇 시에 볼까?
    기억나지?             Do you remember?        수민: 여섯 시.
    ChatGPT의 말:         ChatGPT said:           지훈: 좋아.
    기억하고 있어.        I do.                   수민: 그럼 역에서.

The first two are what a chat page gives when it is selected and copied. The third is believed only where
names repeat like people who talk, because notes ("장소: 역 앞") and logs ("ERROR: …") look much the same.
"""

from __future__ import annotations

import re
from collections import Counter
from itertools import chain, pairwise
from typing import TYPE_CHECKING, NamedTuple
from weakref import WeakKeyDictionary

from loaders.assemble import Utterance, assemble, own_id, without_blank_edges
from loaders.base import Role
from loaders.notes import SPEAKER as NOTE

if TYPE_CHECKING:
    from typing import Final

    from loaders.base import Conversation, Source

_NAME: Final = r"[^\W\d_][\w -]{0,19}?"
_ALONE: Final = re.compile(rf"(?:#{{1,6}} )?(?:\*\*)?({_NAME})(?:의 말| said) ?[:：](?:\*\*)?")
_BESIDE: Final = re.compile(rf"({_NAME})(?:의 말| said)? ?[:：](?:[ \t]+(.*))?$")
_LONGEST_ALONE: Final = 60  # characters; spares long lines the pattern

_USERS: Final = frozenset({"나", "you", "me", "user", "human", "사용자"})
_ASSISTANT: Final = re.compile(
    r"(?:chatgpt|gpt|claude|gemini|copilot|deepseek|mixtral|llama|에코|echo|assistant|어시스턴트|ai)"
    r"(?:[ -]?\d.*)?",  # "GPT-4o", "Claude 3"
    re.IGNORECASE,
)
# The chat page's own labels. Where both sides occur, no other line is a label: an answer may well quote
# "오리진의 말:", and its words must not become a person's.
_PAGE_USERS: Final = frozenset({"나", "You"})
_PAGE_ASSISTANT: Final = "ChatGPT"

# What stands before a colon in notes, forms, mails and logs, and is nobody's name.
_FIELD_WORDS: Final = """
    이름 성명 나이 생일 날짜 일시 시간 시각 장소 위치 주소 전화 연락처 제목 주제 항목 값 내용 설명 비고 메모
    참고 가격 금액 수량 합계 결과 원인 해결 문제 이유 목표 계획 준비물 할일 상태 담당 담당자 질문 답변 문 답
    완료 진행 예정 아침 점심 저녁 오전 오후 어제 오늘 내일
    장점 단점 출처 링크 예 예시 요약 결론 기간 단계 버전 파일 파일명 입력 출력 주의 경고 오류
    name age birthday date time place location address phone email mail title subject topic item key value
    content description note notes memo price amount quantity total result cause fix problem reason goal plan
    todo status owner question answer q a pros cons source link url example summary conclusion version file
    input output from to cc bcc author commit merge info debug warn warning error critical fatal trace usage
    returns raises args id type kind metadata spec apiversion host port user-agent accept
"""
_FIELDS: Final = frozenset(_FIELD_WORDS.split())


class _Label(NamedTuple):
    """A line that names a speaker; `beside` is what the same line says after the colon."""

    line: int
    name: str
    beside: str


class TranscriptLoader:
    """Text in which labelled speakers take turns."""

    format: Final = "transcript"

    def sniff(self, source: Source) -> bool:
        """Whether lines of the text are speakers' labels."""
        return bool(_labels_of(source))

    def load(self, source: Source) -> list[Conversation]:
        """One conversation, every line of the file in one of its turns."""
        lines = (source.text or "").split("\n")
        labels = _labels_of(source)
        ends = [label.line for label in labels[1:]] + [len(lines)]
        roles = {name: _role(name) for name in {label.name for label in labels}}
        said = (
            Utterance(
                role=roles[label.name],
                speaker=label.name,
                text=without_blank_edges([label.beside, *lines[label.line + 1 : end]]),
            )
            for label, end in zip(labels, ends, strict=True)
        )
        return [assemble(own_id(source), chain([_before(lines, labels)], said))]


# What sniffing has worked out, for loading the same source right after; it goes with the source.
_WORKED_OUT: Final[WeakKeyDictionary[Source, list[_Label]]] = WeakKeyDictionary()


def _labels_of(source: Source) -> list[_Label]:
    if source not in _WORKED_OUT:
        _WORKED_OUT[source] = _labels((source.text or "").split("\n"))
    return _WORKED_OUT[source]


def _labels(lines: list[str]) -> list[_Label]:
    """The speakers' labels in order, or none where the text is no conversation."""
    colons = [(number, line) for number, line in enumerate(lines) if ":" in line or "：" in line]
    alone = [
        _Label(number, match[1].strip(), "")
        for number, line in colons
        if len(line) <= _LONGEST_ALONE
        and ("의 말" in line or " said" in line)  # spares most lines the pattern
        and (match := _ALONE.fullmatch(line.strip()))
    ]
    if page := _page_labels(alone):
        return page
    beside = [
        _Label(number, match[1].strip(), match[2] or "")
        for number, line in colons
        if (match := _BESIDE.match(line))
    ]
    if not beside:
        return []
    return _chat_labels(beside, sum(1 for line in lines if line and not line.isspace())) or _known_pair(
        beside
    )


def _page_labels(alone: list[_Label]) -> list[_Label]:
    """Labels on lines of their own, as copied from a chat page."""
    names = {label.name for label in alone}
    if _PAGE_ASSISTANT in names and names & _PAGE_USERS:
        return [label for label in alone if label.name in {_PAGE_ASSISTANT, *_PAGE_USERS}]
    if names & {_PAGE_ASSISTANT, "나"} or (len(names) > 1 and any(map(_is_known, names))):
        return alone
    return []


def _chat_labels(labels: list[_Label], spoken_lines: int) -> list[_Label]:
    """`name: text` lines, where at least two names come back and most lines have one.

    A name that occurs once counts only where every line has a label, as in a chat of one-line messages.
    """
    counts = Counter(label.name for label in labels)
    names = {name for name, count in counts.items() if count > 1}
    every_line = len(labels) == spoken_lines
    kept = [label for label in labels if label.name in names or (every_line and not _is_field(label.name))]
    switches = sum(one.name != other.name for one, other in pairwise(kept))
    believable = (
        len(names) > 1
        and switches > 1
        and not any(map(_is_field, names))
        and len(kept) * 2 >= spoken_lines
        and sum(1 for label in kept if label.beside) * 2 >= len(kept)
        and not _is_table([label.name for label in kept])
    )
    return kept if believable else []


def _known_pair(labels: list[_Label]) -> list[_Label]:
    """`User: …` and `Assistant: …`, whose answers may run over many lines: only names known as such count."""
    names = {name for name in {label.name for label in labels} if _is_known(name)}
    if set(map(_role, names)) != {Role.USER, Role.ASSISTANT}:
        return []
    return [label for label in labels if label.name in names]


def _is_table(names: list[str]) -> bool:
    """Whether three or more names come round and round in the same order, as fields do and people don't."""
    round_of = len(set(names))
    return round_of > 2 and all(name == names[index % round_of] for index, name in enumerate(names))


def _before(lines: list[str], labels: list[_Label]) -> Utterance:
    """What stands above the first label.

    On a copied page that is the end of what the other side said; in a chat it is a heading, thus a note.
    """
    first = labels[0]
    text = without_blank_edges(lines[: first.line])
    if not _ALONE.fullmatch(lines[first.line].strip()):
        return Utterance(role=Role.USER, speaker=NOTE, text=text)
    other = Role.ASSISTANT if _role(first.name) is Role.USER else Role.USER
    fallback = _PAGE_ASSISTANT if other is Role.ASSISTANT else NOTE
    speaker = next((label.name for label in labels if _role(label.name) is other), fallback)
    return Utterance(role=other, speaker=speaker, text=text)


def _is_field(name: str) -> bool:
    return name.casefold().replace(" ", "") in _FIELDS


def _is_known(name: str) -> bool:
    return name.casefold() in _USERS or _role(name) is Role.ASSISTANT


def _role(name: str) -> Role:
    return Role.ASSISTANT if _ASSISTANT.fullmatch(name) else Role.USER
