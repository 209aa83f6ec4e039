from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from memoryd.mounts import network_file_system

if TYPE_CHECKING:
    from pathlib import Path

MOUNTS = """\
overlay / overlay rw,relatime 0 0
/dev/sda1 /data ext4 rw 0 0
mfs#10.0.0.1:9421 /workspace fuse rw,nosuid,nodev 0 0
server:/export /data/shared nfs4 rw 0 0
/dev/sdb1 /data/shared/local\\040disk ext4 rw 0 0
host:/home /mnt/ssh fuse.sshfs rw 0 0
/dev/fuse /mnt/overlay fuse.fuse-overlayfs rw 0 0
//nas/memory /mnt/twice cifs rw 0 0
tmpfs /mnt/twice tmpfs rw 0 0
short
"""


@pytest.mark.parametrize(
    ("folder", "expected"),
    [
        ("/home/memory", None),
        ("/data/memory", None),
        ("/data/shared", "nfs4"),
        ("/data/shared/memory/day0315", "nfs4"),
        ("/data/sharedmemory", None),
        ("/data/shared/local disk/memory", None),
        ("/workspace/memoryd/memory", "fuse"),
        ("/mnt/ssh/memory", "fuse.sshfs"),
        ("/mnt/overlay/memory", None),
        ("/mnt/twice/memory", None),
    ],
)
def test_the_mount_that_a_folder_lies_on_decides(tmp_path: Path, folder: str, expected: str | None) -> None:
    assert network_file_system(tmp_path.__class__(folder), MOUNTS) == expected


def test_a_link_to_a_network_mount_counts(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "memory").symlink_to(tmp_path / "far")
    mounts = f"overlay / overlay rw 0 0\nserver:/m {tmp_path / 'far'} nfs rw 0 0\n"
    assert network_file_system(tmp_path / "memory", mounts) == "nfs"


def test_this_machine_says_something(tmp_path: Path) -> None:
    assert network_file_system(tmp_path) is None
