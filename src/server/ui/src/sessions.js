// Agents at work: exchanges of one client that share the beginning of their prompts, how the context grows, and where the provider's cache of
// the prompt broke.
import { json } from "./api.js";
import { bytes, clock, count, dollars, fill, h, many as plural, millis, settled, short } from "./dom.js";
import { go, link } from "./route.js";
import { all, onChange, state } from "./store.js";

/** How many exchanges are looked at, the youngest first. */
const MOST = 1000;
/** How many exchanges of a session another one may follow: agents ask side by side. */
const BRANCHES = 4;

const HEADS = new Set(["tools", "system", "developer", "instructions"]);

/** How many items two prompts begin with alike. */
export function common(a, b) {
  let at = 0;
  while (at < a.length && at < b.length && a[at].hash === b[at].hash) at++;
  return at;
}

const firstSaid = (items) => items.findIndex((item) => !HEADS.has(item.role));

/** Whether one goes on with what the other began: what was said first is the same, even if what stands before it is another. */
function follows(earlier, later) {
  const [a, b] = [firstSaid(earlier.items), firstSaid(later.items)];
  return a >= 0 && b >= 0 && earlier.items[a].hash === later.items[b].hash;
}

/** Prompts, the oldest first, as sessions: lists of `{ prompt, from, shared }`. */
export function sessions(prompts) {
  const found = [];
  const byClient = new Map();
  for (const prompt of prompts) {
    const client = `${prompt.client_ip ?? ""}\n${prompt.client ?? ""}`;
    const own = byClient.get(client) ?? [];
    byClient.set(client, own);
    let best = null;
    for (const session of own) {
      for (const earlier of session.steps.slice(-BRANCHES)) {
        if (!follows(earlier.prompt, prompt)) continue;
        const shared = common(earlier.prompt.items, prompt.items);
        // Of equals the youngest.
        if (!best || shared >= best.shared) best = { session, from: earlier.prompt, shared };
      }
    }
    if (best) best.session.steps.push({ prompt, from: best.from, shared: best.shared });
    else {
      const session = { id: prompt.id, client: prompt.client ?? "", steps: [{ prompt, from: null, shared: 0 }] };
      own.push(session);
      found.push(session);
    }
  }
  return found;
}

/** Why the provider read less of a prompt from its cache than of the one before; nothing if it did not. */
export function broken(step, summaries) {
  if (!step.from) return null;
  const { items } = step.from;
  const changed = step.shared < items.length ? step.shared : -1;
  const [before, now] = [summaries.get(step.from.id)?.s, summaries.get(step.prompt.id)?.s];
  const [had, has] = [before?.usage?.cached_tokens ?? 0, now?.usage?.cached_tokens ?? 0];
  const wrote = before?.usage?.cache_write_tokens ?? 0;
  const dropped = now?.usage && !now.usage.estimated && Math.max(had, wrote) > 0 && has < Math.max(had, wrote);
  if (!dropped && changed < 0) return null;
  const what = changed >= 0 ? `${items[changed].role} (item ${changed + 1} of ${items.length}) is another one` : "";
  if (!dropped) return { cache: false, text: what, item: changed };
  const pause = Date.parse(now.began) - Date.parse(before.began);
  const why = what || `the prompt only grew: the provider let it go (${millis(pause)} after the one before${before.model !== now.model || before.profile !== now.profile ? ", another model" : ""})`;
  return { cache: true, text: `cache: ${count(Math.max(had, wrote))} → ${count(has)} tokens; ${why}`, item: changed };
}

async function prompts() {
  const { prompts } = await json(`/_aiproxy/prompts?limit=${MOST}`);
  return prompts.filter((prompt) => prompt.items.length > 0).reverse();
}

const sum = (steps, pick) => steps.reduce((total, { prompt }) => total + (pick(all.get(prompt.id)?.s ?? {}) ?? 0), 0);

