"""For what llama.cpp is compiled on machines with and without a GPU and a compiler for it."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Protocol

import pytest

from tests.scripts.conftest import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

    from tests.scripts.conftest import Program

SCRIPT = REPOSITORY / "scripts" / "llama_cmake_args"
CPU = "-DLLAVA_BUILD=OFF"
H200 = 'echo "NVIDIA H200, 9.0"'
NVCC = "printf 'sm_86\\nsm_90\\n'"


class Asked(Protocol):
    """What the script says: the arguments, then lines for people."""

    def __call__(self, **env: str) -> list[str]: ...


@pytest.fixture
def asked(path: Path, tmp_path: Path) -> Asked:
    def run(**env: str) -> list[str]:
        surroundings = {"PATH": str(path), "CUDA_HOME": str(tmp_path / "cuda")} | env
        done = subprocess.run(
            [path / "bash", SCRIPT], env=surroundings, capture_output=True, text=True, check=True, timeout=60
        )
        assert done.stderr == ""
        return done.stdout.splitlines()

    return run


def test_without_a_gpu_it_is_the_cpu(asked: Asked) -> None:
    assert asked() == [CPU, "no NVIDIA GPU: compiling llama.cpp for the CPU"]


def test_a_compiler_alone_is_no_gpu(asked: Asked, program: Program) -> None:
    program("nvcc", NVCC)
    assert asked()[0] == CPU


@pytest.mark.parametrize(
    "script",
    [
        'echo "NVIDIA-SMI has failed because it could not communicate with the NVIDIA driver."; exit 9',
        'echo "No devices were found"',
        "exit 127",
    ],
)
def test_an_nvidia_smi_without_a_gpu_is_no_gpu(asked: Asked, program: Program, script: str) -> None:
    program("nvcc", NVCC)
    program("nvidia-smi", script)
    assert asked()[0] == CPU


def test_for_a_gpu_it_is_its_architecture_and_nothing_else(asked: Asked, program: Program) -> None:
    nvcc = program("nvcc", NVCC)
    program("nvidia-smi", H200)
    arguments, *words = asked()
    assert arguments.split() == [
        CPU,
        "-DGGML_CUDA=ON",
        "-DGGML_CUDA_FA_QUANTS=f16-f16,q8_0-q8_0",
        "-DGGML_CUDA_NCCL=OFF",
        f"-DCMAKE_CUDA_COMPILER={nvcc}",
        "-DCMAKE_CUDA_ARCHITECTURES=90-real",
    ]
    assert words == ["there is an NVIDIA GPU (NVIDIA H200): compiling llama.cpp for it"]


def test_several_gpus_count_once_a_kind(asked: Asked, program: Program) -> None:
    program("nvcc", NVCC)
    program("nvidia-smi", "printf 'NVIDIA H200, 9.0\\nNVIDIA RTX A6000, 8.6\\nNVIDIA H200, 9.0\\n'")
    arguments, words = asked()
    assert arguments.endswith("-DCMAKE_CUDA_ARCHITECTURES=86-real;90-real")
    assert "(NVIDIA H200, NVIDIA RTX A6000)" in words


def test_a_gpu_without_a_compiler_is_said_and_how_to_get_one(asked: Asked, program: Program) -> None:
    program("nvidia-smi", H200)
    arguments, *words = asked()
    assert arguments == CPU
    assert words[0].startswith("there is an NVIDIA GPU (NVIDIA H200), but no CUDA compiler (nvcc)")
    assert "apt-get install nvidia-cuda-toolkit" in words[1]


def test_a_compiler_that_does_not_know_the_gpu(asked: Asked, program: Program) -> None:
    program("nvcc", "echo sm_86")
    program("nvidia-smi", H200)
    arguments, *words = asked()
    assert arguments == CPU
    assert "is too old (or too new) for the GPU (NVIDIA H200, sm_90)" in words[0]


def test_a_compiler_beside_the_path(asked: Asked, program: Program, tmp_path: Path) -> None:
    program("nvidia-smi", H200)
    other = program("elsewhere", NVCC)
    assert f"-DCMAKE_CUDA_COMPILER={other}" in asked(CUDACXX=str(other))[0]
    home = tmp_path / "cuda" / "bin"
    home.mkdir(parents=True)
    other.rename(home / "nvcc")
    assert f"-DCMAKE_CUDA_COMPILER={home / 'nvcc'}" in asked()[0]
