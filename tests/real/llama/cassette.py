"""The OpenAI SDK asks a server (BASE_URL) for a stream and for a whole answer, and writes down what came, and when, as JSON."""

import json
import os
import sys
import time

import openai

client = openai.OpenAI(base_url=os.environ["BASE_URL"], api_key="unused", max_retries=0, timeout=120)
# Some seconds of tokens: what a busy machine adds is little beside them.
ASK = {"model": "aiproxy-test", "temperature": 0, "seed": 7, "messages": [{"role": "user", "content": "A café in 東京 🙂"}]}


def timed(raw):
    """A raw answer's pieces, each with the seconds since the request."""
    begun = time.monotonic()
    with raw as response:
        headers = time.monotonic() - begun
        pieces = [(time.monotonic() - begun, piece.decode("latin-1")) for piece in response.iter_bytes()]
    return {"status": response.status_code, "headers": headers, "pieces": pieces, "took": time.monotonic() - begun}


def ask(**more):
    return timed(client.chat.completions.with_streaming_response.create(**ASK, **more))


def read():
    """The same through the SDK's own reader."""
    chunks = client.chat.completions.create(**ASK, max_tokens=50, stream=True)
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


answers = {"stream": ask(max_tokens=2500, stream=True), "whole": ask(max_tokens=1500), "read": read()}
with open(sys.argv[1], "w") as file:
    json.dump(answers, file)
