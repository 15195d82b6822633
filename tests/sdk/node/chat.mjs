// The official OpenAI Node SDK's `chat.completions` through the profiles of PROFILES (see `common.mjs`).

import assert from "node:assert/strict";
import OpenAI, * as openai from "openai";
import { zodResponseFormat } from "openai/helpers/zod";
import { Weather, all, nothing, raised, refusals, runProfiles, skipped, story, user, weather } from "./common.mjs";

const tools = [
  { type: "function", function: { name: "get_weather", description: "The weather in a city", parameters: weather } },
  { type: "function", function: { name: "now", description: "The time", parameters: nothing } },
];

const callsOf = (message) => message.tool_calls ?? [];

function checks(origin, has) {
  const script = has.has("script");
  const client = new OpenAI({ baseURL: `${origin}/v1`, apiKey: "unused", maxRetries: 0, timeout: 30_000 });
  const options = (more) => ({
    model: "mock-fast",
    messages: [{ role: "system", content: "Be brief." }, user(story)],
    max_tokens: script ? 1000 : 60,
    temperature: 0,
    ...more,
  });
  const ask = (more) => client.chat.completions.create(options(more));
  // What the SDK puts together from a stream.
  const final = (more) => client.chat.completions.stream(options(more)).finalChatCompletion();

  return {
    async text() {
      const answer = await ask();
      assert(answer.object === "chat.completion" && answer.id && answer.created && answer.model, JSON.stringify(answer));
      assert(answer.choices[0].message.content);
      assert.equal(answer.choices[0].finish_reason, script ? "stop" : "length");
      if (!has.has("usage")) return;
      assert(answer.usage.prompt_tokens > 0 && answer.usage.completion_tokens > 0);
      assert.equal(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens);
    },

    async streamed() {
      const whole = await ask();
      const chunks = await all(ask({ stream: true, stream_options: { include_usage: true } }));
      assert.equal(chunks.map((c) => c.choices[0]?.delta.content ?? "").join(""), whole.choices[0].message.content);
      assert.equal(chunks.at(-1).usage?.completion_tokens, whole.usage?.completion_tokens);
    },

    async helper() {
      if (!script) return skipped; // The SDK raises LengthFinishReasonError, and a random text never ends.
      const stream = client.chat.completions.stream(options());
      let deltas = 0;
      stream.on("content", () => deltas++);
      assert.equal(await stream.finalContent(), (await ask()).choices[0].message.content);
      assert(deltas > 1, `${deltas} deltas`);
    },

    async structured() {
      if (!has.has("schema")) return skipped;
      const asked = { response_format: zodResponseFormat(Weather, "weather") };
      const whole = (await client.chat.completions.parse(options(asked))).choices[0].message.parsed;
      Weather.parse(whole);
      assert.deepEqual((await final(asked)).choices[0].message.parsed, whole);
    },

    async tools() {
      const asked = { model: "mock-tools-parallel", tools: script ? tools : tools.slice(0, 1), max_tokens: 1000 };
      for (const answer of [await ask(asked), await final(asked)]) {
        const { message, finish_reason } = answer.choices[0];
        const calls = callsOf(message);
        assert.equal(finish_reason, "tool_calls");
        assert.deepEqual(calls.map((call) => call.function.name), asked.tools.map((tool) => tool.function.name));
        Weather.parse(JSON.parse(calls[0].function.arguments));
        assert.equal(new Set(calls.map((call) => call.id)).size, calls.length);
        const results = calls.map((call) => ({ role: "tool", tool_call_id: call.id, content: `18 for ${call.function.name}` }));
        const last = await ask({ model: "mock-tools", tools: asked.tools, messages: [user(story), message, ...results] });
        if (script) assert.match(last.choices[0].message.content, /18 for/);
        else assert(last.choices[0].message, JSON.stringify(last));
      }
    },

    async "tool choice"() {
      if (!has.has("tool_choice")) return skipped;
      const answer = await final({ tools: tools.slice(0, 1), tool_choice: "required", max_tokens: 1000 });
      assert.deepEqual(callsOf(answer.choices[0].message).map((call) => call.function.name), ["get_weather"]);
    },

    async errors() {
      if (!script) {
        const error = await raised(openai.BadRequestError, ask({ messages: [user("word ".repeat(5000))] }));
        assert.match(error.message, /context/);
        return;
      }
      for await (const [, error] of refusals(openai, ask)) {
        assert(error.error.message && error.type, JSON.stringify(error.error));
      }
    },

    async "error in the stream"() {
      if (!script) return skipped;
      let text = "";
      const read = async () => {
        for await (const chunk of await ask({ model: "mock-error-stream", stream: true })) {
          text += chunk.choices[0]?.delta.content ?? "";
        }
      };
      await raised(openai.APIError, read());
      assert(text, "no text before the error");
    },
  };
}

await runProfiles("node, chat through", checks);
