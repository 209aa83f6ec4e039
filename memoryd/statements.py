"""What kind of statement a sentence is: what somebody likes, plans, promises, asks to be kept, laid down as a rule.

Korean marks these by verb endings (할게, 하지 마, 하려고), English by a few words (I'll, never, I'm going to), so some
patterns a kind read most of what people write in chats. What none of them knows is kept by its words alone.
"""

from __future__ import annotations

import re
import textwrap
from enum import StrEnum
from typing import TYPE_CHECKING

from memoryd.korean import QUESTION_END, sentences

if TYPE_CHECKING:
    from collections.abc import Iterator

SHORTEST = 8
LONGEST = 240  # characters


class Kind(StrEnum):
    """In the order in which an identity tells them."""

    KEPT = "kept"
    RULE = "rule"
    PERSON = "person"
    TASTE = "taste"
    CHANGE = "change"
    PLAN = "plan"
    PROMISE = "promise"
    REQUEST = "request"
    SAID = "said"


SELF = "(?:이름|생일|나이|직업|전공|고향|취미|별명|혈액형|키|주소|번호)"
PLANNED = "(?:거야|거예요|거임|예정|계획|생각)"
GIVE = "(?:줘|주세요|달라|줄래|주라)"
# The first that fits is a statement's kind: Korean patterns, then English ones over lower case. Alternatives in Korean
# begin with a plain syllable: then Python looks for these syllables alone, which is five times as fast.
PATTERNS = {
    Kind.RULE: (
        (
            r"하지\s*마|되지\s*마|말지\s*마|먹지\s*마|쓰지\s*마|보지\s*마|내지\s*마|건드리지\s*마|지우지\s*마|잊지\s*마|지\s*말[고자아라]"
            r"|면\s*안\s*[되돼]|항상|언제나|절대로?(?![가-힣]{2})|반드시|무조건|앞으로는|원칙|규칙"
        ),
        r"\b(?:never|always|must(?:n't)?|from now on|the rule|don't (?:ever|you)|do not|please don't)\b",
    ),
    Kind.PERSON: (
        (
            rf"내\s*{SELF}|제\s*{SELF}|나의\s*{SELF}|저의\s*{SELF}|알레르기|살아요?(?![가-힣])|에서?\s*(?:일해|일하고|다녀|다니고|살고)"
            r"|이름[은이]|동생|누나|언니|오빠|아내|남편|아들|딸|여친|남친"
        ),
        (
            r"\b(?:my (?:name|birthday|job|wife|husband|son|daughter|sister|brother|mother|father|mom|dad|partner"
            r"|boss|dog|cat|hometown|age|favou?rite)|i(?:'m| am) (?:a|an|from|allergic)|allerg(?:y|ic)"
            r"|i (?:live|work|study|grew up))\b"
        ),
    ),
    Kind.TASTE: (
        r"좋아[해하했함요한]|싫어[해하했함요한]?|사랑[해하했]|최애|취향|못\s*먹|안\s*먹|제일\s*(?:맛|좋|재밌)|질색",
        (
            r"\b(?:(?:i|we|she|he|they)\s+(?:really\s+|just\s+|absolutely\s+)?(?:loves?|likes?|hates?|prefers?|enjoys?"
            r"|adores?|can't stand)|favou?rite|fan of)\b"
        ),
    ),
    Kind.CHANGE: (
        (
            r"바뀌|바뀜|바꿨|바꾸기로|변경|옮겼|옮기기로|미뤄|미뤘|밀렸|당겨|취소|결국|이제는?\s|이젠|그만[두뒀]|처음으로|결정[했됐]|정해졌"
            r"|확정|말고\s|대신에?\s|합격|졸업|입사|퇴사|결혼|헤어졌|이사했|이사왔|태어났|돌아가셨|더\s*이상"
        ),
        (
            r"\b(?:changed|moved|switched|postponed|pushed|cancell?ed|rescheduled|no longer|not any ?more|anymore"
            r"|finally|instead|decided|for the first time|got (?:the|a|my) (?:job|offer)|quit|married|engaged|broke up"
            r"|passed away|was born|graduated|accepted|as of now|these days|now we)\b"
        ),
    ),
    Kind.PLAN: (
        (
            rf"할\s*{PLANNED}|갈\s*{PLANNED}|볼\s*{PLANNED}|살\s*{PLANNED}|쓸\s*{PLANNED}|올\s*{PLANNED}"
            rf"|낼\s*{PLANNED}|될\s*{PLANNED}|짤\s*{PLANNED}|들\s*{PLANNED}|려고(?![가-힣])|기로\s*[했함해]"
            r"|예정|계획|목표|하고\s*싶"
        ),
        (
            r"\b(?:going to|gonna|plan(?:ning)? to|i want to|i'd like to|looking forward|next (?:week|month|year)"
            r"|thinking of|scheduled)\b"
        ),
    ),
    Kind.PROMISE: (
        r"할게|갈게|볼게|줄게|둘게|올게|낼게|쓸게|챙길게|드릴게|을게|약속",
        r"\b(?:i'll|i will|we'll|i promise|promised)\b",
    ),
    Kind.REQUEST: (
        (
            rf"해\s*{GIVE}|알려\s*{GIVE}|보내\s*{GIVE}|적어\s*{GIVE}|찾아\s*{GIVE}|챙겨\s*{GIVE}|도와\s*{GIVE}|써\s*{GIVE}"
            rf"|가져\s*{GIVE}|챙기라고|부탁"
        ),
        r"\b(?:please|can you|could you|remind me|let me know)\b",
    ),
}
# Opens a turn of which everything is to be kept.
TO_BE_KEPT = re.compile(r"\s*(?:기억해(?:\s*줘|\s*둬)?|remember)\s*[:：]\s*", re.IGNORECASE)
KINDS = [(kind, re.compile(korean), re.compile(english)) for kind, (korean, english) in PATTERNS.items()]
LATIN = re.compile(r"[a-z]")
# Says that what was promised, asked or planned is over.
DONE = re.compile(
    r"끝났|끝냈|다\s*했|완료|마쳤|보냈|해결|됐어|처리(?:했|됨)|\b(?:done|finished|completed|sent it|fixed|solved)\b",
    re.IGNORECASE,
)
# Korean asks without a mark too.
ASKS = re.compile(r"(?:냐|니까|까요?|나요|가요|던가|거지|건지|[은는]지|몇이야)[\s.~ㅋㅎㅠ]*$")


def statements(text: str) -> Iterator[str]:
    """The sentences of a turn that can stand alone: no question, not too short to say anything, each on one line."""
    for sentence in sentences(text):
        line = " ".join(sentence.split())
        if SHORTEST <= len(line) <= LONGEST and not (QUESTION_END.search(line) or ASKS.search(line)):
            yield line


def kept_statements(text: str) -> Iterator[str]:
    """All of a turn that is to be kept: its sentences, whatever they are, a long one in lines of `LONGEST`."""
    for sentence in sentences(text):
        yield from textwrap.wrap(" ".join(sentence.split()), LONGEST)


def is_to_be_kept(text: str) -> bool:
    """Whether a turn asks to be kept: it opens with `기억해:` or `remember:`."""
    return TO_BE_KEPT.match(text) is not None


def kind_of(line: str) -> Kind:
    """The kind of a statement by its words alone."""
    lower = line.lower()
    latin = LATIN.search(lower)
    for kind, korean, english in KINDS:
        if korean.search(lower) or (latin and english.search(lower)):
            return kind
    return Kind.SAID
