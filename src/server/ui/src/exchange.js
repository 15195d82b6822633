// One exchange: what was said, its stages side by side, what differs between them, its events in time.
import { codeView, diffView } from "./code.js";
import { bodyOf, fetchDetail, firstLine, pairs, program, stageOf } from "./detail.js";
import { bytes, clock, count, dollars, fill, framed, h, millis, say, toClipboard, toast } from "./dom.js";
import { replayPanel } from "./replay.js";
import { go, link, note } from "./route.js";
import { all, onChange, onEvent, order, state } from "./store.js";
import { timeline } from "./timeline.js";

const TABS = ["overview", "stages", "diff", "headers", "events"];

const fact = (name, value, title) => (value === "" || value === undefined || value === null ? null : h("div.fact", { title }, h("span.dim", name), h("b", value)));

/** The pieces of an exchange's time, drawn to scale. */
function times(timings) {
  const total = Math.max(timings.total_ms ?? 0, 0.001);
  const marks = [
    ["prepare", timings.sent_ms],
    ["wait", timings.first_byte_ms],
    ["first token", timings.first_token_ms],
    [timings.first_token_ms !== undefined ? "stream" : "answer", timings.total_ms],
  ];
  let at = 0;
  const spans = [];
  for (const [name, until] of marks) {
    if (until === undefined) continue;
    const to = Math.min(Math.max(until, at), total);
    spans.push([name, at, to]);
    at = to;
  }
  return h(
    "div.times",
    h("div.bar-times", spans.map(([name, from, to], index) => h(`span.span-${index}`, { title: `${name} ${millis(to - from)}`, style: { width: `${((to - from) / total) * 100}%` } }))),
    h("div.legend", spans.map(([name, from, to], index) => h("span", h(`i.span-${index}`), `${name} ${millis(to - from)}`))),
  );
}

function part(part) {
  const title = part.kind === "tool_call" ? `tool call ${part.name ?? ""}` : part.kind;
  return h(`div.part.part-${part.kind}`, h("div.dim", title), h("pre", part.text));
}

function usageText(usage) {
  if (!usage) return "";
  const more = [
    usage.cached_tokens ? `${count(usage.cached_tokens)} cached` : "",
    usage.cache_write_tokens ? `${count(usage.cache_write_tokens)} written to the cache` : "",
    usage.reasoning_tokens ? `${count(usage.reasoning_tokens)} reasoning` : "",
    usage.estimated ? "estimated" : "",
  ].filter(Boolean);
  return `${count(usage.prompt_tokens)} in, ${count(usage.completion_tokens)} out${more.length > 0 ? ` (${more.join(", ")})` : ""}`;
}

