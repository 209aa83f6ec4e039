"""A state folder has one daemon, and says so to a second one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from memoryd.errors import AlreadyRunningError, StoreError
from memoryd.state_lock import lock_state

if TYPE_CHECKING:
    from pathlib import Path


def test_a_folder_that_is_not_there_is_made_and_held(tmp_path: Path) -> None:
    state = tmp_path / "deep" / "state"
    with lock_state(state), pytest.raises(AlreadyRunningError, match=r"Another memoryd owns .*state"):
        lock_state(state)
    assert state.stat().st_mode & 0o777 == 0o700


def test_it_is_free_again_once_let_go(tmp_path: Path) -> None:
    lock_state(tmp_path).close()
    lock_state(tmp_path).close()


def test_a_folder_that_can_not_be_made_is_named_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file is in the way")
    with pytest.raises(StoreError, match=r"The state folder .*state can't be written: .*set paths\.state"):
        lock_state(tmp_path / "state")
