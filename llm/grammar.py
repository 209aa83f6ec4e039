"""What a request says its answer must look like, as a grammar that llama.cpp can take without harm.

grammar (GBNF) ───────────────────────────┐
json_schema ──its numbers small?──▶ GBNF ─┴─▶ short, shallow, few ways to go on? ─▶ Sampler (llm.sampler)

llama.cpp parses by recursion: 30,000 brackets end the process. It follows every way to go on at once: 512
parts that may be left out stop the engine for minutes, be they spelt out, repeated or reached by rules.
(llama-cpp-python 0.3.36.)
"""

from __future__ import annotations

import json
import re
from typing import Any

from llama_cpp.llama_grammar import json_schema_to_gbnf

from llm.base import BadGrammarError
from llm.grammar_size import optional_in_a_row

LONGEST = 64 * 1024
DEEPEST = 1000
MOST_OPTIONAL = 200
MOST_IN_A_ROW = 200
LARGEST_COUNT = 1000

_SPELT_OUT = re.compile(r'"(?:\\.|[^"\\])*"|\[(?:\\.|[^\]\\])*\]|<[^>]*>|#[^\r\n]*', re.DOTALL)
_COUNTS = ("minLength", "maxLength", "minItems", "maxItems")
_LARGE_REPETITION = re.compile(r"\{[^}]*\d{4}")


def grammar_of(grammar: str, json_schema: str) -> str:
    """The GBNF that a request asks for; "" for none.

    Raises:
        BadGrammarError: both are given, one is too large for llama.cpp, or the schema is none.
    """
    if grammar and json_schema:
        raise BadGrammarError("A request can have a grammar or a JSON schema, not both. Leave one out.")
    if json_schema:
        _check_length(json_schema)
        grammar = _from_schema(json_schema)
    elif _optional_parts(grammar) > MOST_OPTIONAL:
        raise BadGrammarError(
            f"The grammar has more than {MOST_OPTIONAL} of ? * + and {{…}}. Ask for a simpler form."
        )
    _check_length(grammar)
    if _depth(grammar) > DEEPEST:
        raise BadGrammarError(f"The grammar has more than {DEEPEST} brackets in each other. Nest it less.")
    if _in_a_row(grammar) > MOST_IN_A_ROW:
        raise BadGrammarError(
            f"The grammar lets more than {MOST_IN_A_ROW} parts in a row be left out. Ask for a simpler form."
        )
    if "\0" in grammar:  # it would end the text for llama.cpp
        raise BadGrammarError("The grammar has a NUL character in it. Take it out.")
    return grammar


def _check_length(text: str) -> None:
    if len(text) > LONGEST:
        raise BadGrammarError(f"The grammar is longer than {LONGEST} characters. Ask for a simpler form.")


def _from_schema(json_schema: str) -> str:
    try:
        _check_counts(json.loads(json_schema))
        return str(json_schema_to_gbnf(json_schema))
    except (
        ArithmeticError,
        AssertionError,
        AttributeError,
        LookupError,
        RecursionError,
        TypeError,
        ValueError,
        re.error,
    ) as error:  # the converter raises what it happens to meet
        raise BadGrammarError(f"The JSON schema can't be made into a grammar: {error!r}.") from error


def _check_counts(schema: Any) -> None:
    """A repetition is written out in full: a billion would fill the memory."""
    if isinstance(schema, list):
        for each in schema:
            _check_counts(each)
    elif isinstance(schema, dict):
        for key, value in schema.items():
            large = key in _COUNTS and isinstance(value, int) and value > LARGEST_COUNT
            if large or (key == "pattern" and isinstance(value, str) and _LARGE_REPETITION.search(value)):
                raise BadGrammarError(
                    f"The JSON schema asks for more than {LARGEST_COUNT} repetitions in {key}. Ask for fewer."
                )
            _check_counts(value)


def _in_a_row(grammar: str) -> int:
    try:
        return optional_in_a_row(grammar)
    except RecursionError as error:
        raise BadGrammarError("The grammar has too many rules in each other. Nest it less.") from error


def _optional_parts(grammar: str) -> int:
    return len(re.findall(r"[?*+{]", _SPELT_OUT.sub("", grammar)))


def _depth(grammar: str) -> int:
    deepest = depth = 0
    for bracket in re.findall(r"[()]", _SPELT_OUT.sub("", grammar)):
        depth += 1 if bracket == "(" else -1
        deepest = max(deepest, depth)
    return deepest
