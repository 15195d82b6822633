// The list of exchanges: live, with filter and search.
import { json } from "./api.js";
import { clock, count, dollars, framed, h, many, millis, say, settled, short } from "./dom.js";
import { go, link, note } from "./route.js";
import { all, onChange, order, state } from "./store.js";
import { Rows } from "./virtual.js";

const COLUMNS = ["time", "id", "profile", "model", "status", "tokens", "first", "total", "cost", "text"];
const HEADS = ["Time", "Id", "Profile", "Model", "Status", "Tokens", "First", "Total", "Cost", "Prompt → answer"];

let selected = "";

/** What a row says of an exchange. */
function cells(item) {
  const { s, live } = item;
  const usage = s.usage;
  const answer = live ? item.text || item.thinking : s.answer || s.error || "";
  const shown = live ? answer.slice(-300) : answer.slice(0, 300);
  return {
    time: clock(s.began),
    id: s.id,
    profile: s.profile,
    model: s.model,
    status: live ? "live" : s.outcome === "cancelled" ? "left" : (s.status ?? s.outcome),
    tokens: usage ? `${usage.estimated ? "~" : ""}${short(usage.prompt_tokens)}+${short(usage.completion_tokens)}` : "",
    first: millis(s.timings?.first_token_ms),
    total: live ? "…" : millis(s.timings?.total_ms),
    cost: dollars(s.cost),
    text: `${(s.prompt ?? "").slice(0, 200)}${shown && " → "}${shown}`.replace(/\s+/g, " "),
  };
}

export function outcome({ s, live }) {
  return live ? "live" : s.outcome;
}