export function exchangeView(main, parts, query) {
  const id = parts[0] ?? "";
  let tab = TABS.includes(parts[1]) ? parts[1] : "overview";
  let detail = null;
  let other = null;
  let gone = false;
  let closers = [];
  const live = { parts: new Map() };

  const title = h("h1", { id: "title" });
  const facts = h("div.facts");
  const tabs = h("nav.tabs", { role: "tablist" });
  const tools = h("div.tools");
  const body = h("div.body");
  const panel = h("div.panel", { hidden: true });
  main.append(h("div.bar", h("a.button", { href: "#/", title: "Esc" }, "← list"), title, tools), facts, panel, tabs, body);

  const copy = (language) => async () => {
    try {
      toast((await toClipboard(program(language, detail))) ? `copied as ${language}` : "the browser does not allow it");
    } catch (error) {
      toast(error.message);
    }
  };
  const replay = () => {
    if (!detail) return;
    panel.hidden = !panel.hidden;
    if (!panel.hidden) fill(panel, replayPanel(detail));
  };

  const clear = () => {
    for (const close of closers) close();
    closers = [];
  };

  const show = (name) => {
    tab = name;
    note(["x", id, tab], tab === "diff" ? Object.fromEntries(query) : {});
    draw();
  };

  function head() {
    const s = detail;
    fill(title, h("span.id", s.id), ` ${s.method} ${s.path}`);
    fill(
      facts,
      h(`div.fact.is-${s.outcome}`, { id: "outcome-of" }, h("span.dim", "outcome"), h("b", `${s.outcome}${s.status ? ` ${s.status}` : ""}`)),
      fact("profile", s.profile),
      fact("model", [s.provider, s.model].filter(Boolean).join("/")),
      fact("answered by", s.answered_by),
      fact("began", clock(s.began), s.began),
      fact("tokens", usageText(s.usage)),
      fact("cost", dollars(s.cost), s.cost_source),
      fact("first token", millis(s.timings?.first_token_ms)),
      fact("total", millis(s.timings?.total_ms)),
      fact("speed", s.timings?.tokens_per_second ? `${s.timings.tokens_per_second.toFixed(1)} tokens/s` : ""),
      fact("client", s.client_ip),
      fact("bytes", `${bytes(s.request_bytes)} → ${bytes(s.response_bytes)}`),
    );
    fill(
      tabs,
      TABS.map((name, at) => h(`button.tab${name === tab ? ".on" : ""}`, { role: "tab", "aria-selected": String(name === tab), title: `${at + 1}`, onclick: () => show(name) }, name)),
    );
    fill(
      tools,
      h("button", { id: "replay", title: "r", onclick: replay }, "replay"),
      ["curl", "Python", "Node"].map((language) => h("button", { id: `copy-${language.toLowerCase()}`, onclick: copy(language.toLowerCase()) }, `copy ${language}`)),
    );
  }

  function overview() {
    const s = detail;
    const warnings = s.warnings ?? [];
    const answer = h("div", { id: "answer" });
    if (s.outcome === "live") {
      live.draw = framed(() => {
        for (const [number, one] of live.parts) {
          one.box ??= answer.appendChild(part({ ...one, text: "" }));
          const pre = one.box.querySelector("pre");
          // What is there stays: a selection of it, too.
          if (one.text.length > (one.told ?? 0)) {
            pre.append(one.text.slice(one.told ?? 0));
            one.told = one.text.length;
          }
          live.parts.set(number, one);
        }
      });
      for (const one of live.parts.values()) Object.assign(one, { box: null, told: 0 });
      live.draw();
    } else add(answer, s.parts ?? []);
    fill(
      body,
      h(
        "div.overview",
        s.error && h("div.problem", { role: "alert" }, s.failed_at && h("b", `${s.failed_at}: `), s.error),
        warnings.length > 0 && h("div.warnings", h("b", "Lost on the way to the provider"), h("ul", warnings.map((warning) => h("li", warning)))),
        times(s.timings ?? {}),
        s.prompt && h("section", h("h2", "Asked last"), h("pre", { id: "prompt" }, s.prompt)),
        h("section", h("h2", s.outcome === "live" ? "Answer, so far" : "Answer"), answer),
        (s.llm_calls ?? []).length > 0 && h("section", h("h2", "Calls of transformers"), s.llm_calls.map(call)),
      ),
    );
  }

  const add = (box, list) => {
    if (list.length === 0) box.append(h("p.dim", detail.answer ?? "no text"));
    for (const one of list) box.append(part(one));
  };

  function call(one) {
    return h(
      "div.part",
      h("div.dim", `${one.plugin} · ${one.provider}/${one.model} · ${millis(one.took_ms)}${one.cost ? ` · ${dollars(one.cost)}` : ""}`),
      one.error && h("div.problem", one.error),
      h("pre", one.answer ?? ""),
    );
  }

  function view(text, label, options) {
    const code = codeView(text, { label, ...options });
    closers.push(code.close);
    return code.element;
  }

  function stageHead(stage) {
    const notes = [bytes(stage.size), stage.same_as && `as ${stage.same_as}`, stage.truncated && "truncated"].filter(Boolean).join(" · ");
    return [h("h2", stage.stage), h("div.first", firstLine(stage)), h("div.dim", notes)];
  }

  function stages() {
    fill(
      body,
      h(
        "div.stages",
        (detail.stages ?? []).map((stage) =>
          h(
            "section.stage",
            { "data-stage": stage.stage },
            stageHead(stage),
            h("details", h("summary", `${pairs(stage.headers).length} headers`), headers(stage.headers)),
            view(bodyOf(stage), stage.stage),
          ),
        ),
      ),
    );
  }

  const headers = (own) => h("dl.headers", pairs(own).map(([name, value]) => [h("dt", name), h("dd", value)]));

  function headersTab() {
    fill(
      body,
      h("div.stages", (detail.stages ?? []).map((stage) => h("section.stage", { "data-stage": stage.stage }, stageHead(stage), headers(stage.headers)))),
    );
  }

  async function diff() {
    const names = (detail.stages ?? []).map((stage) => stage.stage);
    const pick = (given, fallback) => (names.includes(given) ? given : names.includes(fallback) ? fallback : (names[0] ?? ""));
    const against = query.get("with") ?? "";
    const left = pick(query.get("left"), against ? "returned" : "client");
    const right = pick(query.get("right"), against ? left : "sent");
    if (against && other?.id !== against) {
      try {
        other = await fetchDetail(against);
      } catch (error) {
        fill(body, h("div.problem", error.message));
        return;
      }
      if (tab !== "diff") return;
    }
    const theirs = against ? other : detail;
    const choose = (side, value, list) =>
      h(
        "select",
        {
          id: `diff-${side}`,
          "aria-label": side,
          onchange: (event) => {
            query.set(side, event.target.value);
            if (against && side === "left") query.set("right", event.target.value);
            show("diff");
          },
        },
        list.map((name) => h("option", { value: name, selected: name === value }, name)),
      );
    const [a, b] = [stageOf(detail, left), stageOf(theirs, right)];
    const top = (stage) => [firstLine(stage ?? {}), ...pairs(stage?.headers).map(([name, value]) => `${name}: ${value}`)].join("\n");
    const options = { names: [left, right] };
    const [heads, bodies] = [diffView(a ? top(a) : "", b ? top(b) : "", { ...options, title: "Head" }), diffView(bodyOf(a), bodyOf(b), { ...options, title: "Body" })];
    closers.push(heads.close, bodies.close);
    fill(
      body,
      h(
        "div.compare",
        h(
          "div.codebar",
          choose("left", left, names),
          "→",
          choose("right", right, (theirs.stages ?? []).map((stage) => stage.stage)),
          against ? h("span", "of ", h("a", { href: link(["x", against]) }, against)) : h("span.pairs", [["client", "sent"], ["received", "returned"], ["sent", "received"]].filter(([from, to]) => names.includes(from) && names.includes(to)).map(([from, to]) => h("button", { onclick: () => { query.set("left", from); query.set("right", to); show("diff"); } }, `${from} → ${to}`))),
        ),
        h("div.heads-diff", { id: "diff-head" }, heads.element),
        h("div.bodies-diff", { id: "diff-body" }, bodies.element),
      ),
    );
  }

  function events() {
    const shown = timeline(detail);
    closers.push(shown.close);
    fill(body, shown.element);
  }

  function draw() {
    clear();
    if (gone) {
      fill(body, h("div.problem", gone));
      return;
    }
    if (!detail) return;
    head();
    if (tab === "overview") overview();
    else if (tab === "stages") stages();
    else if (tab === "headers") headersTab();
    else if (tab === "events") events();
    else diff();
  }

  let closed = false;
  /** Events that came while the exchange was read. */
  let waiting = null;
  async function read() {
    try {
      waiting ??= [];
      const fresh = await fetchDetail(id);
      if (closed) return;
      // What was said before this page listened.
      if (fresh.outcome === "live") {
        live.parts = new Map((fresh.parts ?? []).map((one, number) => [number, { ...one, box: null, told: 0 }]));
      }
      detail = fresh;
      const told = fresh.events?.at(-1)?.at_ms ?? -1;
      for (const notice of waiting ?? []) if (notice.at_ms > told) hear(notice);
      waiting = null;
      document.title = `${id} · aiproxy`;
    } catch (error) {
      if (closed) return;
      gone = error.message;
    }
    draw();
  }

  const unwatch = onEvent((notice) => {
    if (notice.exchange !== id) return;
    if (notice.type === "closed") read();
    // What is being read may hold it already.
    else if (waiting) waiting.push(notice);
    else if (detail?.outcome === "live") hear(notice);
  });

  function hear(notice) {
    if (notice.type === "open" && !live.parts.has(notice.part)) {
      live.parts.set(notice.part, { kind: notice.kind, name: notice.name, text: "" });
    }
    if (["text", "thinking", "arguments"].includes(notice.type)) {
      const one = live.parts.get(notice.part) ?? { kind: notice.type, text: "" };
      one.text += notice.text;
      live.parts.set(notice.part, one);
      if (tab === "overview") live.draw?.();
    }
  }

  // What was said while the page did not listen is in no event.
  let heard = state.generation;
  const unlisten = onChange(() => {
    if (state.generation === heard) return;
    const again = heard > 0;
    heard = state.generation;
    if (again && (gone || detail?.outcome === "live")) {
      gone = false;
      read();
    }
  });

  say(title, id);
  read();

  const step = (by) => {
    const at = order.indexOf(id);
    const next = order[at + by];
    if (at >= 0 && next && all.has(next)) go(["x", next, tab]);
  };
  const keys = { r: replay, j: () => step(-1), k: () => step(1), Escape: () => go([]), d: () => show("diff"), c: () => detail && copy("curl")() };
  for (const [at, name] of TABS.entries()) keys[String(at + 1)] = () => detail && show(name);
  return {
    keys,
    close() {
      closed = true;
      unwatch();
      unlisten();
      clear();
    },
  };
}
