"""The official Anthropic Python SDK through the profiles of PROFILES (see `common.py`)."""

import anthropic
from common import NOTHING, ORIGIN, SKIPPED, STORY, WEATHER, Weather, raised, refusals, run_profiles

TOOLS = [
    {"name": "get_weather", "description": "The weather in a city", "input_schema": WEATHER},
    {"name": "now", "description": "The time", "input_schema": NOTHING},
]
# Anthropic's word for an error of a status.
KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    404: "not_found_error",
    429: "rate_limit_error",
    500: "api_error",
    529: "overloaded_error",
}


def user(text):
    return {"role": "user", "content": text}


def calls_of(message):
    return [block for block in message.content if block.type == "tool_use"]


class Checks:
    def __init__(self, profile, has):
        self.has = has
        self.limit = 1000 if "script" in has else 60
        self.client = anthropic.Anthropic(base_url=f"{ORIGIN}/{profile}", api_key="local", max_retries=0, timeout=30)

    def options(self, more):
        return {"model": "mock-fast", "messages": [user(STORY)], "max_tokens": self.limit, "extra_body": {"temperature": 0}, **more}

    def ask(self, **more):
        return self.client.messages.create(**self.options(more))

    def final(self, **more):
        """What the SDK puts together from a stream."""
        with self.client.messages.stream(**self.options(more)) as stream:
            return stream.get_final_message()

    def text(self):
        answer = self.ask(system="Be brief.", metadata={"user_id": "u"}, stop_sequences=["NEVER"])
        assert answer.type == "message" and answer.role == "assistant" and answer.id and answer.model, answer
        assert [block.type for block in answer.content] == ["text"] and answer.content[0].text, answer
        assert answer.stop_reason == ("end_turn" if "script" in self.has else "max_tokens"), answer
        if "usage" in self.has:
            assert answer.usage.input_tokens > 0 and answer.usage.output_tokens > 0, answer.usage
        assert answer._request_id, "no request-id"

    def events(self):
        events = list(self.ask(stream=True))
        kinds = [event.type for event in events if event.type != "ping"]
        once = [kind for at, kind in enumerate(kinds) if kind != "content_block_delta" or kinds[at - 1] != kind]
        block = ["content_block_start", "content_block_delta", "content_block_stop"]
        assert once == ["message_start", *block, "message_delta", "message_stop"], kinds
        assert kinds.count("content_block_delta") > 1 and events[0].message.content == [], events

    def helper(self):
        whole = self.ask()
        with self.client.messages.stream(**self.options({})) as stream:
            text = "".join(stream.text_stream)
            message = stream.get_final_message()
        assert text == whole.content[0].text == message.content[0].text, (text, whole)
        assert message.stop_reason == whole.stop_reason and message.usage.output_tokens == whole.usage.output_tokens, message

    def structured(self):
        if "schema" not in self.has:
            return SKIPPED
        whole = self.client.messages.parse(output_format=Weather, **self.options({}))
        assert isinstance(whole.parsed_output, Weather), whole
        assert self.final(output_format=Weather).parsed_output == whole.parsed_output

    def tools(self):
        offered = {"model": "mock-tools-parallel", "tools": TOOLS if "script" in self.has else TOOLS[:1], "max_tokens": 1000}
        for answer in (self.ask(**offered), self.final(**offered)):
            calls = calls_of(answer)
            assert answer.stop_reason == "tool_use" and [call.name for call in calls] == [t["name"] for t in offered["tools"]], answer
            assert Weather.model_validate(calls[0].input) and all(call.input == {} for call in calls[1:]), calls
            assert len({call.id for call in calls}) == len(calls), calls
            results = [{"type": "tool_result", "tool_use_id": calls[0].id, "content": "18 degrees"}]
            for call in calls[1:]:
                said = [{"type": "text", "text": "no clock"}]
                results.append({"type": "tool_result", "tool_use_id": call.id, "content": said, "is_error": True})
            messages = [user(STORY), {"role": "assistant", "content": answer.content}, user(results)]
            last = self.ask(model="mock-tools", messages=messages, tools=offered["tools"])
            if "script" in self.has:
                assert "18 degrees" in last.content[0].text and "no clock" in last.content[0].text, last
            else:
                assert last.content, last

    def tool_choice(self):
        if "tool_choice" not in self.has:
            return SKIPPED
        asked = {"tools": TOOLS[:1], "tool_choice": {"type": "any"}, "max_tokens": 1000}
        assert [call.name for call in calls_of(self.final(**asked))] == ["get_weather"]
        if "script" in self.has:
            named = self.ask(tools=TOOLS, tool_choice={"type": "tool", "name": "now"})
            assert [call.name for call in calls_of(named)] == ["now"], named

    def thinking(self):
        if "reasoning" not in self.has:
            return SKIPPED
        asked = {"model": "mock-reasoning", "thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 4000, "extra_body": {}}
        for answer in (self.ask(**asked), self.final(**asked)):
            assert [block.type for block in answer.content] == ["thinking", "text"], answer
            again = [user(STORY), {"role": "assistant", "content": answer.content}, user("And then?")]
            assert self.ask(messages=again).content[0].text

    def cut_short(self):
        if "exact" not in self.has:
            return SKIPPED
        for answer in (self.ask(max_tokens=3), self.final(max_tokens=3)):
            assert answer.stop_reason == "max_tokens", answer

    def count(self):
        counted = self.client.messages.count_tokens(model="mock-fast", messages=[user(STORY)], tools=TOOLS)
        assert 10 < counted.input_tokens < 2000, counted

    def models(self):
        listed = list(self.client.models.list())
        assert listed and all(model.type == "model" and model.display_name and model.created_at for model in listed), listed
        assert self.client.models.retrieve(listed[0].id).id == listed[0].id

    def errors(self):
        if "script" not in self.has:
            for options in ({}, {"stream": True}):
                error = raised(anthropic.BadRequestError, lambda: self.ask(messages=[user("word " * 5000)], **options))
                assert "context" in error.message, error
            return
        for status, error in refusals(anthropic, self.ask):
            assert error.body["error"]["type"] == KINDS[status] and error.request_id, error.body

    def error_in_the_stream(self):
        if "script" not in self.has:
            return SKIPPED
        text = ""
        try:
            with self.client.messages.stream(**self.options({"model": "mock-error-stream"})) as stream:
                for piece in stream.text_stream:
                    text += piece
        except anthropic.APIError as error:
            assert text and error.message, error
            return
        raise AssertionError("the stream ended as if nothing had happened")

    def server_tools(self):
        if "native" in self.has:
            return SKIPPED
        tools = [{"type": "web_search_20250305", "name": "web_search"}]
        error = raised(anthropic.BadRequestError, lambda: self.ask(tools=tools))
        assert "web_search" in error.message, error.message


CHECKS = [
    "text", "events", "helper", "structured", "tools", "tool_choice", "thinking", "cut_short", "count", "models", "errors",
    "error_in_the_stream", "server_tools",
]  # fmt: skip

if __name__ == "__main__":
    run_profiles("Messages through", Checks, CHECKS)
