from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from sentence_transformers import CrossEncoder
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

from memoryd.errors import EmbedderError
from memoryd.recall.reranker import READ_TOGETHER, Reranker
from tests.memoryd.recall.hits import hit

if TYPE_CHECKING:
    from pathlib import Path

WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "두부", "고양이", "지훈", "수영장", ":", ".")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cross-encoder of one small layer, with weights that a seed decides."""
    folder = tmp_path_factory.mktemp("cross_encoder")
    tokenizer = Tokenizer(models.WordLevel({word: place for place, word in enumerate(WORDS)}, "[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        model_max_length=64,
    ).save_pretrained(folder)
    torch.manual_seed(7)
    config = BertConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
    )
    config.num_labels = 1
    BertForSequenceClassification(config).save_pretrained(folder)
    return folder


TEXTS = ("두부는 고양이 .", "수영장 .", "고양이 두부 지훈 .", "지훈 : 수영장 고양이 .", "두부 .", "지훈 .")
HITS = [hit(text, day) for day, text in enumerate(TEXTS, 10)]


def test_hits_stand_in_the_order_of_the_cross_encoders_scores(folder: Path) -> None:
    expected = CrossEncoder(str(folder)).predict([("두부 고양이", each.passage.text) for each in HITS])
    found = Reranker(str(folder), budget_ms=60_000).reranked("두부 고양이", HITS)
    scores = [each.why.reranked for each in found]
    assert scores == sorted(map(float, expected), reverse=True)
    assert {each.passage.id for each in found} == {each.passage.id for each in HITS}


def test_what_it_had_no_time_for_stays_behind_in_its_order(folder: Path) -> None:
    found = Reranker(str(folder), budget_ms=0).reranked("두부 고양이", HITS)
    assert all(each.why.reranked is not None for each in found[:READ_TOGETHER])
    assert found[READ_TOGETHER:] == HITS[READ_TOGETHER:]


def test_nothing_is_reranked_to_nothing(folder: Path) -> None:
    assert Reranker(str(folder), budget_ms=10).reranked("두부", []) == []


def test_a_model_that_is_not_there_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(EmbedderError, match=r"recall\.reranker"):
        Reranker(str(tmp_path / "nowhere"), budget_ms=10)
