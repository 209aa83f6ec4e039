"""When the set-up compiles llama.cpp, and with what; Python and pip are scripted."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from tests.scripts.conftest import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

    from tests.scripts.conftest import Program

CPU = "-DLLAVA_BUILD=OFF"
LONG_NAP_S = 50
FORCED = "--force-reinstall --no-deps"
INTEL = "flags\t\t: fpu smep sme sse4_2 avx2 fma avx512f amx_int8\n"
# A virtual environment's python: says that all is well, and writes down what pip is to do with which CMAKE_ARGS.
PYTHON = """
case "$*" in
  *importlib.metadata*) cat "$HOME/installed" 2>/dev/null ;;
  *" cache dir"*) echo "$HOME/cache" ;;
  *" install "*)
    echo "$* | $CMAKE_ARGS" >>"$HOME/pip"
    sed -nE 's/^llama-cpp-python==//p' requirements.lock >"$HOME/installed" ;;
esac
exit 0
"""


class Setup:
    """A copy of what the set-up needs, and a scripted virtual environment."""

    def __init__(self, home: Path, path: Path, program: Program) -> None:
        self.folder = home / "checkout"
        self.home = home
        self.path = path
        self.program = program
        shutil.copytree(REPOSITORY / "scripts", self.folder / "scripts")
        for name in ("requirements.lock", "pyproject.toml", "client/pyproject.toml"):
            (self.folder / name).parent.mkdir(exist_ok=True)
            shutil.copy(REPOSITORY / name, self.folder / name)
        venv = self.folder / ".venv" / "bin"
        venv.mkdir(parents=True)
        program("python", PYTHON).rename(venv / "python")
        program("true", "exit 0").rename(venv / "memoryd")
        for compiler in ("c++", "cmake"):
            program(compiler, "exit 0")
        self.processor(INTEL)

    def processor(self, line: str) -> None:
        """Puts this one into the machine."""
        (self.home / "cpuinfo").write_text(f"processor\t: 0\n{line}", encoding="utf-8")

    def run(self, **env: str) -> str:
        """What it says; `pip()` tells what it did."""
        (self.home / "pip").unlink(missing_ok=True)
        surroundings = {
            "PATH": str(self.path),
            "HOME": str(self.home),
            "CUDA_HOME": "/none",
            "CPUINFO": str(self.home / "cpuinfo"),
        } | env
        done = subprocess.run(
            [self.path / "bash", self.folder / "scripts" / "setup"],
            env=surroundings,
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        return done.stdout

    def pip(self) -> list[tuple[str, str]]:
        """What pip was asked for, and with which CMAKE_ARGS."""
        file = self.home / "pip"
        lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        return [(line.partition(" | ")[0], line.partition(" | ")[2]) for line in lines]

    def add_gpu(self) -> None:
        """Puts a GPU and its compiler into the machine."""
        self.program("nvidia-smi", 'echo "NVIDIA H200, 9.0"')
        self.program("nvcc", "echo sm_90")


@pytest.fixture
def setup(tmp_path: Path, path: Path, program: Program) -> Setup:
    return Setup(tmp_path, path, program)


def test_without_a_gpu_it_is_compiled_for_the_cpu(setup: Setup) -> None:
    assert "no NVIDIA GPU: compiling llama.cpp for the CPU" in setup.run()
    (first, arguments), (second, _), *_ = setup.pip()
    assert FORCED in first
    assert "-r requirements.lock" in second
    include = setup.folder / "scripts" / "llama_cpp.cmake"
    assert arguments == f"-DCMAKE_PROJECT_llama.cpp_INCLUDE={include} {CPU}"
    assert include.is_file()


def test_another_processor_has_it_compiled_again_and_its_builds_are_kept_apart(setup: Setup) -> None:
    setup.run()
    (first, _), *_ = setup.pip()
    setup.processor("flags\t\t: fpu sse4_2 avx2 fma\n")
    assert "compiling llama.cpp for the CPU" in setup.run()
    (second, _), *_ = setup.pip()
    assert _cache(first) != _cache(second)
    setup.processor(INTEL)
    setup.run()
    (third, _), *_ = setup.pip()
    assert _cache(third) == _cache(first)


def test_the_instructions_that_it_was_compiled_for_are_written_down(setup: Setup) -> None:
    setup.run()
    written = setup.folder / ".venv" / "llama-instructions"
    assert written.read_text(encoding="utf-8").split() == ["avx2", "avx512f", "fma", "sse4_2"]


def test_a_library_that_runs_anywhere_is_not_compiled_again_elsewhere(setup: Setup) -> None:
    setup.run(CMAKE_ARGS="-DGGML_NATIVE=OFF")
    assert (setup.folder / ".venv" / "llama-instructions").read_text(encoding="utf-8") == ""
    setup.processor("flags\t\t: fpu sse4_2\n")
    assert setup.run() == ""


def test_without_the_program_patch_it_says_what_is_slower_and_patches_later(
    setup: Setup, program: Program
) -> None:
    assert "there is no program called patch" in setup.run()
    program("patch", "exit 0")
    assert "no program called patch" not in setup.run()
    assert FORCED in setup.pip()[0][0]


def test_a_flag_that_no_compiler_uses_changes_nothing(setup: Setup) -> None:
    setup.run()
    setup.processor(INTEL.replace("fpu", "fpu md_clear ibrs"))
    setup.run()
    assert setup.pip() == []


def test_a_nap_of_the_heartbeat_that_outlives_set_up_keeps_nobody_waiting(setup: Setup, path: Path) -> None:
    """Ended in the moment of its start, it did: whoever read the set-up's output waited for it."""
    real = shutil.which("sleep")
    (path / "sleep").unlink(missing_ok=True)
    setup.program("sleep", f"trap '' TERM\nexec {real} {LONG_NAP_S}")
    began = time.monotonic()
    setup.run()
    assert time.monotonic() - began < LONG_NAP_S


