"""The official OpenAI Python SDK's `chat.completions` (also embeddings and completions) through the profiles of PROFILES.

See `common.py`. What a provider's format has not must be refused with a 400 (reasoning: dropped with a warning).
"""

import json

import openai
from common import NOTHING, ORIGIN, SKIPPED, STORY, WEATHER, Weather, raised, refusals, run_profiles

USER = [{"role": "user", "content": STORY}]
MESSAGES = [{"role": "system", "content": "Be brief."}, *USER]
ASKED = {"stream": True, "stream_options": {"include_usage": True}}
TOOL = {"type": "function", "function": {"name": "get_weather", "description": "The weather in a city", "parameters": WEATHER}}
CLOCK = {"type": "function", "function": {"name": "now", "description": "The time", "parameters": NOTHING}}
# One red pixel.
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC"
PICTURE = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}

# Services that tell from a model's name how it is asked for vectors.
EMBEDDERS = {"bedrock": "cohere.embed-english-v3", "vertex": "gemini-embedding-001"}


def named(model):
    """Where a format has no place for the model, the profile's URL is made of this header."""
    return {"x-model": model}


class Checks:
    def __init__(self, profile, has):
        self.profile = profile
        self.has = has
        self.client = openai.OpenAI(base_url=f"{ORIGIN}/{profile}/v1", api_key="unused", max_retries=0, timeout=30)

    def ask(self, model="mock-fast", messages=MESSAGES, **options):
        return self.client.chat.completions.create(model=model, messages=messages, extra_headers=named(model), **options)

    def refused(self, **options):
        """What the format has no place for is a 400 that says so."""
        error = raised(openai.BadRequestError, lambda: self.ask(**options))
        assert "cannot take" in error.message, error.message

    def absent(self, ask):
        """An operation that the provider does not have is a 400."""
        assert raised(openai.BadRequestError, ask).body["message"]

    def chat(self):
        answer = self.ask()
        choice = answer.choices[0]
        assert answer.object == "chat.completion" and answer.id and answer.created and answer.model, answer
        assert choice.message.role == "assistant" and choice.message.content, choice
        assert choice.finish_reason == "stop", choice.finish_reason
        usage = answer.usage
        assert usage.prompt_tokens > 0 and usage.completion_tokens > 0, usage
        assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens, usage

    def stream(self):
        whole = self.ask()
        chunks = list(self.ask(**ASKED))
        text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
        assert text == whole.choices[0].message.content, (text, whole.choices[0].message.content)
        assert [c.choices[0].finish_reason for c in chunks if c.choices and c.choices[0].finish_reason] == ["stop"]
        assert [c.choices[0].delta.role for c in chunks if c.choices and c.choices[0].delta.role] == ["assistant"]
        assert len({(c.id, c.created, c.model) for c in chunks}) == 1, "id, created or model change within the stream"
        # A service that tells it unasked is not asked, and the mock tells nothing unasked.
        if "usage" in self.has:
            assert chunks[-1].choices == [] and chunks[-1].usage.completion_tokens == whole.usage.completion_tokens, chunks[-1]
            assert sum(c.usage is not None for c in chunks) == 1
        quiet = list(self.ask(stream=True))
        assert all(c.usage is None for c in quiet), "usage that nobody asked for"

    def every_byte_alone(self):
        chunks = list(self.ask(model="mock-split", messages=[{"role": "user", "content": "hello"}], stream=True, max_tokens=12))
        assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)

    def unicode(self):
        whole = self.ask(model="mock-unicode").choices[0].message.content
        chunks = self.ask(model="mock-unicode", stream=True)
        assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == whole

    def length(self):
        assert self.ask(max_tokens=3).choices[0].finish_reason == "length"

    def tools(self):
        if "tools" not in self.has:
            return self.refused(model="mock-tools", tools=[TOOL])
        asked = {"model": "mock-tools-parallel", "tools": [TOOL, CLOCK]}
        answer = self.ask(**asked)
        calls = answer.choices[0].message.tool_calls
        assert answer.choices[0].finish_reason == "tool_calls", answer.choices[0]
        assert [c.function.name for c in calls] == ["get_weather", "now"], calls
        assert Weather.model_validate_json(calls[0].function.arguments) and len({c.id for c in calls}) == 2, calls
        # The same, streamed.
        streamed = {}
        finish = []
        for chunk in self.ask(stream=True, **asked):
            for choice in chunk.choices:
                finish += [choice.finish_reason] if choice.finish_reason else []
                for call in choice.delta.tool_calls or []:
                    name, arguments = streamed.get(call.index, ("", ""))
                    streamed[call.index] = (name + (call.function.name or ""), arguments + (call.function.arguments or ""))
        assert finish == ["tool_calls"], finish
        assert [(n, json.loads(a)) for n, a in (streamed[i] for i in sorted(streamed))] == [
            (c.function.name, json.loads(c.function.arguments)) for c in calls
        ], streamed
        # And the results back, in the other order.
        results = [{"role": "tool", "tool_call_id": c.id, "content": f"result {c.function.name}"} for c in reversed(calls)]
        history = [*MESSAGES, answer.choices[0].message.model_dump(exclude_none=True), *results]
        last = self.ask(model="mock-tools", tools=[TOOL, CLOCK], messages=history)
        assert last.choices[0].finish_reason == "stop", last.choices[0]
        content = last.choices[0].message.content
        assert "result get_weather" in content or "result now" in content, content

    def call_without_arguments(self):
        if "tools" not in self.has:
            return SKIPPED
        asked = {"model": "mock-tools-noargs", "tools": [CLOCK]}
        assert json.loads(self.ask(**asked).choices[0].message.tool_calls[0].function.arguments) == {}
        arguments = ""
        for chunk in self.ask(stream=True, **asked):
            for choice in chunk.choices:
                arguments += "".join(call.function.arguments or "" for call in choice.delta.tool_calls or [])
        assert json.loads(arguments or "{}") == {}, arguments

    def tool_choice(self):
        if "tools" not in self.has:
            return SKIPPED
        options = {"tools": [TOOL, CLOCK], "tool_choice": {"type": "function", "function": {"name": "now"}}}
        if "tool_choice" not in self.has:
            return self.refused(**options)
        assert self.ask(**options).choices[0].message.tool_calls[0].function.name == "now"
        required = self.ask(tools=[TOOL], tool_choice="required")
        assert required.choices[0].finish_reason == "tool_calls", required.choices[0]

    def schema(self):
        if "schema" not in self.has:
            return self.refused(response_format={"type": "json_schema", "json_schema": {"name": "weather", "schema": WEATHER}})
        asked = {"model": "mock-fast", "messages": MESSAGES, "response_format": Weather, "extra_headers": named("mock-fast")}
        answer = self.client.chat.completions.parse(**asked).choices[0]
        assert isinstance(answer.message.parsed, Weather) and answer.finish_reason == "stop" and not answer.message.tool_calls, answer
        with self.client.chat.completions.stream(**asked) as stream:
            assert stream.get_final_completion().choices[0].message.parsed == answer.message.parsed

    def image(self):
        messages = [{"role": "user", "content": [{"type": "text", "text": "What is this?"}, PICTURE]}]
        if "image" not in self.has:
            return self.refused(messages=messages)
        assert self.ask(messages=messages).choices[0].message.content

    def reasoning(self):
        if "reasoning" not in self.has:
            asked = {"model": "mock-fast", "messages": MESSAGES, "extra_headers": named("mock-fast")}
            answer = self.client.chat.completions.with_raw_response.create(reasoning_effort="low", **asked)
            assert "dropped:reasoning_effort" in answer.headers["x-aiproxy-warnings"], answer.headers
            return
        whole = self.ask(model="mock-reasoning").choices[0].message
        assert whole.reasoning_content and whole.content, whole
        thought = ""
        for chunk in self.ask(model="mock-reasoning", stream=True):
            for choice in chunk.choices:
                thought += getattr(choice.delta, "reasoning_content", None) or ""
        assert thought == whole.reasoning_content, thought

    def errors(self):
        for status, error in refusals(openai, self.ask):
            assert error.body["message"] and (status != 429 or error.response.headers["retry-after"]), error

    def error_in_the_stream(self):
        text = ""
        try:
            for chunk in self.ask(model="mock-error-stream", stream=True):
                text += "".join(c.delta.content or "" for c in chunk.choices)
                assert not any(c.finish_reason for c in chunk.choices), "a failed stream has a finish_reason"
        except openai.APIError as error:
            assert text and error.message, error
            return
        raise AssertionError("the stream ended as if nothing had happened")

    def embeddings(self):
        model = EMBEDDERS.get(self.profile, "mock")
        if "embeddings" not in self.has:
            return self.absent(lambda: self.client.embeddings.create(model=model, input="two words", extra_headers=named(model)))
        one = self.client.embeddings.create(model=model, input="two words")
        assert len(one.data) == 1 and len(one.data[0].embedding) > 4, one
        two = self.client.embeddings.create(model=model, input=["two words", "another"], encoding_format="float")
        assert [d.index for d in two.data] == [0, 1]
        assert all(abs(a - b) < 1e-6 for a, b in zip(two.data[0].embedding, one.data[0].embedding)), "the order or the vector changed"

    def completions(self):
        asked = {"model": "mock-fast", "prompt": "Once upon a time", "max_tokens": 40, "extra_headers": named("mock-fast")}
        if "completions" not in self.has:
            return self.absent(lambda: self.client.completions.create(**asked))
        whole = self.client.completions.create(**asked)
        assert whole.object == "text_completion" and whole.choices[0].text and whole.choices[0].finish_reason, whole
        chunks = list(self.client.completions.create(stream=True, **asked))
        assert "".join(c.choices[0].text for c in chunks if c.choices) == whole.choices[0].text, chunks


CHECKS = [
    "chat", "stream", "every_byte_alone", "unicode", "length", "tools", "call_without_arguments", "tool_choice", "schema", "image",
    "reasoning", "errors", "error_in_the_stream", "embeddings", "completions",
]  # fmt: skip


if __name__ == "__main__":
    run_profiles("chat through", Checks, CHECKS)
