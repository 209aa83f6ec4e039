"""Whether llama.cpp's library may run on this processor: it uses whatever the one had on which it was compiled.

A virtual environment on a pod's volume comes to another machine with the next pod, and an instruction that is not there
ends the process. Only x86-64 is looked at; what llama.cpp says of other processors has no counterpart in Linux's words.
"""

from __future__ import annotations

import re
from pathlib import Path

import llama_cpp

CPUINFO = Path("/proc/cpuinfo")
# llama.cpp's names of instruction sets → Linux's.
FLAGS = {
    "SSE3": "pni",
    "SSSE3": "ssse3",
    "AVX": "avx",
    "AVX_VNNI": "avx_vnni",
    "AVX2": "avx2",
    "F16C": "f16c",
    "FMA": "fma",
    "BMI2": "bmi2",
    "AVX512": "avx512f",
    "AVX512_VBMI": "avx512vbmi",
    "AVX512_VNNI": "avx512_vnni",
    "AVX512_BF16": "avx512_bf16",
    "AMX_INT8": "amx_int8",
}


def missing_instructions() -> list[str]:
    """Instruction sets that the library was compiled for and that this processor lacks, in llama.cpp's words."""
    return missing(llama_cpp.llama_print_system_info().decode(errors="replace"), _flags())


def missing(system_info: str, flags: frozenset[str]) -> list[str]:
    """The same, of llama.cpp's line about itself and Linux's flags; none where these are not known."""
    used = re.findall(r"(\w+) = 1\b", system_info)
    return [name for name in used if name in FLAGS and flags and FLAGS[name] not in flags]


def _flags() -> frozenset[str]:
    try:
        found = re.search(r"^flags\s*:(.*)$", CPUINFO.read_text(encoding="utf-8"), re.MULTILINE)
    except OSError:
        return frozenset()
    return frozenset(found[1].split()) if found else frozenset()
