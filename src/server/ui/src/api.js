// What the page asks its server. The token, where there is one, came with the link (`#token=`) and stays in this tab.

const TOKEN = "aiproxy-token";
let token = sessionStorage.getItem(TOKEN) ?? "";

/** Takes the token out of the address, where the history would keep it. */
export function takeToken() {
  const fragment = location.hash.slice(1);
  if (!fragment.startsWith("token=")) return;
  const [given, ...rest] = fragment.slice("token=".length).split("&");
  setToken(decodeURIComponent(given));
  history.replaceState(null, "", `${location.pathname}${location.search}#${rest.join("&") || "/"}`);
}

export function setToken(text) {
  token = text.trim();
  sessionStorage.setItem(TOKEN, token);
}

export const hasToken = () => token !== "";

/** The server wants a token, or another one. */
export class Refused extends Error {}

/** A request of the page's own server. `authorization` is the page's: what the client once sent there is not known. */
export async function ask(path, options = {}) {
  const headers = new Headers(options.headers);
  if (token) headers.set("authorization", `Bearer ${token}`);
  const response = await fetch(path, {
    ...options,
    headers,
    cache: "no-store",
    credentials: "omit",
    redirect: "error",
    referrerPolicy: "no-referrer",
  });
  if (response.status === 401 && path.startsWith("/_aiproxy/")) throw new Refused("the server asks for its token");
  return response;
}

export async function text(path, options) {
  const response = await ask(path, options);
  const body = await response.text();
  if (!response.ok) throw new Error(message(body) || `status ${response.status}`);
  return body;
}

export const json = async (path, options) => JSON.parse(await text(path, options));

/** What an error says, whatever its format. */
export function message(body) {
  try {
    const error = JSON.parse(body);
    return error?.error?.message ?? error?.message ?? body;
  } catch {
    return body;
  }
}

/** Reads server-sent events from a response, until it ends; `alive` is called with whatever comes. */
export async function* events(response, alive = () => {}) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let event = { name: "", data: [] };
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      alive();
      const lines = (rest + value).split("\n");
      rest = lines.pop();
      for (let line of lines) {
        if (line.endsWith("\r")) line = line.slice(0, -1);
        if (line === "") {
          if (event.data.length > 0) yield { name: event.name, data: event.data.join("\n") };
          event = { name: "", data: [] };
        } else if (line.startsWith("data:")) {
          event.data.push(line.slice(line[5] === " " ? 6 : 5));
        } else if (line.startsWith("event:")) {
          event.name = line.slice(6).trim();
        }
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
