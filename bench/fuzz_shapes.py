"""Files that hypothesis builds: the formats' own keys with values of wrong kinds, and chats with odd parts.

JSON starts from a good file, into which drawn values are grafted; chats are lines of a stamp, a name and words, in
which a mark must be found again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import strategies as st

from bench.fuzz_mutations import NAMES, Case, deep, json_values, places, written

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

    from bench.fuzz_mutations import Seed

_LARGEST: Final = 2**16  # bytes of a file that is grafted
_STAMPS: Final = (  # {d} a date, {c} a clock, {n} a name, {t} the words
    "{d} {c}, {n} : {t}",
    "{c}, {n} : {t}",
    "{d} {c}: {t}",
    "[{n}] [{c}] {t}",
    "[{d}, {c}] {n}: {t}",
    "[{d} {c}] {n}: {t}",
    "[{c}, {d}] {n}: {t}",
    "{d}, {c} - {n}: {t}",
    "{d} {c} - {n}: {t}",
    "{n}: {t}",
    "{n} said:\n{t}",
    "{n}의 말:\n{t}",
    "{d} {c}:00,{n},{t}",
    '{d} {c}:00,"{n}","{t}"',
    "From: {n}\nType: incoming\nSent: {d} {c} +0900\n\n{t}\n",
    "## {d}\n{t}",
    "{t}",
)
_HEADERS: Final = (
    "",
    "은비 님과 카카오톡 대화\n저장한 날짜 : 2026년 3월 16일 오전 8:00\n\n",
    "KakaoTalk Chats with Eunbi\nDate Saved : 2026-03-16 08:00\n\n",
    "Date,User,Message\n",
    "Conversation: 은비\n\n",
    "---\ndate: 2026-03-15\n---\n",
)
_DATES: Final = (
    "{y}년 {m}월 {d}일",
    "{y}. {m}. {d}.",
    "{m}/{d}/{y}",
    "{d}.{m}.{y}",
    "{y}-{m:02}-{d:02}",
    "March {d}, {y}",
    "Sun, {d} Mar {y}",
    "--------------- {y}년 {m}월 {d}일 일요일 ---------------",
)
_NUMBERS: Final = st.one_of(st.integers(1, 12), st.sampled_from((0, 13, 31, 99, 1000, 9999, 99999)))
_YEARS: Final = st.sampled_from((2026, 26, 1, 0, 1969, 9999, 10000))
_NAME: Final = st.one_of(
    st.sampled_from(("은비", "도윤", "Me", "", " ", "a: b", "INFO", "ChatGPT", "You", "나", "이름", "손님")),
    st.text(max_size=12),
    st.just("긴" * 130),
)
_WORDS: Final = st.one_of(
    st.sampled_from(("", " ", "안녕", "hello: there", "님이 나갔습니다.", '"', "사진", "left", "(- x -)")),
    st.text(max_size=30),
)
_LEAVES: Final = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from((10**25, -(10**4299), 1e308, "9999-12-31T23:59:59-23:59", "1773576240.000100")),
)


@st.composite
def clocks(draw: st.DrawFn) -> str:
    """A time of day in some manner, often none that exists."""
    hour, minute = draw(st.integers(0, 25)), draw(st.integers(0, 61))
    manner = draw(
        st.sampled_from(("{h}:{m:02}", "오후 {h}:{m:02}", "{h}:{m:02} PM", "{h:02}:{m:02}:07", "{h}.{m:02}"))
    )
    return manner.format(h=hour, m=minute)


@st.composite
def chats(draw: st.DrawFn) -> Case:
    """Lines of one or two stamps, the words of each with a mark of its own."""
    stamps = draw(st.lists(st.sampled_from(_STAMPS), min_size=1, max_size=2))
    manner = draw(st.sampled_from(_DATES))
    lines, marks = [], []
    for number in range(draw(st.integers(1, 8))):
        date = manner.format(y=draw(_YEARS), m=draw(_NUMBERS), d=draw(_NUMBERS))
        mark = f"표{number}식"
        words = f"{draw(_WORDS)} {mark} {draw(_WORDS)}"
        marks.append(mark)
        lines.append(draw(st.sampled_from(stamps)).format(d=date, c=draw(clocks()), n=draw(_NAME), t=words))
    text = draw(st.sampled_from(_HEADERS)) + draw(st.sampled_from(("\n", "\n", "\r\n", "\n\n"))).join(lines)
    encoding = draw(st.sampled_from(("utf-8", "utf-8", "utf-8-sig", "utf-16")))
    return Case(draw(st.sampled_from(NAMES)), text.encode(encoding, errors="replace"), tuple(marks))


def trees(seeds: Sequence[Seed]) -> st.SearchStrategy[Case]:
    """Good JSON with drawn values in the place of some of its own."""
    small = [seed for seed in seeds if len(seed.data) <= _LARGEST and json_values(seed.data)]
    found = (place.key for seed in small for place in places(json_values(seed.data)))
    return _grafted(small, _junk(sorted({key for key in found if isinstance(key, str)})))


@st.composite
def _grafted(draw: st.DrawFn, seeds: Sequence[Seed], junk: st.SearchStrategy[object]) -> Case:
    seed = draw(st.sampled_from(seeds))
    tree = json_values(seed.data)
    for _ in range(draw(st.integers(1, 5))):
        place = draw(st.sampled_from(list(places(tree))))
        place.put(draw(junk))
    return Case(draw(st.sampled_from((seed.name, *NAMES))), written(tree, ascii_only=draw(st.booleans())))


def _junk(keys: Sequence[str]) -> st.SearchStrategy[object]:
    """A value of any kind, in which lists and objects with the formats' keys stand in one another."""
    return st.one_of(
        _LEAVES,
        st.builds(lambda depth: deep(depth, as_lists=True), st.integers(1, 990)),
        st.builds(lambda depth: deep(depth, as_lists=False), st.integers(1, 990)),
        st.recursive(
            _LEAVES,
            lambda inner: (
                st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(keys), inner, max_size=4)
            ),
            max_leaves=12,
        ),
    )
