"""The OpenAI Python SDK through aiproxy to aimock, which others wrote, in each provider's own format.

BASE_URL is the proxy's origin, PROFILES the names of the profiles.
"""

import json
import os
from functools import partial

import openai
from common import ORIGIN, run

POEM = 'Roses are red, 你好 🎉, "quotes" and\nlines survive.'
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}, "required": ["city"]},
        },
    },
    {"type": "function", "function": {"name": "now", "parameters": {"type": "object", "properties": {}}}},
]


def user(text):
    return [{"role": "system", "content": "Be brief."}, {"role": "user", "content": text}]


def chat(ask):
    answer = ask(user("say the poem"))
    assert answer.choices[0].message.content == POEM, answer
    assert answer.choices[0].finish_reason == "stop", answer
    assert answer.id and answer.created and answer.model, answer


def stream(ask):
    chunks = list(ask(user("say the poem"), stream=True, stream_options={"include_usage": True}))
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == POEM, chunks
    assert [c.choices[0].finish_reason for c in chunks if c.choices and c.choices[0].finish_reason] == ["stop"], chunks
    assert len({(c.id, c.created) for c in chunks}) == 1, chunks


def tools(ask):
    answer = ask(user("weather and time"), tools=TOOLS)
    message = answer.choices[0].message
    assert answer.choices[0].finish_reason == "tool_calls", answer
    calls = [(c.function.name, json.loads(c.function.arguments)) for c in message.tool_calls]
    assert calls == [("get_weather", {"city": "Köln", "days": 2}), ("now", {})], calls
    streamed = {}
    for chunk in ask(user("weather and time"), tools=TOOLS, stream=True):
        for choice in chunk.choices:
            for call in choice.delta.tool_calls or []:
                name, arguments = streamed.get(call.index, ("", ""))
                streamed[call.index] = (name + (call.function.name or ""), arguments + (call.function.arguments or ""))
    assert [(n, json.loads(a or "{}")) for n, a in (streamed[i] for i in sorted(streamed))] == calls, streamed
    results = [{"role": "tool", "tool_call_id": c.id, "content": "noon" if c.function.name == "now" else "rain"} for c in message.tool_calls]
    last = ask([*user("weather and time"), message.model_dump(exclude_none=True), *results], tools=TOOLS)
    assert last.choices[0].message.content == "It is noon and it rains.", last


def refused(ask):
    for options in ({}, {"stream": True}):
        try:
            ask(user("too often"), **options)
        except openai.RateLimitError as error:
            assert "slow down" in error.message, error.message
        else:
            raise AssertionError("429 was no error")


def checks(profile):
    client = openai.OpenAI(base_url=f"{ORIGIN}/{profile}/v1", api_key="unused", max_retries=0, timeout=30)

    def ask(messages, **options):
        return client.chat.completions.create(model="any-model", messages=messages, **options)

    return {check.__name__: partial(check, ask) for check in (chat, stream, tools, refused)}


if __name__ == "__main__":
    run({profile: checks(profile) for profile in json.loads(os.environ["PROFILES"])})
