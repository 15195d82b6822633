// When the provider's answer came, piece by piece.
import { bytes, count, h, millis } from "./dom.js";
import { bodyOf, stageOf } from "./detail.js";
import { Rows } from "./virtual.js";

/** The answer's bytes as they came: `{ at, text, size }`. */
function pieces(detail) {
  const body = stageOf(detail, "received");
  const whole = new TextEncoder().encode(body?.body_base64 ? "" : bodyOf(body));
  const decoder = new TextDecoder();
  let from = 0;
  return (detail.chunks ?? []).map((chunk) => {
    const text = decoder.decode(whole.subarray(from, from + chunk.bytes));
    from += chunk.bytes;
    return { at: chunk.at_ms, text, what: bytes(chunk.bytes) };
  });
}

const spoken = (detail) => (detail.events ?? []).map((event) => ({ at: event.at_ms, text: event.text ?? "", what: event.type, part: event.part }));

/** A drawing of all moments; the height tells how many come at once. */
function strip(list, total) {
  const canvas = h("canvas.strip", { id: "strip", width: 1200, height: 60 });
  const pen = canvas.getContext("2d");
  const columns = new Array(canvas.width).fill(0);
  for (const one of list) columns[Math.min(canvas.width - 1, Math.max(0, Math.floor((one.at / total) * (canvas.width - 1))))]++;
  const most = Math.max(1, ...columns);
  pen.fillStyle = getComputedStyle(document.documentElement).getPropertyValue("--accent").trim() || "#06c";
  for (const [x, number] of columns.entries()) {
    if (number === 0) continue;
    const height = Math.max(6, (number / most) * (canvas.height - 4));
    pen.fillRect(x, canvas.height - height, 2, height);
  }
  return canvas;
}

export function timeline(detail) {
  const raw = pieces(detail);
  const said = spoken(detail);
  let list = said.length > 0 ? said : raw;
  const total = Math.max(detail.timings?.total_ms ?? 0, ...[raw.at(-1)?.at ?? 0, said.at(-1)?.at ?? 0], 1);
  const rows = new Rows({
    height: 22,
    label: "events",
    classes: ".timeline",
    render(index, old) {
      if (old) return old;
      const one = list[index];
      const gap = one.at - (list[index - 1]?.at ?? 0);
      return h(
        "div.moment",
        h("span.at", millis(one.at)),
        h("span.gap", index > 0 ? `+${millis(gap)}` : ""),
        h("span.lane", h("i", { style: { left: `${(one.at / total) * 100}%` } })),
        h("span.what", `${one.what}${one.part === undefined ? "" : ` ${one.part}`}`),
        h("span.said", { title: one.text.slice(0, 2000) }, one.text.slice(0, 400)),
      );
    },
  });
  const box = h("div.stripbox");
  const note = h("span.dim.grow");
  const choose = (name, own) =>
    h(
      "button",
      {
        id: `events-${name}`,
        disabled: own.length === 0,
        onclick: () => use(own),
      },
      `${name} (${count(own.length)})`,
    );
  const buttons = h("div.codebar", choose("decoded", said), choose("raw", raw), note);
  function use(own) {
    list = own;
    const gaps = own.slice(1).map((one, at) => one.at - own[at].at);
    note.textContent = own.length === 0 ? "nothing was kept" : `first after ${millis(own[0].at)}, longest pause ${millis(gaps.reduce((most, gap) => Math.max(most, gap), 0))}, over ${millis(total)}`;
    box.replaceChildren(strip(own, total));
    for (const button of buttons.querySelectorAll("button")) button.classList.toggle("on", button.id === (own === said ? "events-decoded" : "events-raw"));
    rows.reset(own.length);
  }
  use(list);
  return { element: h("div.events", buttons, box, rows.element), close: () => rows.close() };
}
