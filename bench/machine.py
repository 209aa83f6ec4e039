"""What a figure was measured on: processor, cores, memory, GPUs, Python; never a host name. And a process's memory."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path

GIB = 2**20  # /proc/meminfo counts kibibytes


def describe_machine() -> dict[str, object]:
    """The machine in a few fields, for a result's JSON line."""
    machine: dict[str, object] = {
        "cpu": _first(Path("/proc/cpuinfo"), r"model name\s*:\s*(.+)") or platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(int(_first(Path("/proc/meminfo"), r"MemTotal:\s*(\d+)") or 0) / GIB, 1),
        "python": platform.python_version(),
    }
    gpus = [
        _first(file, r"Model:\s*(.+)")
        for file in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information"))
    ]
    return machine | ({"gpus": gpus} if gpus else {})


def memory_kib(pid: int, field: str = "VmRSS") -> int:
    """Resident memory of a process in KiB: now, or the most that it has had (`VmHWM`); 0 for one that is gone."""
    return int(_first(Path(f"/proc/{pid}/status"), rf"{field}:\s*(\d+)") or 0)


def _first(file: Path, pattern: str) -> str | None:
    try:
        found = re.search(pattern, file.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return None
    return found[1].strip() if found else None
