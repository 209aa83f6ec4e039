"""How many parts in a row a grammar lets an answer leave out, which is what llama.cpp's time and memory grow with.

It follows every way to go on at once: of n such parts in a row each may come next, and the work grows as n³.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

OPEN, CLOSE, OR, EMPTY = "(", ")", "|", '""'
_TOKEN = re.compile(
    r'"(?:\\.|[^"\\])*"|\[(?:\\.|[^\]\\])*\]|<[^>]*>|#[^\r\n]*|[A-Za-z0-9-]+\s*::=|[A-Za-z0-9-]+|\{[^}]*\}|[()|?*+.]',
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class _Part:
    """Whether it may be left out, and how many such parts begin it; `most` of them in a row stand anywhere in it."""

    optional: bool
    leading: int
    most: int


_NOTHING = _Part(optional=True, leading=0, most=0)
_SOMETHING = _Part(optional=False, leading=0, most=0)


def optional_in_a_row(grammar: str) -> int:
    """The longest run of parts that may be left out, rules and repetitions spelt out; at least about that."""
    rules: dict[str, list[str]] = {}
    body: list[str] = []
    for token in _TOKEN.findall(grammar):
        if token.endswith("::="):
            body = rules.setdefault(token[:-3].strip(), [])
        elif not token.startswith("#"):
            body.append(token)
    reader = _Reader(rules)
    return max((reader.rule(name).most for name in rules), default=0)


class _Reader:
    """Counts rule by rule; one that comes back to itself counts nothing there."""

    def __init__(self, rules: dict[str, list[str]]) -> None:
        self._rules = rules
        self._known: dict[str, _Part] = {}

    def rule(self, name: str) -> _Part:
        if name not in self._known:
            self._known[name] = _SOMETHING
            self._known[name] = self._alternatives(self._rules.get(name, []))
        return self._known[name]

    def _alternatives(self, tokens: list[str]) -> _Part:
        """A rule's body; brackets on a stack, since a thousand of them may stand in each other."""
        outer: list[_Open] = []
        inner = _Open()
        for token in tokens:
            if token == OPEN:
                outer.append(inner)
                inner = _Open()
            elif token == CLOSE:
                group = inner.closed()
                inner = outer.pop() if outer else _Open()
                inner.parts.append(group)
            elif token == OR:
                inner.next_way()
            elif token[0] in "?*+{":
                if inner.parts:
                    inner.parts.append(_repeated(inner.parts.pop(), token))
            elif token[0] in '"[<.':
                inner.parts.append(_NOTHING if token == EMPTY else _SOMETHING)
            else:
                inner.parts.append(self.rule(token))
        return inner.closed()


@dataclass(slots=True)
class _Open:
    """Alternatives while they are read."""

    ways: list[_Part] = field(default_factory=list)
    parts: list[_Part] = field(default_factory=list)

    def next_way(self) -> None:
        self.ways.append(_in_a_row(self.parts))
        self.parts = []

    def closed(self) -> _Part:
        self.next_way()
        return _Part(
            optional=any(way.optional for way in self.ways),
            leading=max(way.leading for way in self.ways),
            most=max(way.most for way in self.ways),
        )


def _in_a_row(parts: list[_Part]) -> _Part:
    """One after the other."""
    optional, run, most = True, 0, 0
    for part in reversed(parts):
        # What may be left out counts itself, and what comes after it may come next too.
        run = part.leading + (run + 1 if part.optional else 0)
        most = max(most, run, part.most)
        optional = optional and part.optional
    return _Part(optional=optional, leading=run, most=most)


def _repeated(part: _Part, sign: str) -> _Part:
    if sign in {"?", "*"}:
        return _Part(optional=True, leading=part.leading, most=part.most)
    numbers = [int(number) for number in re.findall(r"\d+", sign)] or [1]
    leading = max(1, *numbers) * (part.leading + 1) if part.optional else part.leading
    optional = part.optional or (sign != "+" and numbers[0] == 0)
    return _Part(optional=optional, leading=leading, most=max(part.most, leading))
