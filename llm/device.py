"""What memory is free for models: the GPU's, and the machine's within the limits of its control groups.

nvidia-smi ─▶ free, total of each GPU that this process may use ─┐
/proc/meminfo, control groups v2 or v1 ─▶ free, total ───────────┴▶ Device
"""

from __future__ import annotations

import importlib.util
import logging
import os
import shutil
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

log = logging.getLogger(__name__)

PATIENCE_S = 20  # nvidia-smi takes seconds where no process keeps the driver awake
MIB = 2**20
QUERY = ("--query-gpu=index,uuid,memory.free,memory.total,name", "--format=csv,noheader,nounits")
NO_LIMIT = 2**60  # control groups v1 write "none" as a number near 2^63
NO_CUDA = "llama.cpp was compiled without CUDA, so it isn't used; run `make setup` again"


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """Memory as it is now, in bytes.

    Attributes:
        ram_free, ram_total: the machine's, or what the process's control groups leave of it.
        gpu: the GPU's name; "" where models are computed on the CPU.
        gpu_free, gpu_total: of all GPUs together, over which llama.cpp spreads the layers; 0 for none.
        shared: the GPU has no memory of its own; `gpu_free` is `ram_free` then.
        begun: CUDA's own memory is taken already.
        note: why a GPU that is there isn't used; "" where nothing is odd.
    """

    ram_free: int
    ram_total: int
    gpu: str = ""
    gpu_free: int = 0
    gpu_total: int = 0
    shared: bool = False
    begun: bool = False
    note: str = ""

    def less(self, *, gpu: int, ram: int) -> Device:
        """The device once so many bytes are taken."""
        if self.shared:
            gpu = ram = gpu + ram
        return replace(
            self,
            ram_free=max(self.ram_free - ram, 0),
            gpu_free=max(self.gpu_free - gpu, 0),
            begun=self.begun or gpu > 0,
        )


def device_now() -> Device:
    """The memory that is free now; takes up to seconds where a GPU has to wake."""
    free, total = free_ram()
    seen = gpus(_nvidia_smi(), os.environ)
    if not seen:
        return Device(ram_free=free, ram_total=total)
    names = " + ".join(sorted({name for name, _free, _total in seen}))
    if len(seen) > 1:
        names = f"{len(seen)} × {names}"
    if not has_cuda():
        return Device(ram_free=free, ram_total=total, note=f"{names}: {NO_CUDA}.")
    gpu_free = sum(each for _name, each, _total in seen)
    gpu_total = sum(each for _name, _free, each in seen)
    if not gpu_total:
        return Device(ram_free=free, ram_total=total, gpu=names, gpu_free=free, gpu_total=total, shared=True)
    return Device(ram_free=free, ram_total=total, gpu=names, gpu_free=gpu_free, gpu_total=gpu_total)


def has_cuda() -> bool:
    """Whether the installed llama.cpp can use an NVIDIA GPU; it isn't imported for that."""
    found = importlib.util.find_spec("llama_cpp")
    if found is None or not found.origin:
        return False
    return (Path(found.origin).parent / "lib" / "libggml-cuda.so").is_file()


def gpus(answer: str, env: Mapping[str, str]) -> list[tuple[str, int, int]]:
    """Name, free and total bytes of each GPU in nvidia-smi's answer that `CUDA_VISIBLE_DEVICES` leaves.

    A GPU that shares the machine's memory has none of its own: 0 of 0 bytes.
    """
    found = []
    for line in answer.splitlines():
        cells = [cell.strip() for cell in line.split(",", 4)]
        if len(cells) < 5 or not cells[0].isdecimal():
            continue
        index, uuid, free, total, name = cells
        if _is_visible(index, uuid, env.get("CUDA_VISIBLE_DEVICES")):
            amounts = (free, total) if free.isdecimal() and total.isdecimal() else ("0", "0")
            found.append((name, int(amounts[0]) * MIB, int(amounts[1]) * MIB))
    return found


def _is_visible(index: str, uuid: str, visible: str | None) -> bool:
    if visible is None:
        return True
    for name in (each.strip() for each in visible.split(",")):
        if name == index or (name.startswith("GPU-") and uuid.startswith(name)):
            return True
        if not name or name.startswith("-"):  # CUDA takes nothing behind one that isn't there
            break
    return False


def _nvidia_smi() -> str:
    program = shutil.which("nvidia-smi")
    if program is None:
        return ""
    try:
        done = subprocess.run(
            [program, *QUERY], capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        log.warning("nvidia-smi gave no answer: %s", error)
        return ""
    return done.stdout if done.returncode == 0 else ""


def free_ram(proc: Path = Path("/proc"), groups: Path = Path("/sys/fs/cgroup")) -> tuple[int, int]:
    """Free and total bytes of memory for this process: the least that machine and control groups leave."""
    facts = _numbers(proc / "meminfo")
    total = facts.get("MemTotal:", 0) * 1024
    free = facts.get("MemAvailable:", total // 1024) * 1024
    for limit, used in _limits(proc, groups):
        if limit < NO_LIMIT:
            free, total = min(free, max(limit - used, 0)), min(total, limit)
    return free, total


def _limits(proc: Path, groups: Path) -> Iterable[tuple[int, int]]:
    """Limit and use of each control group that holds this process, in bytes; files that are cached don't count."""
    for line in _text(proc / "self" / "cgroup").splitlines():
        _, controllers, path = (*line.split(":", 2), "", "")[:3]
        if not controllers:
            names = ("memory.max", "memory.current", "inactive_file")
            root = groups
        elif "memory" in controllers.split(","):
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            root = groups / "memory"
        else:
            continue
        limit, usage, cached = names
        # In a container the path may be the one outside it, which isn't there: then only the root counts.
        own = root / path.strip("/")
        for folder in (own, *own.parents):
            if not folder.is_relative_to(root):
                break
            most = _text(folder / limit).strip()
            if most.isdecimal():
                used = _text(folder / usage).strip()
                files = _numbers(folder / "memory.stat").get(cached, 0)
                yield int(most), (int(used) if used.isdecimal() else 0) - files


def _numbers(file: Path) -> dict[str, int]:
    """Lines of a name and a number."""
    pairs = (line.split()[:2] for line in _text(file).splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdecimal()}


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
