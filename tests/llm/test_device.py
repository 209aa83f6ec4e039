"""Free memory as nvidia-smi, the kernel and control groups tell it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from llm import device as module
from llm.device import Device, device_now, free_ram, gpus

if TYPE_CHECKING:
    from pathlib import Path

MIB, GIB = 2**20, 2**30
TWO = """0, GPU-aaaa, 22000, 24576, NVIDIA RTX A5000
1, GPU-bbbb, 80000, 143771, NVIDIA H200, with a comma
"""


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    write(tmp_path / "proc" / "meminfo", "MemTotal: 16777216 kB\nMemFree: 1 kB\nMemAvailable: 8388608 kB\n")
    return tmp_path / "proc"


@pytest.fixture
def groups(tmp_path: Path) -> Path:
    return tmp_path / "groups"


def test_each_gpu_with_its_memory() -> None:
    assert gpus(TWO, {}) == [
        ("NVIDIA RTX A5000", 22000 * MIB, 24576 * MIB),
        ("NVIDIA H200, with a comma", 80000 * MIB, 143771 * MIB),
    ]


@pytest.mark.parametrize(
    ("visible", "seen"),
    [("0", 1), ("1,0", 2), ("GPU-bb", 1), ("", 0), ("-1", 0), ("0,-1,1", 1), ("7", 0), ("GPU-x", 0)],
)
def test_cuda_s_own_choice_of_gpus_counts(visible: str, seen: int) -> None:
    assert len(gpus(TWO, {"CUDA_VISIBLE_DEVICES": visible})) == seen


def test_an_answer_that_is_none() -> None:
    assert gpus("", {}) == []
    assert gpus("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\n", {}) == []


def test_a_gpu_without_memory_of_its_own() -> None:
    assert gpus("0, GPU-a, [N/A], [N/A], NVIDIA GB10\n", {}) == [("NVIDIA GB10", 0, 0)]


def test_memory_without_control_groups(proc: Path, groups: Path) -> None:
    assert free_ram(proc, groups) == (8 * GIB, 16 * GIB)


def test_the_least_limit_of_all_groups_above_counts(proc: Path, groups: Path) -> None:
    write(proc / "self" / "cgroup", "0::/pods/one\n")
    write(groups / "pods" / "memory.max", f"{4 * GIB}\n")
    write(groups / "pods" / "memory.current", f"{3 * GIB}\n")
    write(groups / "pods" / "memory.stat", f"anon 1\ninactive_file {GIB}\n")
    write(groups / "pods" / "one" / "memory.max", "max\n")
    assert free_ram(proc, groups) == (2 * GIB, 4 * GIB)


def test_a_container_that_sees_its_own_group_as_the_root(proc: Path, groups: Path) -> None:
    write(proc / "self" / "cgroup", "0::/outside/it\n")
    write(groups / "memory.max", f"{6 * GIB}\n")
    write(groups / "memory.current", "0\n")
    assert free_ram(proc, groups) == (6 * GIB, 6 * GIB)


def test_control_groups_of_the_first_version(proc: Path, groups: Path) -> None:
    write(proc / "self" / "cgroup", "9:cpu,cpuacct:/x\n4:memory:/docker/abc\nodd\n")
    write(groups / "memory" / "docker" / "abc" / "memory.limit_in_bytes", f"{5 * GIB}\n")
    write(groups / "memory" / "docker" / "abc" / "memory.usage_in_bytes", f"{2 * GIB}\n")
    write(groups / "memory" / "docker" / "abc" / "memory.stat", f"total_inactive_file {GIB}\n")
    write(groups / "memory" / "memory.limit_in_bytes", "9223372036854771712\n")
    assert free_ram(proc, groups) == (4 * GIB, 5 * GIB)


def test_a_group_over_its_limit_leaves_nothing(proc: Path, groups: Path) -> None:
    write(proc / "self" / "cgroup", "0::/\n")
    write(groups / "memory.max", f"{GIB}\n")
    write(groups / "memory.current", f"{2 * GIB}\n")
    assert free_ram(proc, groups) == (0, GIB)


@pytest.fixture
def nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program of that name, alone on the path; it says what stands in `answer`."""
    folder = tmp_path / "bin"
    write(
        folder / "nvidia-smi", f'#!/bin/sh\nwhile read -r line; do echo "$line"; done < {tmp_path}/answer\n'
    )
    (folder / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return tmp_path / "answer"


def test_this_machine_without_a_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found = device_now()
    assert (found.gpu, found.gpu_free, found.note) == ("", 0, "")
    assert 0 < found.ram_free <= found.ram_total


def test_gpus_are_taken_together(nvidia_smi: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "has_cuda", lambda: True)
    nvidia_smi.write_text("0, GPU-a, 100, 200, NVIDIA A\n1, GPU-b, 50, 200, NVIDIA A\n")
    found = device_now()
    assert (found.gpu, found.gpu_free, found.gpu_total) == ("2 × NVIDIA A", 150 * MIB, 400 * MIB)
    nvidia_smi.write_text("0, GPU-a, [N/A], [N/A], NVIDIA GB10\n")
    found = device_now()
    assert found.shared
    assert found.gpu_free == found.ram_free


def test_a_gpu_that_llama_cpp_can_not_use_is_mentioned(
    nvidia_smi: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "has_cuda", lambda: False)
    nvidia_smi.write_text("0, GPU-a, 100, 200, NVIDIA A\n")
    found = device_now()
    assert (found.gpu, found.gpu_free) == ("", 0)
    assert found.note.startswith("NVIDIA A: llama.cpp was compiled without CUDA")


def test_an_nvidia_smi_that_fails_is_no_gpu(nvidia_smi: Path) -> None:
    (nvidia_smi.parent / "bin" / "nvidia-smi").write_text("#!/bin/sh\necho 0, GPU-a, 1, 2, X; exit 9\n")
    assert device_now().gpu == ""
    (nvidia_smi.parent / "bin" / "nvidia-smi").write_text("no program")
    assert device_now().gpu == ""


def test_what_is_taken_is_no_longer_free() -> None:
    found = Device(ram_free=100, ram_total=100, gpu="A", gpu_free=50, gpu_total=60)
    assert found.less(gpu=20, ram=10) == Device(
        ram_free=90, ram_total=100, gpu="A", gpu_free=30, gpu_total=60, begun=True
    )
    assert found.less(gpu=0, ram=1000).ram_free == 0
    assert not found.less(gpu=0, ram=10).begun
