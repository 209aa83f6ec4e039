"""Whether llama.cpp's library may run on this processor: it uses whatever the one had for which it was compiled.

A virtual environment on a pod's volume comes to another machine with the next pod, and an instruction that is not there
ends the process. The library itself can't be asked: its first function may be the one that ends it. So scripts/setup
writes down for what it was compiled; where nothing is written down, nothing is known.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
COMPILED_FOR = Path(sys.prefix, "llama-instructions")


def missing_instructions() -> list[str]:
    """Instruction sets that the library was compiled for and that this processor lacks, in Linux's words, sorted."""
    try:
        compiled_for = COMPILED_FOR.read_text(encoding="utf-8").split()
        found = re.search(r"^(?:flags|Features)\s*:(.*)$", CPUINFO.read_text(encoding="utf-8"), re.MULTILINE)
    except OSError:
        return []
    return sorted(set(compiled_for) - set(found[1].split())) if found else []
