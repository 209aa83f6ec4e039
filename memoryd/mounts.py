"""Which file system a folder lies on, by `/proc/mounts`: network mounts don't tell this machine what others write.

inotify reports what this kernel did. What another machine writes to an NFS, SMB or FUSE mount brings no notice here,
so such a folder is compared with the ledger at intervals instead.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

MOUNTS = Path("/proc/mounts")
# File systems whose contents other machines can change. FUSE is what pods mount their network volumes with.
NETWORK = re.compile(
    r"nfs\d?|cifs|smb\w*|9p|virtiofs|ceph|gluster\w*|lustre|beegfs\w*|afs|gpfs|mfs|fuse|fuseblk|fuse\.\w.*"
)
# FUSE file systems that only show local disks.
LOCAL_FUSE = frozenset({"fuseblk", "fuse.fuse-overlayfs", "fuse.lxcfs", "fuse.mergerfs", "fuse.bindfs"})
ESCAPED = re.compile(r"\\([0-7]{3})")


def network_file_system(folder: Path, mounts: str | None = None) -> str | None:
    """The type of the network file system that a folder lies on (`nfs4`, `fuse.sshfs`), or None on a local disk.

    Args:
        folder: need not exist.
        mounts: the text of `/proc/mounts`; read from there by default. Without it every disk counts as local.
    """
    if mounts is None:
        try:
            mounts = MOUNTS.read_text(encoding="utf-8", errors="surrogateescape")
        except OSError:
            return None
    wanted = PurePosixPath(folder.resolve())
    # Of mounts on the same point the last one is on top.
    found, depth = "", -1
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        point = PurePosixPath(ESCAPED.sub(lambda match: chr(int(match[1], 8)), fields[1]))
        if wanted.is_relative_to(point) and len(point.parts) >= depth:
            found, depth = fields[2], len(point.parts)
    return found if NETWORK.fullmatch(found) and found not in LOCAL_FUSE else None
