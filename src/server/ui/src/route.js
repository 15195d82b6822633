// What is shown is in the address, so that each view can be linked: `#/x/7k3m9…/diff?left=client&right=sent`.

export function route() {
  const [path, query = ""] = location.hash.replace(/^#/, "").split("?");
  const parts = path.split("/").filter(Boolean).map(decodeURIComponent);
  return { view: parts[0] ?? "", parts: parts.slice(1), query: new URLSearchParams(query) };
}

export function link(parts, query = {}) {
  const given = Object.entries(query).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  const text = new URLSearchParams(given).toString();
  return `#/${parts.map(encodeURIComponent).join("/")}${text && `?${text}`}`;
}

export function go(parts, query) {
  location.hash = link(parts, query);
}

/** Another address for what is shown already. */
export function note(parts, query) {
  history.replaceState(null, "", link(parts, query));
}