export function listView(main, query) {
  const wanted = { q: query.get("q") ?? "", profile: query.get("profile") ?? "", outcome: query.get("outcome") ?? "", model: query.get("model") ?? "" };
  let shown = [];
  /** What the server found in prompts and answers as a whole. */
  let hits = new Set();
  let searched = "";

  const head = h("div.row.heads", HEADS.map((text, at) => h(`span.c-${COLUMNS[at]}`, text)));
  const rows = new Rows({
    height: 26,
    label: "exchanges",
    classes: ".exchanges",
    key: (index) => shown[index],
    render(index, old) {
      const id = shown[index];
      const item = all.get(id);
      const row = old ?? h("a.row", { href: link(["x", id]), tabIndex: -1, "data-id": id }, COLUMNS.map((name) => h(`span.c-${name}`)));
      if (!item) return row;
      const texts = cells(item);
      for (const [at, name] of COLUMNS.entries()) say(row.children[at], String(texts[name]));
      row.className = `row is-${outcome(item)}${id === selected ? " selected" : ""}`;
      return row;
    },
  });
  const found = h("span.dim", { id: "found", role: "status" });
  const search = h("input", { type: "search", id: "search", placeholder: "search  /", "aria-label": "search", value: wanted.q });
  const profiles = h("select", { id: "profile", "aria-label": "profile" });
  const outcomes = h(
    "select",
    { id: "outcome", "aria-label": "outcome" },
    [["", "all"], ["live", "live"], ["ok", "ok"], ["failed", "failed"], ["cancelled", "cancelled"]].map(([value, text]) =>
      h("option", { value, selected: value === wanted.outcome }, text),
    ),
  );
  const model = h("input", { type: "search", id: "model", placeholder: "model", "aria-label": "model", value: wanted.model });

  const matches = (item) => {
    const { s } = item;
    if (wanted.profile && s.profile !== wanted.profile) return false;
    if (wanted.outcome && outcome(item) !== wanted.outcome) return false;
    if (wanted.model && !`${s.model} ${s.answered_by ?? ""}`.toLowerCase().includes(wanted.model.toLowerCase())) return false;
    if (!wanted.q || hits.has(s.id)) return true;
    const text = wanted.q.toLowerCase();
    return [s.id, s.profile, s.model, s.path, s.prompt, s.answer, s.error, item.live ? item.text : ""].some((own) => own?.toLowerCase().includes(text));
  };

  let names = "";
  const draw = framed(() => {
    const served = [...new Set([...state.profiles.map((profile) => profile.name), ...[...all.values()].map((item) => item.s.profile)])];
    if (names !== served.join("\n")) {
      names = served.join("\n");
      profiles.replaceChildren(h("option", { value: "" }, "all profiles"), ...served.map((name) => h("option", { value: name }, name)));
      profiles.value = wanted.profile;
    }
    shown = [];
    for (let at = order.length - 1; at >= 0; at--) {
      const item = all.get(order[at]);
      if (item && matches(item)) shown.push(item.s.id);
    }
    say(found, shown.length === order.length ? many(order.length, "exchange") : `${count(shown.length)} of ${many(order.length, "exchange")}`);
    empty.hidden = shown.length > 0;
    rows.update(shown.length);
  });

  // The list holds the beginnings of texts; what is further in, the server looks up.
  const deep = settled(200, async () => {
    const text = wanted.q;
    if (text.length < 2) {
      hits = new Set();
      draw();
      return;
    }
    const ids = new Set();
    let before = "";
    try {
      do {
        const page = await json(`/_aiproxy/exchanges?limit=1000&grep=${encodeURIComponent(text)}${before && `&before=${before}`}`);
        if (text !== wanted.q) return;
        for (const summary of page.exchanges) ids.add(summary.id);
        before = page.next ?? "";
      } while (before);
      hits = ids;
      searched = text;
    } catch {
      // A lost connection shows elsewhere.
    }
    draw();
  });

  const changed = () => {
    wanted.q = search.value;
    wanted.profile = profiles.value;
    wanted.outcome = outcomes.value;
    wanted.model = model.value;
    note([], wanted);
    if (wanted.q !== searched) deep();
    draw();
  };
  search.addEventListener("input", changed);
  model.addEventListener("input", changed);
  profiles.addEventListener("change", changed);
  outcomes.addEventListener("change", changed);

  const empty = h("div.empty", h("p", "Nothing here yet. Point an SDK at one of these:"), h("ul"));
  const bases = () => {
    const list = empty.querySelector("ul");
    list.replaceChildren(...state.profiles.slice(0, 8).map((profile) => h("li", h("code", `${location.origin}/${profile.name}/v1`))));
    empty.firstChild.textContent = all.size > 0 ? "Nothing matches." : "Nothing here yet. Point an SDK at one of these, or ask in the playground:";
    list.hidden = all.size > 0;
  };

  main.append(h("div.bar", search, profiles, outcomes, model, found), h("div.table", head, rows.element, empty));
  // What ended meanwhile may hold it, too.
  const deeper = settled(1000, deep);
  let ended = 0;
  const stop = onChange(() => {
    bases();
    draw();
    if (!wanted.q) return;
    let now = 0;
    for (const item of all.values()) now += item.live ? 0 : 1;
    if (now !== ended) deeper();
    ended = now;
  });
  bases();
  draw();
  if (wanted.q) deep();

  const move = (step) => {
    const at = shown.indexOf(selected);
    const next = at < 0 && Math.abs(step) === 1 ? 0 : Math.max(0, Math.min(shown.length - 1, at + step));
    selected = shown[next] ?? "";
    rows.show(next);
    rows.update();
  };
  return {
    keys: {
      j: () => move(1),
      k: () => move(-1),
      ArrowDown: () => move(1),
      ArrowUp: () => move(-1),
      PageDown: () => move(20),
      PageUp: () => move(-20),
      Home: () => move(-1e9),
      End: () => move(1e9),
      Enter: () => selected && go(["x", selected]),
      "/": () => search.focus(),
      f: () => {
        outcomes.value = outcomes.value === "failed" ? "" : "failed";
        changed();
      },
    },
    close() {
      stop();
      rows.close();
    },
  };
}
