"""The official OpenAI Python SDK's `responses` through the profiles of PROFILES (see `common.py`)."""

import openai
from common import NOTHING, ORIGIN, SKIPPED, STORY, WEATHER, Weather, raised, refusals, run_profiles

TOOLS = [
    {"type": "function", "name": "get_weather", "description": "The weather in a city", "parameters": WEATHER, "strict": False},
    {"type": "function", "name": "now", "description": "The time", "parameters": NOTHING, "strict": False},
]
RESULTS = {"get_weather": "18 degrees", "now": "noon"}
STARTED, ENDED = ["response.created", "response.in_progress"], "response.completed"
# The events of one text, deltas counted once.
TEXT = [
    "response.output_item.added", "response.content_part.added", "response.output_text.delta", "response.output_text.done",
    "response.content_part.done", "response.output_item.done",
]  # fmt: skip


def user(text):
    return {"role": "user", "content": text}


def calls_of(response):
    return [item for item in response.output if item.type == "function_call"]


class Checks:
    def __init__(self, profile, has):
        self.has = has
        self.limit = 1000 if "script" in has else 60
        self.client = openai.OpenAI(base_url=f"{ORIGIN}/{profile}/v1", api_key="unused", max_retries=0, timeout=30)

    def options(self, more):
        return {"model": "mock-fast", "input": STORY, "max_output_tokens": self.limit, "temperature": 0, **more}

    def ask(self, **more):
        return self.client.responses.create(**self.options(more))

    def final(self, **more):
        """What the SDK puts together from a stream; `completed` must be its end."""
        with self.client.responses.stream(**self.options(more)) as stream:
            return stream.get_final_response()

    def text(self):
        answer = self.ask(instructions="Be brief.")
        assert answer.object == "response" and answer.id and answer.created_at and answer.model and not answer.error, answer
        assert [item.type for item in answer.output] == ["message"] and answer.output[0].role == "assistant", answer.output
        assert answer.output_text and answer.status == "completed" or "script" not in self.has, answer
        usage = answer.usage
        if "usage" in self.has:
            assert usage.input_tokens > 0 and usage.output_tokens > 0, usage
            assert usage.total_tokens == usage.input_tokens + usage.output_tokens, usage

    def events(self):
        whole, events = self.ask(), list(self.ask(stream=True))
        kinds = [event.type for event in events]
        once = [kind for at, kind in enumerate(kinds) if kind != "response.output_text.delta" or kinds[at - 1] != kind]
        assert once[:-1] == STARTED + TEXT, kinds
        deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
        assert len(deltas) > 1 and "".join(deltas) == whole.output_text == events[-1].response.output_text, events[-1]
        assert events[-1].response.usage == whole.usage, (events[-1].response.usage, whole.usage)
        if "exact" in self.has:
            assert kinds[-1] == ENDED and [event.sequence_number for event in events] == list(range(len(events))), events

    def helper(self):
        if "script" not in self.has:
            return SKIPPED  # Only what is complete has a final response, and a random text never ends.
        with self.client.responses.stream(**self.options({})) as stream:
            snapshots = [event.snapshot for event in stream if event.type == "response.output_text.delta"]
            final = stream.get_final_response()
        assert snapshots[-1] == final.output_text == self.ask().output_text, final

    def structured(self):
        if "schema" not in self.has:
            return SKIPPED
        whole = self.client.responses.parse(text_format=Weather, **self.options({}))
        assert isinstance(whole.output_parsed, Weather), whole
        assert self.final(text_format=Weather).output_parsed == whole.output_parsed

    def tools(self):
        offered = {"model": "mock-tools-parallel", "tools": TOOLS if "script" in self.has else TOOLS[:1], "max_output_tokens": 1000}
        for answer in (self.ask(**offered), self.final(**offered)):
            calls = calls_of(answer)
            assert [call.name for call in calls] == [tool["name"] for tool in offered["tools"]], answer
            assert all(call.call_id and call.status == "completed" for call in calls) and answer.status == "completed", answer
            assert Weather.model_validate_json(calls[0].arguments), calls
            assert len({call.call_id for call in calls}) == len(calls), calls
            results = [{"type": "function_call_output", "call_id": c.call_id, "output": RESULTS[c.name]} for c in reversed(calls)]
            last = self.ask(model="mock-tools", tools=offered["tools"], input=[user(STORY), *answer.output, *results])
            if "script" in self.has:
                assert not calls_of(last) and last.output_text, last
                assert any(result in last.output_text for result in RESULTS.values()), last.output_text
            else:
                assert last.output, last

    def call_without_arguments(self):
        if "script" not in self.has:
            return SKIPPED
        asked = {"model": "mock-tools-noargs", "tools": TOOLS[1:]}
        for answer in (self.ask(**asked), self.final(**asked)):
            assert [call.arguments for call in calls_of(answer)] == ["{}"], answer

    def tool_choice(self):
        if "tool_choice" not in self.has:
            return SKIPPED
        asked = {"tools": TOOLS[:1], "tool_choice": "required", "max_output_tokens": 1000}
        assert [call.name for call in calls_of(self.final(**asked))] == ["get_weather"]
        if "script" in self.has:
            named = self.ask(tools=TOOLS, tool_choice={"type": "function", "name": "now"})
            assert [call.name for call in calls_of(named)] == ["now"], named

    def reasoning(self):
        if "reasoning" not in self.has:
            return SKIPPED
        asked = {"model": "mock-reasoning", "reasoning": {"effort": "low", "summary": "auto"}, "temperature": None}
        asked |= {"include": ["reasoning.encrypted_content"], "store": False, "max_output_tokens": 4000}
        for answer in (self.ask(**asked), self.final(**asked)):
            assert [item.type for item in answer.output] == ["reasoning", "message"], answer.output
            assert self.ask(input=[user(STORY), *answer.output, user("And then?")], store=False).output_text

    def cut_short(self):
        if "exact" not in self.has:
            return SKIPPED
        answer = self.ask(max_output_tokens=16)
        last = list(self.ask(max_output_tokens=16, stream=True))[-1]
        assert last.type == "response.incomplete", last
        for response in (answer, last.response):
            assert response.status == "incomplete" and response.incomplete_details.reason == "max_output_tokens", response

    def errors(self):
        if "script" not in self.has:
            for options in ({}, {"stream": True}):
                error = raised(openai.BadRequestError, lambda: self.ask(input="word " * 5000, **options))
                assert "context" in error.message, error
            return
        for _, error in refusals(openai, self.ask):
            assert error.body["message"] and error.type, error.body

    def error_in_the_stream(self):
        if "script" not in self.has:
            return SKIPPED
        events = list(self.ask(model="mock-error-stream", stream=True))
        assert any(event.type == "response.output_text.delta" for event in events), events
        assert events[-1].type == "response.failed" and events[-1].response.status == "failed", events[-1]
        assert events[-1].response.error.message, events[-1]
        # That is all the SDK says of it.
        raised(RuntimeError, lambda: self.final(model="mock-error-stream"))

    def built_in_tools(self):
        if "native" in self.has:
            return SKIPPED
        error = raised(openai.BadRequestError, lambda: self.ask(tools=[{"type": "file_search", "vector_store_ids": ["v"]}]))
        assert "file_search" in error.message, error


CHECKS = [
    "text", "events", "helper", "structured", "tools", "call_without_arguments", "tool_choice", "reasoning", "cut_short", "errors",
    "error_in_the_stream", "built_in_tools",
]  # fmt: skip

if __name__ == "__main__":
    run_profiles("Responses through", Checks, CHECKS)
