"""The Mixtral family (Mixtral 8x7B and 8x22B Instruct), which knows users and assistants but no system.

Template: https://huggingface.co/mistralai/Mixtral-8x7B-Instruct-v0.1
"""

from __future__ import annotations

from llm.family import Family

TEMPLATE = """\
{{- bos_token }}
{%- for message in messages %}
    {%- if message['role'] != ('user' if loop.index0 % 2 == 0 else 'assistant') %}
        {{- raise_exception('Roles must alternate: user, assistant, user, …') }}
    {%- endif %}
    {%- if message['role'] == 'user' %}
        {{- '[INST] ' + message['content'] + ' [/INST]' }}
    {%- else %}
        {{- ' ' + message['content'] + eos_token }}
    {%- endif %}
{%- endfor %}
"""

MIXTRAL = Family(name="mixtral", template=TEMPLATE, stop=("[INST]", "[/INST]"))
