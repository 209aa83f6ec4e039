"""The DeepSeek family (R1 and its distillations, V3, LLM Chat); R1's thinking is left out of the answer.

Template: https://huggingface.co/deepseek-ai/DeepSeek-R1-Distill-Qwen-7B (it opens `<think>` itself)
"""

from __future__ import annotations

from llm.family import Family

TEMPLATE = """\
{{- bos_token }}
{%- for message in messages %}
    {%- if message['role'] == 'system' %}
        {{- message['content'] }}
    {%- elif message['role'] == 'user' %}
        {{- '<｜User｜>' + message['content'] }}
    {%- else %}
        {{- '<｜Assistant｜>' + message['content'] + '<｜end▁of▁sentence｜>' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<｜Assistant｜><think>\\n' }}
{%- endif %}
"""

DEEPSEEK = Family(
    name="deepseek",
    template=TEMPLATE,
    stop=("<｜User｜>", "<｜Assistant｜>", "<｜end▁of▁sentence｜>"),
    thinks=True,
)
