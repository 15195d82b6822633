"""The OpenAI SDK through aiproxy (BASE_URL) to a real llama.cpp server (UPSTREAM, its origin), which is also asked directly.

The model is random: what is judged is that its text, usage, errors and timing come through unchanged, and that leaving a
stream stops the work upstream.
"""

import json
import os
import time
import urllib.request

import openai
from common import WEATHER, Weather, run

BASE_URL, UPSTREAM = os.environ["BASE_URL"], os.environ["UPSTREAM"]
MODEL = os.environ.get("MODEL", "aiproxy-test")
MESSAGES = [{"role": "user", "content": "Tell me a story about a café in 東京 🙂"}]
FIXED = {"model": MODEL, "temperature": 0, "seed": 7}
SCHEMA = {
    "type": "object",
    "properties": {
        "city": {"enum": ["Oslo", "Rome"]},
        "sunny": {"type": "boolean"},
        "degrees": {"type": "integer", "minimum": 0, "maximum": 40},
    },
    "required": ["city", "sunny", "degrees"],
    "additionalProperties": False,
}
FORMAT = {"type": "json_schema", "json_schema": {"name": "weather", "strict": True, "schema": SCHEMA}}

proxied = openai.OpenAI(base_url=BASE_URL, api_key="unused", max_retries=0, timeout=60)
direct = openai.OpenAI(base_url=f"{UPSTREAM}/v1", api_key="unused", max_retries=0, timeout=60)


def chat(client=proxied, tokens=200, **more):
    return client.chat.completions.create(messages=MESSAGES, max_tokens=tokens, **FIXED, **more)


def text_of(chunks):
    return "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)


def finishes(chunks):
    return [choice.finish_reason for c in chunks for choice in c.choices if choice.finish_reason is not None]


def working():
    """Whether llama.cpp is busy with a request, by its own account."""
    with urllib.request.urlopen(f"{UPSTREAM}/slots", timeout=5) as response:
        return any(slot["is_processing"] for slot in json.load(response))


def idle_within(seconds):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not working():
            return True
        time.sleep(0.02)
    return False


def plain():
    answer, upstream = chat(), chat(direct)
    assert answer.choices[0].message.content == upstream.choices[0].message.content
    assert len(answer.choices[0].message.content) > 200 and answer.choices[0].finish_reason == "length", answer
    assert answer.usage == upstream.usage and answer.usage.completion_tokens == 200, answer.usage
    assert not answer.choices[0].message.content.isascii(), "no character of more than one byte: the model lost its point"


def streamed():
    chunks = list(chat(stream=True))
    assert text_of(chunks) == chat().choices[0].message.content
    assert sum(bool(c.choices and c.choices[0].delta.content) for c in chunks) > 100, f"{len(chunks)} chunks"
    assert finishes(chunks) == ["length"], finishes(chunks)


def usage():
    chunks = list(chat(stream=True, stream_options={"include_usage": True}))
    assert [c.usage is not None for c in chunks].count(True) == 1 and chunks[-1].choices == [], chunks[-1]
    assert chunks[-1].usage.completion_tokens == 200 and chunks[-1].usage == chat().usage, chunks[-1].usage
    chunks = list(chat(stream=True))
    assert all(c.usage is None and c.choices for c in chunks), "usage that nobody asked for"


def over_time():
    # 800 tokens take llama.cpp some 700 ms. Held back, they would come together at the end; now and then, a busy machine does that, too.
    for _ in range(3):
        begun = time.monotonic()
        arrivals = [time.monotonic() - begun for c in chat(tokens=800, stream=True) if c.choices and c.choices[0].delta.content]
        total = arrivals[-1]
        quarters = [sum(q * total / 4 <= a <= (q + 1) * total / 4 for a in arrivals) for q in range(4)]
        if all(count > len(arrivals) / 20 for count in quarters):
            return
    raise AssertionError(f"first chunk after {arrivals[0]:.3f} s of {total:.3f} s, chunks in each quarter of the time: {quarters}")


def schema():
    whole = chat(response_format=FORMAT)
    value = json.loads(whole.choices[0].message.content)
    assert whole.choices[0].finish_reason == "stop" and set(value) == set(SCHEMA["required"]), whole
    assert value["city"] in ("Oslo", "Rome") and value["sunny"] in (True, False) and 0 <= value["degrees"] <= 40, value
    chunks = list(chat(stream=True, response_format=FORMAT))
    assert text_of(chunks) == whole.choices[0].message.content and finishes(chunks) == ["stop"], text_of(chunks)


def tools():
    tool = {"type": "function", "function": {"name": "get_weather", "description": "The weather in a city", "parameters": WEATHER}}
    asked = {"messages": MESSAGES, "max_tokens": 1000, "tools": [tool], **FIXED}
    after = {"tool_choice": "none", "max_tokens": 60}
    with proxied.chat.completions.stream(**asked) as stream:
        streamed = stream.get_final_completion()
    for answer in (proxied.chat.completions.create(**asked), streamed):
        choice = answer.choices[0]
        assert choice.finish_reason == "tool_calls" and len(choice.message.tool_calls) == 1, answer
        call = choice.message.tool_calls[0]
        assert call.function.name == "get_weather" and Weather.model_validate_json(call.function.arguments), answer
        result = {"role": "tool", "tool_call_id": call.id, "content": "18 degrees"}
        last = proxied.chat.completions.create(**{**asked, **after, "messages": [*MESSAGES, choice.message, result]})
        assert last.choices[0].message.content and not last.choices[0].message.tool_calls, last


def completions():
    ask = {"prompt": "Once upon a time", "max_tokens": 60, **FIXED}
    answer = proxied.completions.create(**ask)
    assert answer.choices[0].text and answer.choices[0].text == direct.completions.create(**ask).choices[0].text
    chunks = list(proxied.completions.create(**ask, stream=True))
    assert "".join(choice.text for c in chunks for choice in c.choices) == answer.choices[0].text
    assert finishes(chunks) == ["length"], finishes(chunks)


def upstream_error():
    def status_and_message(client):
        try:
            client.chat.completions.create(messages=[{"role": "user", "content": "x"}], response_format={"type": "nonsense"}, **FIXED)
        except openai.APIStatusError as error:
            return error.status_code, error.body["message"]
        raise AssertionError("no error")

    assert status_and_message(proxied) == status_and_message(direct)


def left_early():
    # This takes llama.cpp some 7 s: if leaving did not cancel it, it would still be at it. (It does not notice a client that
    # no longer waits for a whole answer, so only streams can be judged here.)
    stream = chat(tokens=3500, stream=True)
    next(iter(stream))
    assert working(), "llama.cpp was done before we left: nothing to cancel"
    stream.close()
    assert idle_within(1.5), "llama.cpp still works 1.5 s after the client left"
    plain()


CHECKS = {
    "chat, equal to asking it directly": plain,
    "streamed text equals the whole one": streamed,
    "usage comes last when asked for, else not": usage,
    "chunks arrive as they are made": over_time,
    "response_format json_schema is enforced": schema,
    "a tool is called, and its result taken": tools,
    "completions, whole and streamed": completions,
    "its errors come through": upstream_error,
    "leaving cancels the work upstream": left_early,
}

if __name__ == "__main__":
    run({"llama.cpp": CHECKS})
