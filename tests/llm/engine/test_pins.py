"""An identity's tokens."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from llm.engine.pins import shared
from tests.llm.engine.fake_context import make_pin

TOKENS = st.lists(st.integers(0, 2), max_size=12)


@given(TOKENS, TOKENS)
def test_shared_counts_the_common_beginning(one: list[int], other: list[int]) -> None:
    length = shared(np.array(one, np.int32), np.array(other, np.int32))
    assert one[:length] == other[:length]
    assert length == min(len(one), len(other)) or one[length] != other[length]


def test_an_identity_begins_a_prompt_that_goes_on_after_all_of_it() -> None:
    pin = make_pin([1, 2, 3])
    assert pin.begins(np.array([1, 2, 3, 4], np.int32))
    assert not pin.begins(np.array([1, 2, 3], np.int32))
    assert not pin.begins(np.array([1, 2], np.int32))
    assert not pin.begins(np.array([1, 2, 4, 4], np.int32))


def test_an_identity_is_ready_when_all_of_it_is_in_the_cache() -> None:
    pin = make_pin([1, 2, 3])
    assert not pin.ready
    pin.computed = 3
    assert pin.ready
