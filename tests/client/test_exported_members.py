from __future__ import annotations

import subprocess
import sys

import pytest

import memoryd_client
from memoryd_client import Client


def test_all_is_sorted_and_every_name_in_it_is_there() -> None:
    assert memoryd_client.__all__ == sorted(memoryd_client.__all__)
    assert all(hasattr(memoryd_client, name) for name in memoryd_client.__all__)


def test_every_public_name_is_in_all() -> None:
    public = {
        name
        for name, value in vars(memoryd_client).items()
        if not name.startswith("_") and getattr(value, "__module__", "").startswith("memoryd_client.")
    }

    assert public <= set(memoryd_client.__all__)


def test_a_name_that_is_not_there_says_so() -> None:
    with pytest.raises(AttributeError, match="Clint"):
        _ = memoryd_client.Clint  # type: ignore[attr-defined]


def test_every_method_of_the_client_is_one_of_the_asynchronous_client_too() -> None:
    def methods(kind: type) -> set[str]:
        return {name for name in vars(kind) if not name.startswith("_")}

    assert methods(Client) - {"close"} == methods(memoryd_client.AsyncClient) - {"aclose"}


def test_reading_the_shapes_does_not_import_httpx() -> None:
    code = "import sys, memoryd_client.models; sys.exit('httpx' in sys.modules)"

    subprocess.run([sys.executable, "-c", code], check=True)
