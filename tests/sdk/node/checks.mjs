// The official OpenAI Node SDK against a running aiproxy: BASE_URL, MODEL (default `mock`), answers must be deterministic.

import assert from "node:assert/strict";
import OpenAI, { BadRequestError, NotFoundError } from "openai";
import { all, run } from "./common.mjs";

const baseURL = process.env.BASE_URL;
const model = process.env.MODEL ?? "mock";
const listed = model.replace(/-fast$/, ""); // The same without delays.
const messages = [
  { role: "system", content: "Be brief." },
  { role: "user", content: "Tell me a story" },
];
const prompt = "Once upon a time";

// A key must be set for the SDK; the proxy does not need it. No retries: an error is to be seen as it came.
const options = { baseURL, apiKey: "unused", maxRetries: 0, timeout: 30_000 };
const client = new OpenAI(options);

const plain = () => client.chat.completions.create({ model, messages });
const streamed = (more) => all(client.chat.completions.create({ model, messages, stream: true, ...more }));
const plainText = async () => (await plain()).choices[0].message.content;
const textOf = (chunks) => chunks.map((c) => c.choices[0]?.delta.content ?? "").join("");
const finishes = (chunks) => chunks.flatMap((c) => c.choices.map((x) => x.finish_reason)).filter(Boolean);

const checks = {
  async "models.list"() {
    const ids = (await all(client.models.list())).map((m) => m.id);
    assert(ids.includes(listed), `${listed} is not among ${ids}`);
  },

  async chat() {
    const answer = await plain();
    assert.equal(answer.object, "chat.completion");
    assert(answer.choices[0].message.content);
    assert.equal(answer.choices[0].message.role, "assistant");
    assert.equal(answer.choices[0].finish_reason, "stop");
    assert.equal(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens);
  },

  async "chat, streamed"() {
    const chunks = await streamed();
    assert(chunks.filter((c) => c.choices[0]?.delta.content).length > 1, "text in one chunk only");
    assert.equal(textOf(chunks), await plainText());
    assert.deepEqual(finishes(chunks), ["stop"]);
  },

  async "usage comes last when asked for"() {
    const chunks = await streamed({ stream_options: { include_usage: true } });
    assert.equal(chunks.filter((c) => c.usage).length, 1);
    assert.deepEqual(chunks.at(-1).choices, []);
    assert.deepEqual(chunks.at(-1).usage, (await plain()).usage);
  },

  async "no usage when not asked for"() {
    const chunks = await streamed();
    assert(chunks.every((c) => !c.usage && c.choices.length > 0));
  },

  async "the SDK's own stream helper"() {
    let deltas = 0;
    const stream = client.chat.completions.stream({ model, messages });
    stream.on("content", () => deltas++);
    assert.equal(await stream.finalContent(), await plainText());
    assert(deltas > 1, `${deltas} deltas`);
  },

  async "completions, whole and streamed"() {
    const answer = await client.completions.create({ model, prompt });
    assert.equal(answer.object, "text_completion");
    assert(answer.choices[0].text);
    const chunks = await all(client.completions.create({ model, prompt, stream: true }));
    const texts = chunks.map((c) => c.choices[0]?.text ?? "").filter(Boolean);
    assert(texts.length > 1, "text in one chunk only");
    assert.equal(texts.join(""), answer.choices[0].text);
    assert.deepEqual(finishes(chunks), ["stop"]);
  },

  async "eight at once"() {
    const expected = await plainText();
    const texts = await Promise.all(Array.from({ length: 8 }, async () => textOf(await streamed())));
    assert.deepEqual(texts, Array(8).fill(expected));
  },

  async "an unknown profile is NotFoundError"() {
    const elsewhere = new OpenAI({ ...options, baseURL: new URL("/no-such-profile/v1", baseURL).href });
    await assert.rejects(elsewhere.chat.completions.create({ model, messages }), (error) => {
      assert(error instanceof NotFoundError, String(error));
      assert.equal(error.status, 404);
      assert.match(error.error.message, /no-such-profile/);
      return true;
    });
  },

  async "a body without messages is BadRequestError"() {
    await assert.rejects(client.post("/chat/completions", { body: { model, temperature: 0 } }), (error) => {
      assert(error instanceof BadRequestError, String(error));
      assert.equal(error.status, 400);
      assert.equal(error.error.message, "request body doesn't contain valid prompts");
      return true;
    });
  },

  async "streams left early do no harm"() {
    const expected = await plainText();
    for (let round = 0; round < 20; round++) {
      const stream = await client.chat.completions.create({ model, messages, stream: true });
      for await (const _ of stream) break;
      stream.controller.abort();
    }
    assert.equal(await plainText(), expected);
  },
};

await run({ node: checks });
