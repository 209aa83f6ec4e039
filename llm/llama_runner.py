"""The Llama 3 family (Llama 3, 3.1, 3.2, 3.3 Instruct).

Template: https://www.llama.com/docs/model-cards-and-prompt-formats/meta-llama-3/
"""

from __future__ import annotations

from llm.family import Family

TEMPLATE = """\
{{- bos_token }}
{%- for message in messages %}
    {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' }}
    {{- message['content'] | trim + '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
"""

LLAMA = Family(name="llama", template=TEMPLATE, stop=("<|eot_id|>", "<|start_header_id|>"))
