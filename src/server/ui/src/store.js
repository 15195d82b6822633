// The exchanges that the server remembers, kept up to date by its events.
import { Refused, ask, events, hasToken, json } from "./api.js";

/** Most exchanges that the page keeps; the oldest go. */
const MOST = 20000;
/** Most text that is kept of an answer under way. */
const LONGEST = 64 << 10;
const PAGE = 1000;
/** The server says every 15 s that it lives. */
const SILENCE = 45000;

/** By id: `{ s: summary, live, text, thinking, seen }`. */
export const all = new Map();
/** The oldest first. */
export let order = [];
export const state = { link: "connecting", why: "", loading: false, health: null, profiles: [], changed: 0, generation: 0 };

const listeners = new Set();
const watchers = new Set();

/** Calls when anything changed; gives what ends that. */
export function onChange(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Calls with each event as it comes. */
export function onEvent(watcher) {
  watchers.add(watcher);
  return () => watchers.delete(watcher);
}

function changed() {
  state.changed++;
  for (const listener of listeners) listener();
}

function link(name, why = "") {
  state.link = name;
  state.why = why;
  changed();
}

// Those of the same millisecond stay as they were told.
const byTime = (a, b) => (a.s.began < b.s.began ? -1 : a.s.began > b.s.began ? 1 : 0);

function sort() {
  order = [...all.values()].sort(byTime).map((item) => item.s.id);
  while (order.length > MOST) all.delete(order.shift());
}

/** How often the page has begun to listen. */
let generation = 0;

function put(summary) {
  const known = all.get(summary.id);
  if (known) {
    known.seen = generation;
    // The list was written before an end that was told meanwhile.
    if (!known.live && summary.outcome === "live") return false;
    known.live = summary.outcome === "live";
    known.s = summary;
    return false;
  }
  all.set(summary.id, { s: summary, live: summary.outcome === "live", text: "", thinking: "", seen: generation });
  return true;
}

function take(notice) {
  const { exchange: id, type } = notice;
  if (type === "lost") {
    load();
    return;
  }
  let item = all.get(id);
  if (!item) {
    const summary = {
      id,
      profile: notice.profile,
      began: notice.began ?? new Date().toISOString(),
      outcome: "live",
      method: notice.method ?? "",
      path: notice.path ?? "",
      client_ip: notice.client_ip,
      timings: { total_ms: 0 },
      model: "",
      provider: "",
    };
    put(summary);
    item = all.get(id);
    order.push(id);
    if (order.length > MOST) all.delete(order.shift());
  }
  item.seen = generation;
  const s = item.s;
  switch (type) {
    case "opened":
      if (item.live) Object.assign(item, { text: "", thinking: "" });
      break;
    case "routed":
      Object.assign(s, { provider: notice.provider, model: notice.model, operation: notice.operation, stream: notice.stream });
      prompts();
      break;
    case "stage":
      if (notice.stage === "received") s.upstream_status = notice.status;
      if (notice.stage === "returned") s.status = notice.status;
      break;
    case "text":
      if (item.live) item.text = (item.text + notice.text).slice(-LONGEST);
      s.timings.first_token_ms ??= notice.at_ms;
      break;
    case "thinking":
      if (item.live) item.thinking = (item.thinking + notice.text).slice(-LONGEST);
      break;
    case "usage":
      s.usage = notice.usage;
      break;
    case "warning":
      s.warnings = [...(s.warnings ?? []), notice.warning];
      break;
    case "closed":
      item.live = false;
      item.s = notice.summary;
      break;
  }
  if (item.live) s.timings.total_ms = Math.max(s.timings.total_ms, notice.at_ms);
}

let asking = 0;

/** What those under way were asked is in the list, and in no event. */
function prompts() {
  if (asking) return;
  asking = setTimeout(async () => {
    try {
      const page = await json("/_aiproxy/exchanges?limit=50");
      for (const summary of page.exchanges) if (all.has(summary.id)) put(summary);
      changed();
    } catch {
      // The stream of events says so as well.
    }
    asking = 0;
  }, 150);
}

let loads = 0;

/** Reads the whole list, page by page, and forgets what the server has forgotten. */
async function load() {
  const mine = ++loads;
  const now = generation;
  state.loading = true;
  try {
    let before = "";
    do {
      const page = await json(`/_aiproxy/exchanges?limit=${PAGE}${before && `&before=${before}`}`);
      if (mine !== loads) return;
      for (const summary of page.exchanges.toReversed()) put(summary);
      before = page.next ?? "";
      sort();
      changed();
    } while (before && all.size < MOST);
    if (!before) for (const [id, item] of all) if (item.seen !== now) all.delete(id);
  } finally {
    if (mine === loads) {
      state.loading = false;
      sort();
      changed();
    }
  }
}

const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

let wake = () => {};

/** Tries again at once. */
export const hurry = () => wake();

/**
 * A browser gives an address six connections, for all its tabs together: a tab that nobody looks at, and a page that waits for the way back,
 * keep none.
 */
let away = false;
let hush = () => {};
const HIDDEN = 10000;

function leave() {
  away = true;
  hush();
}

function come() {
  if (!away) return;
  away = false;
  hurry();
}

let leaving = 0;

function watch() {
  clearTimeout(leaving);
  if (document.hidden) leaving = setTimeout(leave, HIDDEN);
  else come();
}

addEventListener("pagehide", leave);
addEventListener("pageshow", come);
document.addEventListener("visibilitychange", watch);

/** Listens for as long as the page is open. */
export async function listen() {
  watch();
  for (let failures = 0; ; failures++) {
    if (away) {
      link("away");
      await new Promise((done) => (wake = done));
      failures = 0;
    }
    const stop = new AbortController();
    hush = () => stop.abort();
    try {
      const response = await ask("/_aiproxy/events", { signal: stop.signal });
      if (!response.ok) throw new Error(`status ${response.status}`);
      generation++;
      state.generation = generation;
      failures = 0;
      state.health = await json("/_aiproxy/health");
      state.profiles = (await json("/_aiproxy/profiles")).profiles;
      link("open");
      load().catch((error) => link("open", error.message));
      let silence = 0;
      const alive = () => {
        clearTimeout(silence);
        silence = setTimeout(() => stop.abort(), SILENCE);
      };
      stop.signal.addEventListener("abort", () => clearTimeout(silence));
      alive();
      for await (const event of events(response, alive)) {
        const notice = JSON.parse(event.data);
        take(notice);
        for (const watcher of watchers) watcher(notice);
        changed();
      }
      link("lost", "the server ended the connection");
    } catch (error) {
      if (error instanceof Refused) link("refused", hasToken() ? "this token is not the server's" : "");
      else link("lost", error.message);
    }
    stop.abort();
    if (away) continue;
    const rest = state.link === "refused" ? new Promise(() => {}) : pause(Math.min(250 * 2 ** failures, 3000));
    await Promise.race([rest, new Promise((done) => (wake = done))]);
  }
}
