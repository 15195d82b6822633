"""The official Anthropic Python SDK: BASE_URL is the proxy's origin, PROFILES a JSON list of profiles with formats of their own.

One line per check; ends with 1 if one fails.
"""

import json
import os
import sys
import traceback

import anthropic

USER = [{"role": "user", "content": "Tell me a story"}]
WEATHER = {
    "name": "get_weather",
    "description": "The weather in a city",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["city"],
    },
}
CLOCK = {"name": "now", "description": "The time", "input_schema": {"type": "object", "properties": {}}}


class Checks:
    def __init__(self, origin, profile):
        url = f"{origin}/{profile}"
        self.client = anthropic.Anthropic(base_url=url, api_key="local", max_retries=0, timeout=30)

    def ask(self, model="mock-fast", messages=USER, **options):
        return self.client.messages.create(model=model, max_tokens=1000, messages=messages, **options)

    def streamed(self, model="mock-fast", messages=USER, **options):
        with self.client.messages.stream(model=model, max_tokens=1000, messages=messages, **options) as stream:
            text = "".join(stream.text_stream)
            return text, stream.get_final_message()

    def chat(self):
        answer = self.ask(system="Be brief.", metadata={"user_id": "u"}, stop_sequences=["NEVER"])
        assert answer.type == "message" and answer.role == "assistant" and answer.id and answer.model, answer
        assert answer.stop_reason == "end_turn" and answer.content[0].type == "text" and answer.content[0].text, answer
        assert answer.usage.input_tokens > 0 and answer.usage.output_tokens > 0, answer.usage
        assert answer._request_id, "no request-id"

    def stream(self):
        whole = self.ask()
        text, message = self.streamed()
        assert text == whole.content[0].text, (text, whole)
        assert message.stop_reason == "end_turn" and message.usage.output_tokens == whole.usage.output_tokens, message

    def tools(self):
        offered = {"model": "mock-tools-parallel", "tools": [WEATHER, CLOCK]}
        for answer in (self.ask(**offered), self.streamed(**offered)[1]):
            assert answer.stop_reason == "tool_use", answer
            calls = [block for block in answer.content if block.type == "tool_use"]
            assert [call.name for call in calls] == ["get_weather", "now"], calls
            assert calls[0].input["city"] and calls[1].input == {} and calls[0].id != calls[1].id, calls
            results = [
                {"type": "tool_result", "tool_use_id": calls[0].id, "content": "18 degrees"},
                {"type": "tool_result", "tool_use_id": calls[1].id, "content": [{"type": "text", "text": "no clock"}], "is_error": True},
            ]
            messages = [*USER, {"role": "assistant", "content": answer.content}, {"role": "user", "content": results}]
            final = self.ask(model="mock-tools", messages=messages, tools=[WEATHER, CLOCK])
            assert "18 degrees" in final.content[0].text and "no clock" in final.content[0].text, final

    def thinking(self):
        asked = {"model": "mock-reasoning", "thinking": {"type": "enabled", "budget_tokens": 1024}}
        for answer in (self.client.messages.create(max_tokens=4000, messages=USER, **asked), self.streamed(**asked)[1]):
            assert [block.type for block in answer.content] == ["thinking", "text"], answer
            again = [*USER, {"role": "assistant", "content": answer.content}, {"role": "user", "content": "And then?"}]
            assert self.ask(messages=again).content[0].text

    def count(self):
        counted = self.client.messages.count_tokens(model="mock-fast", messages=USER, tools=[WEATHER])
        assert 10 < counted.input_tokens < 200, counted

    def models(self):
        listed = list(self.client.models.list())
        assert listed and all(model.type == "model" and model.display_name and model.created_at for model in listed), listed
        assert self.client.models.retrieve(listed[0].id).id == listed[0].id

    def errors(self):
        for model, kind, word in (
            ("mock-error-401", anthropic.AuthenticationError, "authentication_error"),
            ("mock-error-429", anthropic.RateLimitError, "rate_limit_error"),
            ("mock-error-529", anthropic.APIStatusError, "overloaded_error"),
            ("mock-error-500", anthropic.InternalServerError, "api_error"),
        ):
            try:
                self.ask(model=model)
            except kind as error:
                assert error.body["error"]["type"] == word and error.request_id, error.body
            else:
                raise AssertionError(f"{model} is no {kind.__name__}")

    def error_in_the_stream(self):
        text = ""
        try:
            with self.client.messages.stream(model="mock-error-stream", max_tokens=99, messages=USER) as stream:
                for piece in stream.text_stream:
                    text += piece
        except anthropic.APIError as error:
            assert text and error.message, error
            return
        raise AssertionError("the stream ended as if nothing had happened")

    def server_tools(self):
        try:
            self.ask(tools=[{"type": "web_search_20250305", "name": "web_search"}])
        except anthropic.BadRequestError as error:
            assert "web_search" in error.message, error.message
            return
        raise AssertionError("a tool that nobody runs was taken")


CHECKS = ["chat", "stream", "tools", "thinking", "count", "models", "errors", "error_in_the_stream", "server_tools"]


def main():
    failed = 0
    for profile in json.loads(os.environ["PROFILES"]):
        checks = Checks(os.environ["BASE_URL"], profile)
        for name in CHECKS:
            try:
                getattr(checks, name)()
            except Exception:
                failed += 1
                print(f"not ok - Messages through {profile}: {name}\n{traceback.format_exc()}", flush=True)
            else:
                print(f"ok - Messages through {profile}: {name}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
