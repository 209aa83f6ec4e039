"""Which hosts are this machine itself."""

from __future__ import annotations

import pytest

from memoryd.loopback import is_loopback


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.0.1", "::1", "localhost"])
def test_this_machine(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["10.0.0.1", "chroma", "localhost.example", ""])
def test_another_one(host: str) -> None:
    assert not is_loopback(host)
