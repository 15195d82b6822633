// The inspector page: what is where, and which keys do what.
import "./style.css";
import { hasToken, setToken, takeToken } from "./api.js";
import { chartsView } from "./charts.js";
import { count, fill, h, say } from "./dom.js";
import { exchangeView } from "./exchange.js";
import { listView } from "./list.js";
import { playView } from "./play.js";
import { go, route } from "./route.js";
import { sessionsView } from "./sessions.js";
import { all, hurry, listen, onChange, state } from "./store.js";

const THEME = "aiproxy-theme";
const VIEWS = [["", "exchanges", "l"], ["sessions", "sessions", "s"], ["charts", "charts", "g"], ["play", "playground", "p"]];

const HELP = [
  ["l s g p", "exchanges, sessions, charts, playground"],
  ["j k ↑ ↓", "next, previous"],
  ["Enter", "open"],
  ["Esc", "back"],
  ["/", "search"],
  ["f", "failed ones alone"],
  ["1 … 5", "overview, stages, diff, headers, events"],
  ["d", "diff"],
  ["r", "replay"],
  ["c", "copy as curl"],
  ["t", "dark or light"],
  ["?", "this"],
];

const nav = h("nav.views");
const link = h("span.link", { id: "link", role: "status" });
const main = h("main");
const help = h(
  "dialog",
  { id: "help" },
  h("h2", "Keys"),
  h("dl.keys", HELP.map(([key, what]) => [h("dt", key), h("dd", what)])),
  h("p", h("a", { href: "/_aiproxy/ui/licences", target: "_blank", rel: "noreferrer" }, "licences of what this page is made with")),
  h("button", { onclick: () => help.close() }, "close"),
);
const token = h("input", { id: "token", type: "password", autocomplete: "off", placeholder: "token", "aria-label": "token" });
const why = h("p.problem", { hidden: true });
const enter = (event) => {
  event.preventDefault();
  setToken(token.value);
  token.value = "";
  hurry();
};
const door = h("div.door", { id: "door", hidden: true }, h("h1", "aiproxy"), h("p", "This server asks for its token: what `--token` or AIPROXY_TOKEN gave it. A link with #token=… brings it along."), why, h("form.codebar", { onsubmit: enter }, token, h("button.primary", "open")));

let view = null;

function theme(name) {
  if (name) document.documentElement.dataset.theme = name;
  else delete document.documentElement.dataset.theme;
  dispatchEvent(new Event("theme"));
}

function turn() {
  const dark = document.documentElement.dataset.theme ? document.documentElement.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  const next = dark ? "light" : "dark";
  localStorage.setItem(THEME, next);
  theme(next);
}

function draw() {
  // A link that brings a token may be opened in this very tab.
  takeToken();
  const { view: name, parts, query } = route();
  view?.close();
  main.replaceChildren();
  main.className = `view-${["x", "sessions", "charts", "play"].includes(name) ? name : "list"}`;
  document.title = "aiproxy";
  if (name === "x") view = exchangeView(main, parts, query);
  else if (name === "sessions") view = sessionsView(main, parts);
  else if (name === "charts") view = chartsView(main, query);
  else if (name === "play") view = playView(main, query);
  else view = listView(main, query);
  fill(
    nav,
    h("a.brand", { href: "#/" }, "aiproxy"),
    VIEWS.map(([own, text, key]) => h(`a${own === name || (own === "" && name === "x") ? ".on" : ""}`, { href: `#/${own}`, title: key }, text)),
  );
}

function keys(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = event.target.closest?.("input, textarea, select");
  if (typing) {
    if (event.key === "Escape") typing.blur();
    return;
  }
  if (help.open) {
    if (event.key === "?") help.close();
    return;
  }
  const own = view?.keys?.[event.key];
  const away = VIEWS.find(([, , key]) => key === event.key);
  // What is focused has its own use for these.
  if (["Enter", " "].includes(event.key) && event.target.closest?.("a[href], button, summary")) return;
  if (own) own();
  else if (event.key === "?") help.showModal();
  else if (event.key === "t") turn();
  else if (away) go(away[0] ? [away[0]] : []);
  else return;
  event.preventDefault();
}

const WORDS = { connecting: "connecting…", open: "live", lost: "connection lost, trying again…", away: "paused", refused: "token needed" };

function status() {
  say(link, `${WORDS[state.link]}${state.loading ? ` · loading ${count(all.size)}` : ""}`);
  link.className = `link is-${state.link}`;
  link.title = state.why;
  const shut = state.link === "refused";
  if (door.hidden === shut) {
    door.hidden = !shut;
    main.hidden = shut;
    if (shut) token.focus();
  }
  why.hidden = !state.why || !hasToken();
  say(why, state.why);
}

// Written before the first frame, so that nothing flashes.
const kept = localStorage.getItem(THEME);
if (kept === "dark" || kept === "light") theme(kept);
document.body.replaceChildren(
  h("header", nav, link, h("span.grow"), h("button.quiet", { onclick: turn, title: "t", "aria-label": "dark or light" }, "◐"), h("button.quiet", { onclick: () => help.showModal(), title: "?", "aria-label": "keys" }, "?")),
  door,
  main,
  help,
);
draw();
addEventListener("hashchange", () => {
  const before = hasToken();
  draw();
  if (!before && hasToken()) hurry();
});
addEventListener("keydown", keys);
addEventListener("online", hurry);
document.addEventListener("visibilitychange", () => !document.hidden && state.link === "lost" && hurry());
onChange(status);
status();
listen();
