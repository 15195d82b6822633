// The official Anthropic Node SDK through the profiles of PROFILES (see `common.mjs`).

import assert from "node:assert/strict";
import Anthropic, * as anthropic from "@anthropic-ai/sdk";
import { zodOutputFormat } from "@anthropic-ai/sdk/helpers/zod";
import { Weather, all, nothing, raised, refusals, runProfiles, skipped, story, user, weather } from "./common.mjs";

const tools = [
  { name: "get_weather", description: "The weather in a city", input_schema: weather },
  { name: "now", description: "The time", input_schema: nothing },
];

// Anthropic's word for an error of a status.
const words = {
  400: "invalid_request_error",
  401: "authentication_error",
  404: "not_found_error",
  429: "rate_limit_error",
  500: "api_error",
  529: "overloaded_error",
};

const callsOf = (message) => message.content.filter((block) => block.type === "tool_use");

function checks(origin, has) {
  const script = has.has("script");
  const client = new Anthropic({ baseURL: origin, apiKey: "local", maxRetries: 0, timeout: 30_000 });
  const options = (more) => ({
    model: "mock-fast",
    messages: [user(story)],
    max_tokens: script ? 1000 : 60,
    temperature: 0,
    ...more,
  });
  const ask = (more) => client.messages.create(options(more));
  // What the SDK puts together from a stream.
  const final = (more) => client.messages.stream(options(more)).finalMessage();

  return {
    async text() {
      const answer = await ask({ system: "Be brief.", metadata: { user_id: "u" } });
      assert(answer.type === "message" && answer.role === "assistant" && answer.id && answer.model, JSON.stringify(answer));
      assert.equal(answer.stop_reason, script ? "end_turn" : "max_tokens");
      assert(answer.content[0].text && answer._request_id, JSON.stringify(answer));
      if (has.has("usage")) assert(answer.usage.input_tokens > 0 && answer.usage.output_tokens > 0, JSON.stringify(answer));
    },

    async streamed() {
      const kinds = (await all(ask({ stream: true }))).map((event) => event.type).filter((kind) => kind !== "ping");
      assert.equal(kinds[0], "message_start");
      assert.deepEqual(kinds.slice(-3), ["content_block_stop", "message_delta", "message_stop"]);
    },

    async helper() {
      const whole = await ask();
      const stream = client.messages.stream(options());
      let text = "";
      stream.on("text", (delta) => (text += delta));
      const message = await stream.finalMessage();
      assert.equal(text, whole.content[0].text);
      assert.equal(await stream.finalText(), text);
      assert.equal(message.stop_reason, whole.stop_reason);
      assert.equal(message.usage.output_tokens, whole.usage.output_tokens);
    },

    async structured() {
      if (!has.has("schema")) return skipped;
      const asked = { output_config: { format: zodOutputFormat(Weather) } };
      const whole = (await client.messages.parse(options(asked))).parsed_output;
      Weather.parse(whole);
      assert.deepEqual((await final(asked)).parsed_output, whole);
    },

    async tools() {
      const asked = { model: "mock-tools-parallel", tools: script ? tools : tools.slice(0, 1), max_tokens: 1000 };
      for (const answer of [await ask(asked), await final(asked)]) {
        const calls = callsOf(answer);
        assert.equal(answer.stop_reason, "tool_use");
        assert.deepEqual(calls.map((call) => call.name), asked.tools.map((tool) => tool.name));
        Weather.parse(calls[0].input);
        assert.deepEqual(calls.slice(1).map((call) => call.input), calls.slice(1).map(() => ({})));
        assert.equal(new Set(calls.map((call) => call.id)).size, calls.length);
        const results = calls.map((call) => ({ type: "tool_result", tool_use_id: call.id, content: `18 for ${call.name}` }));
        const messages = [user(story), { role: "assistant", content: answer.content }, user(results)];
        const last = await ask({ model: "mock-tools", tools: asked.tools, messages });
        if (script) assert.match(last.content[0].text, /18 for get_weather[^]*18 for now/);
        else assert(last.content.length > 0, JSON.stringify(last));
      }
    },

    async "tool choice"() {
      if (!has.has("tool_choice")) return skipped;
      const answer = await final({ tools: tools.slice(0, 1), tool_choice: { type: "any" }, max_tokens: 1000 });
      assert.deepEqual(callsOf(answer).map((call) => call.name), ["get_weather"]);
    },

    async thinking() {
      if (!has.has("reasoning")) return skipped;
      const thinking = { type: "enabled", budget_tokens: 1024 };
      const asked = { model: "mock-reasoning", thinking, max_tokens: 4000, temperature: undefined };
      for (const answer of [await ask(asked), await final(asked)]) {
        assert.deepEqual(answer.content.map((block) => block.type), ["thinking", "text"]);
        const messages = [user(story), { role: "assistant", content: answer.content }, user("And then?")];
        assert((await ask({ messages })).content[0].text);
      }
    },

    async count() {
      const { input_tokens } = await client.messages.countTokens({ model: "mock-fast", messages: [user(story)], tools });
      assert(input_tokens > 10 && input_tokens < 2000, `${input_tokens} tokens`);
    },

    async models() {
      const listed = await all(client.models.list());
      assert(listed.length > 0 && listed.every((model) => model.type === "model" && model.display_name && model.created_at));
      assert.equal((await client.models.retrieve(listed[0].id)).id, listed[0].id);
    },

    async errors() {
      if (!script) {
        const error = await raised(anthropic.BadRequestError, ask({ messages: [user("word ".repeat(5000))] }));
        assert.match(error.message, /context/);
        return;
      }
      for await (const [status, error] of refusals(anthropic, ask)) {
        assert(error.error.error.type === words[status] && error.requestID, JSON.stringify(error.error));
      }
    },

    async "error in the stream"() {
      if (!script) return skipped;
      const stream = client.messages.stream(options({ model: "mock-error-stream" }));
      let text = "";
      stream.on("text", (delta) => (text += delta));
      const error = await stream.finalMessage().then(
        () => assert.fail("the stream ended as if nothing had happened"),
        (error) => error,
      );
      assert(error instanceof anthropic.APIError && text, String(error));
    },
  };
}

await runProfiles("node, Messages through", checks);