@pytest.mark.parametrize("name", ["llama_cpp.cmake", "llama_cpp.patch"])
def test_what_cmake_reads_is_part_of_how_it_is_compiled(setup: Setup, name: str) -> None:
    setup.run()
    with (setup.folder / "scripts" / name).open("a", encoding="utf-8") as file:
        file.write("# changed\n")
    setup.run()
    assert FORCED in setup.pip()[0][0]


def test_what_is_done_is_not_done_again(setup: Setup) -> None:
    setup.run()
    assert setup.run() == ""
    assert setup.pip() == []


def test_a_gpu_that_comes_later_has_it_compiled_again(setup: Setup) -> None:
    setup.run()
    setup.add_gpu()
    assert "there is an NVIDIA GPU (NVIDIA H200): compiling llama.cpp for it" in setup.run()
    (request, arguments), *_ = setup.pip()
    assert FORCED in request
    assert "-DCMAKE_CUDA_ARCHITECTURES=90-real" in arguments
    assert setup.run() == ""


def test_what_was_asked_for_wins_and_is_kept_to(setup: Setup) -> None:
    setup.add_gpu()
    said = setup.run(CMAKE_ARGS="-DGGML_BLAS=ON")
    assert 'compiling llama.cpp with CMAKE_ARGS="-DGGML_BLAS=ON"' in said
    assert all(arguments.endswith(" -DGGML_BLAS=ON") for _request, arguments in setup.pip())
    assert setup.run() == ""
    assert "there is an NVIDIA GPU" in setup.run(CMAKE_ARGS="auto")
    assert FORCED in setup.pip()[0][0]
    assert setup.run() == ""


def test_a_machine_without_a_compiler_is_told_what_to_install(setup: Setup) -> None:
    (setup.path / "cmake").unlink()
    with pytest.raises(subprocess.CalledProcessError) as failed:
        setup.run()
    assert "apt-get install cmake" in failed.value.stderr


def _cache(request: str) -> str:
    found = re.search(r"--cache-dir=\S+/cache/memoryd-\w{16}", request)
    assert found, request
    return found[0]
