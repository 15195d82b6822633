// Sends a request and shows its answer while it comes.
import { ask, events, message } from "./api.js";
import { add, bytes, fill, framed, h, millis } from "./dom.js";
import { link } from "./route.js";

/** What an event of a stream, or a whole answer, adds: `{ text, thinking, usage, error }`, in the formats that OpenAI's and Anthropic's clients read. */
export function spoken(json) {
  if (json.error) return { error: json.error.message ?? JSON.stringify(json.error) };
  const choice = json.choices?.[0];
  if (choice) {
    const from = choice.delta ?? choice.message ?? {};
    return { text: from.content ?? choice.text ?? "", thinking: from.reasoning_content ?? from.reasoning ?? "", usage: json.usage };
  }
  if (json.type === "content_block_delta") return { text: json.delta?.text ?? "", thinking: json.delta?.thinking ?? "" };
  if (json.type === "message_delta") return { usage: json.usage };
  if (json.type === "response.output_text.delta") return { text: json.delta ?? "" };
  if (Array.isArray(json.content)) {
    return { text: json.content.map((block) => block.text ?? "").join(""), thinking: json.content.map((block) => block.thinking ?? "").join(""), usage: json.usage };
  }
  return { usage: json.usage };
}

const LONGEST = 1 << 20;

/** A box in which a request is sent. Gives `{ element, done, stop }`. */
export function talk(title, request, more = () => null) {
  const stop = new AbortController();
  const status = h("span.dim", "sending…");
  const thinking = h("pre.thinking", { hidden: true });
  const answer = h("pre.answer", "");
  const foot = h("div.foot");
  const element = h("div.talk", h("div.talkhead", h("b", title), status), thinking, answer, foot);
  const begun = performance.now();
  let first;
  let waiting = ["", ""];
  const draw = framed(() => {
    if (waiting[0]) answer.append(waiting[0]);
    if (waiting[1]) {
      thinking.hidden = false;
      thinking.append(waiting[1]);
    }
    waiting = ["", ""];
  });
  const take = (piece) => {
    if (piece.text || piece.thinking) first ??= performance.now() - begun;
    waiting[0] += piece.text ?? "";
    waiting[1] += piece.thinking ?? "";
    draw();
  };
  const fail = (text) => {
    element.classList.add("failed");
    add(answer, [h("span.problem", text)]);
  };
  const run = async () => {
    let id = "";
    let usage;
    try {
      const response = await ask(request.path, { method: request.method, headers: request.headers, body: request.body || undefined, signal: stop.signal });
      id = response.headers.get("x-aiproxy-exchange") ?? "";
      fill(status, `${response.status}`);
      if (id) fill(foot, h("a.exchange", { href: link(["x", id]) }, id), more(id));
      const media = response.headers.get("content-type") ?? "";
      if (response.ok && media.startsWith("text/event-stream")) {
        for await (const event of events(response)) {
          if (event.data === "[DONE]") continue;
          let piece;
          try {
            piece = spoken(JSON.parse(event.data));
          } catch {
            piece = { text: `${event.data}\n` };
          }
          if (piece.error) fail(piece.error);
          take(piece);
          usage = { ...usage, ...piece.usage };
        }
      } else {
        const text = await response.text();
        if (!response.ok) fail(message(text));
        else {
          let piece;
          try {
            piece = spoken(JSON.parse(text));
          } catch {
            piece = { text };
          }
          if (!piece.text && !piece.thinking) piece.text = text.length > LONGEST ? `${text.slice(0, LONGEST)}… (${bytes(text.length)})` : text;
          take(piece);
          usage = piece.usage;
        }
      }
      const out = usage?.completion_tokens ?? usage?.output_tokens;
      fill(status, `${response.status} · ${first === undefined ? "" : `first after ${millis(first)} · `}${millis(performance.now() - begun)}${out ? ` · ${out} tokens` : ""}`);
    } catch (error) {
      if (error.name === "AbortError") fill(status, "stopped");
      else {
        fill(status, "failed");
        fail(error.message);
      }
    }
    element.classList.add("done");
    return id;
  };
  return { element, done: run(), stop: () => stop.abort() };
}
