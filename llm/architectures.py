"""Which kinds of model llama.cpp knows (as of llama-cpp-python 0.3.36), and which of them can serve here.

Names: https://github.com/ggml-org/llama.cpp/blob/master/src/llama-arch.cpp
"""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


WRITERS = _words("""
    afmoe apertus arcee arctic baichuan bailingmoe bailingmoe2 bitnet bloom chameleon chatglm codeshell cogvlm
    cohere2 cohere2moe command-r dbrx deci deepseek deepseek2 deepseek2-ocr deepseek32 dots1 dots3note ernie4_5
    ernie4_5-moe exaone exaone-moe exaone4 falcon gemma gemma2 gemma3 gemma3n gemma4 glm-dsa glm4 glm4moe gpt-oss
    gpt2 gptj gptneox granite granite_swa granitemoe graniteswitch grok grovemoe hrm_text hunyuan-dense
    hunyuan-moe hunyuan_vl hy_v3 hy_v4 internlm2 jais jais2 laguna llama llama4 maincoder maple mellum mimo2
    minicpm minicpm3 minimax-m2 minimax-m3 mistral3 mistral4 mpt muse-glimmer nanbeige nemotron olmo olmo2 olmoe
    openelm orion paddleocr pangu-embedded phi2 phi3 phimoe plamo plamo3 plm qwen qwen2 qwen2moe qwen2vl qwen3
    qwen3moe qwen3vl qwen3vlmoe refact seed_oss smallthinker smollm3 spark2_5 stablelm starcoder starcoder2 step35
    talkie xverse
""")
"""They write one token after the other, and any part of what they have read can be dropped from the cache."""

RECURRENT = _words("""
    arwkv7 bailingmoe3 deepseek4 falcon-h1 glm5-next granitehybrid jamba kimi-k3 kimi-linear lfm2 lfm2moe mamba
    mamba2 minimax-01 nemotron_h nemotron_h_moe plamo2 qwen3next qwen35 qwen35moe qwen4exp rwkv6 rwkv6qwen2 rwkv7
""")
"""They keep a state in place of a cache, from which nothing can be dropped."""

EMBEDDERS = _words("""
    bert eurobert gemma-embedding jina-bert-v2 jina-bert-v3 llama-embed modern-bert neo-bert nomic-bert
    nomic-bert-moe t5encoder
""")
DIFFUSERS = _words("dream llada llada-moe rnd1")
SPEAKERS = _words("pockettts qwen3tts wavtokenizer-dec")
DRAFTS = _words("dflash eagle3 gemma4-assistant")
OTHERS = {
    "clip": "the picture part of a model (an mmproj file). Name the model's own file",
    "t5": "a model that translates a text as a whole. Name one that continues a text",
    **dict.fromkeys(EMBEDDERS, "a model that embeds texts and writes none. Name one that writes"),
    **dict.fromkeys(DIFFUSERS, "a model that doesn't write one token after the other. Name one that does"),
    **dict.fromkeys(SPEAKERS, "a model that speaks and writes no text. Name one that writes"),
    **dict.fromkeys(DRAFTS, "a draft for another model. Name that model's file"),
}
"""Kinds that can't answer, and what each is."""


def complaint(architecture: str) -> str:
    """Why a model of this kind can't serve, as the end of a sentence; "" where it can."""
    if architecture in WRITERS:
        return ""
    if architecture in OTHERS:
        return f"is {OTHERS[architecture]}."
    if architecture in RECURRENT:
        return (
            f"is of the kind {architecture}, which keeps a state instead of a cache: an identity can't be shared"
            " between its answers. Name a transformer (llama, qwen2, gemma3, …)."
        )
    return (
        f'is of a kind that llama.cpp doesn\'t know here ("{architecture[:60]}"). Update llama-cpp-python, or name'
        " a model of another kind."
    )
