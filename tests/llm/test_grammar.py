from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llm import BadGrammarError, Sampling
from llm.grammar import DEEPEST, LARGEST_COUNT, LONGEST, MOST_OPTIONAL, grammar_of
from llm.sampler import Sampler

if TYPE_CHECKING:
    from llm.weights import Weights

SOME = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
NESTED = '{"items":' * 5000 + "1" + "}" * 5000
DOUBLING = "root ::= a0\n" + "".join(f"a{n} ::= a{n + 1} a{n + 1}\n" for n in range(14)) + 'a14 ::= "x" | ""'
KEYS = [
    *(
        "type",
        "properties",
        "items",
        "required",
        "enum",
        "const",
        "pattern",
        "maxLength",
        "minItems",
        "anyOf",
    ),
    *("oneOf", "allOf", "$ref", "additionalProperties", "format", "prefixItems", "minimum", "maximum"),
]
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 2000)
    | st.floats()
    | st.sampled_from(
        ["object", "array", "string", "integer", "^a{1,3}$", "^([a-z]|\\d)+$", "^[", "^(?:a)$", "#/x"]
    ),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*KEYS, "a"]), inner, max_size=4)
    ),
    max_leaves=12,
)


def test_without_one_there_is_none() -> None:
    assert not grammar_of("", "")


def test_a_grammar_is_taken_as_it_is() -> None:
    assert grammar_of('root ::= "네" | "아니요"', "") == 'root ::= "네" | "아니요"'


def test_a_schema_becomes_a_grammar() -> None:
    assert "root ::=" in grammar_of("", '{"type": "integer"}')


@pytest.mark.parametrize(
    ("grammar", "schema", "reason"),
    [
        ('root ::= "a"', "{}", "a grammar or a JSON schema, not both"),
        ("#" * (LONGEST + 1), "", f"longer than {LONGEST}"),
        ("", " " * (LONGEST + 1), f"longer than {LONGEST}"),
        ('root ::= "a\0"', "", "a NUL character"),
        ("root ::= " + "(" * 30_000, "", f"more than {DEEPEST} brackets"),
        ('root ::= "(" ' + "(" * 1001 + '"a"' + ")" * 1001, "", f"more than {DEEPEST} brackets"),
        ('root ::= <"> ' + "(" * 1001 + '<">', "", f"more than {DEEPEST} brackets"),
        ("root ::= #\n" + "(" * 1001, "", f"more than {DEEPEST} brackets"),
        ("root ::= " + '"a"? ' * 512, "", f"more than {MOST_OPTIONAL} of"),
        ("root ::= " + '"a"{0,3} ' * 512, "", f"more than {MOST_OPTIONAL} of"),
        ('root ::= ("a"?){300} "b"', "", "parts in a row"),
        ("root ::= " + "a " * 300 + '"b"\na ::= "x" | ""', "", "parts in a row"),
        (DOUBLING, "", "parts in a row"),
        ("", '{"type": "string", "pattern": "^(a?){999}$"}', "parts in a row"),
        ("", "{", "can't be made into a grammar: JSONDecodeError"),
        ("", '{"type": "nothing"}', "can't be made into a grammar"),
        ("", '{"type": "string", "pattern": "a"}', "can't be made into a grammar"),
        ("", '{"$ref": "https://example.com/schema.json"}', "can't be made into a grammar: AssertionError"),
        ("", '{"$ref": "#/nowhere"}', "can't be made into a grammar"),
        ("", NESTED, "can't be made into a grammar: RecursionError"),
        ("", '{"type": "string", "maxLength": 1000000000}', f"{LARGEST_COUNT} repetitions in maxLength"),
        ("", '{"type": "array", "minItems": 1001}', "repetitions in minItems"),
        ("", '{"anyOf": [{"pattern": "^a{2,1000000}$"}]}', "repetitions in pattern"),
    ],
)
def test_what_llama_cpp_could_not_stand_is_refused(grammar: str, schema: str, reason: str) -> None:
    with pytest.raises(BadGrammarError, match=reason):
        grammar_of(grammar, schema)


@pytest.mark.parametrize(
    "grammar",
    [
        'root ::= "' + "(?*" * 2000 + '"',
        "root ::= [" + "(?*" * 2000 + "]",
        'root ::= "a" # ' + "(?*" * 2000,
        "root ::= " + "(" * DEEPEST + '"a"' + ")" * DEEPEST,
        'root ::= "\\"' + "(" * 2000 + '"',
    ],
)
def test_brackets_that_are_spelt_out_do_not_count(tiny: Weights, grammar: str) -> None:
    Sampler(tiny, Sampling(), grammar_of(grammar, ""))


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "maxLength": LARGEST_COUNT},
        {"type": "string", "pattern": "^2026-[0-9]{2}$"},
        {"type": "object", "properties": {"pattern": {"type": "string"}, "minItems": {"const": 5000}}},
        {"type": "object", "properties": {f"p{number}": {"type": "integer"} for number in range(100)}},
        {"enum": ["네", "아니요"] * 500},
    ],
)
def test_a_large_schema_that_can_be_followed_is_taken(tiny: Weights, schema: object) -> None:
    Sampler(tiny, Sampling(), grammar_of("", json.dumps(schema)))


@SOME
@given(schema=st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=4))
def test_any_schema_is_a_grammar_or_refused(tiny: Weights, schema: object) -> None:
    try:
        Sampler(tiny, Sampling(), grammar_of("", json.dumps(schema)))
    except BadGrammarError as error:
        assert str(error)  # noqa: PT017  (most are refused, some can be used)


@SOME
@given(noise=st.text('root:= "abc[]()|?*+{}1,9<>!#\\xu\n-^.', max_size=60))
def test_any_text_is_a_grammar_or_refused(tiny: Weights, noise: str) -> None:
    try:
        Sampler(tiny, Sampling(), grammar_of("root ::= " + noise, ""))
    except BadGrammarError as error:
        assert str(error)  # noqa: PT017  (most are refused, some can be used)
