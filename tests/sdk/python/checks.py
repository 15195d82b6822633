"""The official OpenAI Python SDK against a running aiproxy: BASE_URL, MODEL (default `mock`), answers must be deterministic."""

import asyncio
import os
from urllib.parse import urlsplit

import openai
from common import run

BASE_URL = os.environ["BASE_URL"]
MODEL = os.environ.get("MODEL", "mock")
LISTED = MODEL.removesuffix("-fast")  # The same without delays.
MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Tell me a story"}]
PROMPT = "Once upon a time"
ASKED = {"stream": True, "stream_options": {"include_usage": True}}

# A key must be set for the SDK; the proxy does not need it. No retries: an error is to be seen as it came.
client = openai.OpenAI(base_url=BASE_URL, api_key="unused", max_retries=0, timeout=30)
aclient = openai.AsyncOpenAI(base_url=BASE_URL, api_key="unused", max_retries=0, timeout=30)


def text_of(chunks):
    return "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)


def finishes(chunks):
    return [choice.finish_reason for c in chunks for choice in c.choices if choice.finish_reason is not None]


def plain():
    return client.chat.completions.create(model=MODEL, messages=MESSAGES)


def models():
    listed = client.models.list()
    ids = [m.id for m in listed]
    assert LISTED in ids, f"{LISTED} is not among {ids}"
    assert len(ids) == len(set(ids)), f"an id is listed twice: {ids}"
    assert all(m.object == "model" for m in listed)


def chat():
    answer = plain()
    assert answer.object == "chat.completion" and answer.id and answer.created and answer.model, answer
    assert len(answer.choices) == 1 and answer.choices[0].index == 0
    choice = answer.choices[0]
    assert choice.message.role == "assistant" and choice.message.content, choice
    assert choice.finish_reason == "stop", choice.finish_reason
    assert answer.usage.prompt_tokens > 0 and answer.usage.completion_tokens > 0, answer.usage
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens, answer.usage
    assert plain().choices[0].message.content == choice.message.content, "the same request got another text"


def chat_streamed():
    chunks = list(client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True))
    texts = [c for c in chunks if c.choices and c.choices[0].delta.content]
    assert len(texts) > 1, f"{len(texts)} chunks with text"
    assert text_of(chunks) == plain().choices[0].message.content, text_of(chunks)
    assert finishes(chunks) == ["stop"], finishes(chunks)
    assert len({c.id for c in chunks}) == 1, "the id changes within the stream"
    assert all(c.object == "chat.completion.chunk" and c.model for c in chunks)
    roles = [c.choices[0].delta.role for c in chunks if c.choices and c.choices[0].delta.role]
    assert roles == ["assistant"] and chunks[0].choices[0].delta.role == "assistant", roles


def usage_when_asked():
    chunks = list(client.chat.completions.create(model=MODEL, messages=MESSAGES, **ASKED))
    assert [c.usage is not None for c in chunks].count(True) == 1, "usage in more than one chunk, or in none"
    assert chunks[-1].usage is not None and chunks[-1].choices == [], chunks[-1]
    assert chunks[-1].usage == plain().usage, (chunks[-1].usage, plain().usage)
    assert finishes(chunks) == ["stop"], finishes(chunks)


def no_usage_when_not_asked():
    for options in ({}, {"stream_options": {"include_usage": False}}):
        chunks = list(client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True, **options))
        assert all(c.usage is None for c in chunks), "usage that nobody asked for"
        assert all(c.choices for c in chunks), "a chunk without a choice"


def stream_helper():
    with client.chat.completions.stream(model=MODEL, messages=MESSAGES) as stream:
        deltas = [event.delta for event in stream if event.type == "content.delta"]
        final = stream.get_final_completion()
    assert len(deltas) > 1 and "".join(deltas) == final.choices[0].message.content == plain().choices[0].message.content


def completions():
    answer = client.completions.create(model=MODEL, prompt=PROMPT)
    assert answer.object == "text_completion" and answer.choices[0].text, answer
    assert answer.choices[0].finish_reason == "stop" and answer.usage.total_tokens > 0, answer
    chunks = list(client.completions.create(model=MODEL, prompt=PROMPT, stream=True))
    texts = [choice.text for c in chunks for choice in c.choices if choice.text]
    assert len(texts) > 1 and "".join(texts) == answer.choices[0].text, texts
    assert finishes(chunks) == ["stop"], finishes(chunks)
    assert all(c.object == "text_completion" for c in chunks)
    assert all(c.usage is None for c in chunks), "usage that nobody asked for"
    asked = list(client.completions.create(model=MODEL, prompt=PROMPT, **ASKED))
    assert asked[-1].usage is not None and asked[-1].choices == [] and asked[-1].usage == answer.usage, asked[-1]


def asynchronous():
    async def one():
        whole = await aclient.chat.completions.create(model=MODEL, messages=MESSAGES)
        stream = await aclient.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True)
        chunks = [c async for c in stream]
        assert finishes(chunks) == ["stop"], finishes(chunks)
        return whole.choices[0].message.content, text_of(chunks)

    async def all_at_once():
        texts = await asyncio.gather(*(one() for _ in range(8)))
        await aclient.close()
        return texts

    texts = {text for pair in asyncio.run(all_at_once()) for text in pair}
    assert texts == {plain().choices[0].message.content}, texts


def refused(kind, status, call):
    """What the SDK raised, which must be `kind` with an error in OpenAI's shape."""
    try:
        call()
    except openai.APIStatusError as error:
        assert type(error) is kind and error.status_code == status, repr(error)
        assert isinstance(error.body, dict) and error.body["message"] and error.type, error.body
        return error.body["message"]
    raise AssertionError(f"no {kind.__name__}")


def unknown_profile():
    at = urlsplit(BASE_URL)
    elsewhere = client.with_options(base_url=f"{at.scheme}://{at.netloc}/no-such-profile/v1")
    create = elsewhere.chat.completions.create
    message = refused(openai.NotFoundError, 404, lambda: create(model=MODEL, messages=MESSAGES))
    assert "no-such-profile" in message, message
    refused(openai.NotFoundError, 404, lambda: create(model=MODEL, messages=MESSAGES, stream=True))


def bad_body():
    body = {"model": MODEL, "temperature": 0}
    message = refused(openai.BadRequestError, 400, lambda: client.post("/chat/completions", body=body, cast_to=object))
    assert message == "request body doesn't contain valid prompts", message


def left_early():
    expected = plain().choices[0].message.content
    for _ in range(20):
        stream = client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True)
        next(iter(stream))
        stream.close()
    assert plain().choices[0].message.content == expected
    models()


CHECKS = {
    "models.list": models,
    "chat": chat,
    "chat, streamed": chat_streamed,
    "usage comes last when asked for": usage_when_asked,
    "no usage when not asked for": no_usage_when_not_asked,
    "the SDK's own stream helper": stream_helper,
    "completions, whole and streamed": completions,
    "async client, eight at once": asynchronous,
    "an unknown profile is NotFoundError": unknown_profile,
    "a body without messages is BadRequestError": bad_body,
    "streams left early do no harm": left_early,
}

if __name__ == "__main__":
    run({"python": CHECKS})
