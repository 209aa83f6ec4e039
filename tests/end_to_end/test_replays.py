"""The same memory and manifests give the same identity; a change gives the next version."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.end_to_end.running import Running


def test_two_replays_without_a_change_give_the_same_digest_and_bytes(shared: Running) -> None:
    shared.wait_read()
    with shared.client() as client:
        first, text = client.replay(), client.identity().text
        second, again = client.replay(), client.identity().text
    assert first.digest == second.digest
    assert (second.changed, second.identity_version) == (False, first.identity_version)
    assert text == again
    assert "망원경" in text or "telescope" in text or "속초" in text


def test_a_changed_manifest_gives_a_new_version_and_the_old_one_stays(shared: Running) -> None:
    manifest = shared.manifest / "fillin_manifest.txt"
    before = manifest.read_text("utf-8")
    shared.wait_read()
    with shared.client() as client:
        first = client.replay()
        old = client.identity()
        manifest.write_text(before + "\n나는 약속을 적어 둔다.\n", encoding="utf-8")
        changed = client.replay()
        new = client.identity()
        manifest.write_text(before, encoding="utf-8")
        kept = client.identity(old.version)
    # Which version each model holds moves on by itself, in spare steps.
    assert kept.model_copy(update={"models": old.models}) == old
    assert changed.changed
    assert changed.digest != first.digest
    assert new.version == old.version + 1
    assert "나는 약속을 적어 둔다." in new.text
    assert "나는 약속을 적어 둔다." not in old.text
