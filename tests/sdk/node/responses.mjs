// The official OpenAI Node SDK's `responses` through the profiles of PROFILES (see `common.mjs`).

import assert from "node:assert/strict";
import OpenAI, * as openai from "openai";
import { zodTextFormat } from "openai/helpers/zod";
import { Weather, all, nothing, raised, refusals, runProfiles, skipped, story, user, weather } from "./common.mjs";

const tools = [
  { type: "function", name: "get_weather", description: "The weather in a city", parameters: weather, strict: false },
  { type: "function", name: "now", description: "The time", parameters: nothing, strict: false },
];

const callsOf = (response) => response.output.filter((item) => item.type === "function_call");

function checks(origin, has) {
  const script = has.has("script");
  const client = new OpenAI({ baseURL: `${origin}/v1`, apiKey: "unused", maxRetries: 0, timeout: 30_000 });
  const options = (more) => ({
    model: "mock-fast",
    input: story,
    max_output_tokens: script ? 1000 : 60,
    temperature: 0,
    ...more,
  });
  const ask = (more) => client.responses.create(options(more));
  // What the SDK puts together from a stream.
  const final = (more) => client.responses.stream(options(more)).finalResponse();

  return {
    async text() {
      const answer = await ask({ instructions: "Be brief." });
      assert(answer.object === "response" && answer.id && answer.created_at && answer.model, JSON.stringify(answer));
      assert(answer.output_text && (answer.status === "completed" || !script), JSON.stringify(answer));
      if (!has.has("usage")) return;
      assert(answer.usage.input_tokens > 0 && answer.usage.output_tokens > 0);
      assert.equal(answer.usage.total_tokens, answer.usage.input_tokens + answer.usage.output_tokens);
    },

    async streamed() {
      const whole = await ask();
      const events = await all(ask({ stream: true }));
      const deltas = events.filter((event) => event.type === "response.output_text.delta").map((event) => event.delta);
      assert(deltas.length > 1, "text in one event only");
      assert.equal(deltas.join(""), whole.output_text);
      assert.deepEqual(events.at(-1).response.usage, whole.usage);
      if (has.has("exact")) assert.deepEqual(events.map((event) => event.sequence_number), [...events.keys()]);
    },

    async helper() {
      const stream = client.responses.stream(options());
      let snapshot;
      stream.on("response.output_text.delta", (event) => (snapshot = event.snapshot));
      const response = await stream.finalResponse();
      assert.equal(response.output_text, (await ask()).output_text);
      assert.equal(snapshot, response.output_text);
    },

    async structured() {
      if (!has.has("schema")) return skipped;
      const asked = { text: { format: zodTextFormat(Weather, "weather") } };
      const whole = (await client.responses.parse(options(asked))).output_parsed;
      Weather.parse(whole);
      assert.deepEqual((await final(asked)).output_parsed, whole);
    },

    async tools() {
      const asked = { model: "mock-tools-parallel", tools: script ? tools : tools.slice(0, 1), max_output_tokens: 1000 };
      for (const answer of [await ask(asked), await final(asked)]) {
        const calls = callsOf(answer);
        assert.equal(answer.status, "completed");
        assert.deepEqual(calls.map((call) => call.name), asked.tools.map((tool) => tool.name));
        Weather.parse(JSON.parse(calls[0].arguments));
        assert.equal(new Set(calls.map((call) => call.call_id)).size, calls.length);
        const results = calls.map((call) => ({ type: "function_call_output", call_id: call.call_id, output: `18 for ${call.name}` }));
        const last = await ask({ model: "mock-tools", tools: asked.tools, input: [user(story), ...answer.output, ...results] });
        if (script) assert.match(last.output_text, /18 for/);
        else assert(last.output.length > 0, JSON.stringify(last));
      }
    },

    async "tool choice"() {
      if (!has.has("tool_choice")) return skipped;
      const answer = await final({ tools: tools.slice(0, 1), tool_choice: "required", max_output_tokens: 1000 });
      assert.deepEqual(callsOf(answer).map((call) => call.name), ["get_weather"]);
    },

    async reasoning() {
      if (!has.has("reasoning")) return skipped;
      const reasoning = { effort: "low", summary: "auto" };
      const asked = { model: "mock-reasoning", reasoning, include: ["reasoning.encrypted_content"], store: false, temperature: undefined };
      for (const answer of [await ask(asked), await final(asked)]) {
        assert.deepEqual(answer.output.map((item) => item.type), ["reasoning", "message"]);
        assert((await ask({ input: [user(story), ...answer.output, user("And then?")], store: false })).output_text);
      }
    },

    async "cut short"() {
      if (!has.has("exact")) return skipped;
      for (const answer of [await ask({ max_output_tokens: 16 }), await final({ max_output_tokens: 16 })]) {
        assert.equal(answer.status, "incomplete");
        assert.equal(answer.incomplete_details.reason, "max_output_tokens");
      }
    },

    async errors() {
      if (!script) {
        const error = await raised(openai.BadRequestError, ask({ input: "word ".repeat(5000) }));
        assert.match(error.message, /context/);
        return;
      }
      for await (const [, error] of refusals(openai, ask)) {
        assert(error.error.message && error.type, JSON.stringify(error.error));
      }
    },

    async "error in the stream"() {
      if (!script) return skipped;
      const stream = client.responses.stream(options({ model: "mock-error-stream" }));
      let text = "";
      stream.on("response.output_text.delta", (event) => (text += event.delta));
      const response = await stream.finalResponse();
      assert(text && response.status === "failed" && response.error.message, JSON.stringify(response));
    },
  };
}

await runProfiles("node, Responses through", checks);
