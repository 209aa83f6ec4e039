"""What an image takes of the checkout that it is built from."""

from __future__ import annotations

from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


def left_out() -> set[str]:
    lines = (REPOSITORY / ".dockerignore").read_text(encoding="utf-8").splitlines()
    return {line for line in lines if line and not line.startswith("#")}


def test_an_image_of_a_used_checkout_carries_no_memories() -> None:
    assert {"memory", "state", "models", ".venv", ".git"} <= left_out()


def test_what_the_launcher_and_the_set_up_need_goes_in() -> None:
    needed = {"client", "config.toml", "deploy", "llm", "loaders", "Makefile", "manifest", "memoryd"}
    needed |= {"LICENSE", "README.md", "pyproject.toml", "requirements.lock", "scripts"}
    assert all((REPOSITORY / name).exists() for name in needed)
    assert not needed & left_out()