export function sessionsView(main, parts) {
  let found = [];
  let selected = parts[0] ?? "";
  const list = h("div.sessionlist", { id: "sessions" });
  const steps = h("div.steps");
  const note = h("span.dim");
  main.append(h("div.bar", h("b", "Agent sessions"), note), h("div.split", list, steps));

  function draw() {
    const many = found.filter((session) => session.steps.length > 1).reverse();
    note.textContent = `${plural(many.length, "session")} of several exchanges, in the last ${plural(Math.min(MOST, all.size), "exchange")}`;
    if (many.length === 0) {
      fill(list, h("p.dim", "Exchanges of one client whose prompts begin alike are shown together here. There are none yet."));
      fill(steps);
      return;
    }
    if (!many.some((session) => session.id === selected)) selected = many[0].id;
    fill(
      list,
      many.map((session) => {
        const first = all.get(session.id)?.s;
        const breaks = session.steps.filter((step) => broken(step, all)?.cache).length;
        return h(
          `a.session${session.id === selected ? ".selected" : ""}`,
          { href: link(["sessions", session.id]) },
          h("div", h("b", `${session.steps.length} exchanges`), ` ${clock(first?.began)} · ${first?.profile ?? ""} · ${session.client || first?.client_ip || ""}`),
          h("div.dim.cut", first?.prompt ?? session.id),
          h("div", `${short(sum(session.steps, (s) => s.usage?.prompt_tokens))} in, ${short(sum(session.steps, (s) => s.usage?.completion_tokens))} out ${dollars(sum(session.steps, (s) => s.cost) || undefined)}`, breaks > 0 && h("span.warn", ` · cache broke ${breaks} ×`)),
        );
      }),
    );
    detail(many.find((session) => session.id === selected));
  }

  function detail(session) {
    const size = (prompt) => prompt.items.reduce((total, item) => total + item.bytes, 0);
    const tokens = (prompt) => all.get(prompt.id)?.s.usage?.prompt_tokens ?? 0;
    const mostTokens = Math.max(1, ...session.steps.map(({ prompt }) => tokens(prompt)));
    const mostBytes = Math.max(1, ...session.steps.map(({ prompt }) => size(prompt)));
    const part = (name, number, of) => h(`i.${name}`, { title: `${name} ${count(number)}`, style: { width: `${(number / of) * 100}%` } });
    fill(
      steps,
      h("div.legend", h("span", h("i.cached"), "from the cache"), h("span", h("i.written"), "written to it"), h("span", h("i.fresh"), "read anew"), h("span", h("i.grown"), "new since the one before")),
      session.steps.map((step) => {
        const { prompt } = step;
        const s = all.get(prompt.id)?.s ?? {};
        const usage = s.usage ?? {};
        const why = broken(step, all);
        const cached = usage.cached_tokens ?? 0;
        const written = usage.cache_write_tokens ?? 0;
        const fresh = Math.max(0, (usage.prompt_tokens ?? 0) - cached - written);
        const shared = prompt.items.slice(0, step.shared).reduce((total, item) => total + item.bytes, 0);
        const grown = size(prompt) - shared;
        return h(
          `div.step${why?.cache ? ".broke" : ""}`,
          { "data-id": prompt.id },
          h(
            "div.steptop",
            h("a", { href: link(["x", prompt.id]) }, prompt.id),
            h("span.dim", `${clock(prompt.began)} · ${prompt.items.length} items, ${bytes(size(prompt))}${step.from ? ` (+${prompt.items.length - step.shared} items, ${bytes(grown)})` : ""}`),
            h("span", `${count(usage.prompt_tokens ?? 0)} in${cached ? `, ${count(cached)} cached` : ""}, ${count(usage.completion_tokens ?? 0)} out`),
            step.from && h("a.dim", { href: link(["x", step.from.id, "diff"], { with: prompt.id, left: "client", right: "client" }) }, "what changed"),
          ),
          h("div.meter", part("cached", cached, mostTokens), part("written", written, mostTokens), part("fresh", fresh, mostTokens)),
          h("div.meter.thin", part("kept", shared, mostBytes), part("grown", grown, mostBytes)),
          why && h(`div.${why.cache ? "warn" : "dim"}`, why.text),
        );
      }),
    );
  }

  let ended = -1;
  const read = async () => {
    try {
      found = sessions(await prompts());
      draw();
    } catch (error) {
      note.textContent = error.message;
    }
  };
  const later = settled(700, read);
  const stop = onChange(() => {
    let now = 0;
    for (const item of all.values()) now += item.live ? 0 : 1;
    if (now === ended || state.loading) return;
    ended = now;
    later();
  });
  read();
  const move = (by) => {
    const many = found.filter((session) => session.steps.length > 1).reverse();
    const next = many[many.findIndex((session) => session.id === selected) + by];
    if (next) go(["sessions", next.id]);
  };
  return {
    keys: { j: () => move(1), k: () => move(-1), Escape: () => go([]) },
    close: stop,
  };
}
