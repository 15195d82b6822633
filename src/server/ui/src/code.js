// Bodies: highlighted rows, and two of them side by side with what differs.
import "./manual.js";
import { Prism } from "./prism.js";
import "prismjs/components/prism-json.js";
import { diffArrays, diffWordsWithSpace } from "diff";
import { h, settled, toClipboard, toast } from "./dom.js";
import { rows } from "./json.js";
import { Rows } from "./virtual.js";

const HEIGHT = 18;

/** Text as highlighted pieces. */
function coloured(text, json) {
  // Events of a stream are JSON behind a word.
  const begin = json ? 0 : /^data: ?[[{]/.test(text) ? text.indexOf(text.includes("{") ? "{" : "[") : -1;
  if (begin < 0 || text.length > 2000) return [text];
  const pieces = Prism.tokenize(text.slice(begin), Prism.languages.json);
  const nodes = pieces.map((piece) => (typeof piece === "string" ? piece : h(`span.t-${piece.type}`, String(piece.content))));
  return begin > 0 ? [text.slice(0, begin), ...nodes] : nodes;
}

const widest = (list) => list.reduce((most, row) => Math.max(most, row.text.length), 0);

/** Shows a text. Gives `{ element, close }`. */
export function codeView(text, { label = "body", find = true } = {}) {
  const { rows: lines, json } = rows(text);
  let found = -1;
  let wanted = "";
  const list = new Rows({
    height: HEIGHT,
    label,
    classes: ".code",
    render(index, old) {
      const line = lines[index];
      const hit = index === found;
      const row = old ?? h("div.line", h("span.no", line.more ? "↪" : line.number), h("span.src", coloured(line.text, json)));
      row.classList.toggle("hit", hit);
      return row;
    },
  });
  list.space.style.minWidth = `calc(${widest(lines)}ch + 5em)`;
  list.update(lines.length);
  const said = h("span.dim");
  const go = (step) => {
    if (!wanted) {
      found = -1;
      said.textContent = "";
      list.update();
      return;
    }
    const hits = lines.flatMap((line, index) => (line.text.toLowerCase().includes(wanted) ? [index] : []));
    if (hits.length === 0) {
      found = -1;
      said.textContent = "not found";
    } else {
      const after = step < 0 ? hits.findLast((index) => index < found) : hits.find((index) => (step === 0 ? index >= found : index > found));
      found = after ?? (step < 0 ? hits.at(-1) : hits[0]);
      said.textContent = `${hits.indexOf(found) + 1} of ${hits.length}`;
      list.show(found, "center");
    }
    list.update();
  };
  const search = settled(120, () => go(0));
  const bar = find
    ? h(
        "div.codebar",
        h("input", {
          type: "search",
          placeholder: "find",
          "aria-label": `find in ${label}`,
          oninput: (event) => {
            wanted = event.target.value.toLowerCase();
            search();
          },
          onkeydown: (event) => {
            if (event.key === "Enter") go(event.shiftKey ? -1 : 1);
          },
        }),
        said,
        h("span.dim.grow", `${lines.at(-1)?.number ?? 0} lines`),
        h("button", { onclick: async () => toast((await toClipboard(text)) ? "copied" : "the browser does not allow it") }, "copy"),
      )
    : null;
  return { element: h("div.codebox", bar, list.element), close: () => list.close() };
}

/** Rows of two texts, side by side: `{ a, b, kind }`, `kind` being `same`, `gone`, `new` or `changed`. */
export function aligned(one, other) {
  const a = rows(one).rows;
  const b = rows(other).rows;
  // Two texts that have next to nothing in common are not worth a second.
  const parts = diffArrays(
    a.map((row) => row.text),
    b.map((row) => row.text),
    { timeout: 1500, maxEditLength: 20000 },
  );
  if (!parts) return null;
  const out = [];
  let [i, j] = [0, 0];
  for (let at = 0; at < parts.length; at++) {
    const part = parts[at];
    if (!part.added && !part.removed) {
      for (let n = 0; n < part.count; n++) out.push({ a: a[i++], b: b[j++], kind: "same" });
      continue;
    }
    const pair = parts[at + 1];
    const both = pair && (pair.added || pair.removed) && pair.added !== part.added;
    const gone = part.removed ? part.count : both ? pair.count : 0;
    const come = part.added ? part.count : both ? pair.count : 0;
    for (let n = 0; n < Math.max(gone, come); n++) {
      const [left, right] = [n < gone ? a[i++] : null, n < come ? b[j++] : null];
      out.push({ a: left, b: right, kind: left && right ? "changed" : left ? "gone" : "new" });
    }
    if (both) at++;
  }
  return out;
}

/** The two sides of a changed row, what differs marked. */
function marked(a, b) {
  if (a.length + b.length > 1200) return [[a], [b]];
  const sides = [[], []];
  for (const part of diffWordsWithSpace(a, b)) {
    if (!part.added) sides[0].push(part.removed ? h("mark.gone", part.value) : part.value);
    if (!part.removed) sides[1].push(part.added ? h("mark.new", part.value) : part.value);
  }
  return sides;
}

/** How many equal rows stay around what differs. */
const AROUND = 3;

function folded(list) {
  const near = new Uint8Array(list.length);
  for (const [index, row] of list.entries()) {
    if (row.kind === "same") continue;
    for (let at = Math.max(0, index - AROUND); at <= Math.min(list.length - 1, index + AROUND); at++) near[at] = 1;
  }
  const out = [];
  let skipped = 0;
  const fold = () => {
    if (skipped > 0) out.push({ kind: "fold", skipped });
    skipped = 0;
  };
  for (const [index, row] of list.entries()) {
    if (near[index]) {
      fold();
      out.push(row);
    } else skipped++;
  }
  fold();
  return out;
}

/** Shows what differs between two texts. Gives `{ element, close, changes }`. */
export function diffView(one, other, { names = ["before", "after"], title = "" } = {}) {
  const whole = aligned(one, other);
  if (!whole) {
    const [left, right] = [codeView(one, { label: names[0] }), codeView(other, { label: names[1] })];
    const element = h("div.diffbox", h("p.note", "These two have next to nothing in common."), h("div.two", left.element, right.element));
    return {
      element,
      changes: -1,
      close() {
        left.close();
        right.close();
      },
    };
  }
  const changes = whole.filter((row) => row.kind !== "same").length;
  const json = /^\s*[[{]/.test(one);
  let shown = changes > 0 ? folded(whole) : whole;
  const cell = (row, nodes, kind) => h(`div.side.${kind}`, h("span.no", row ? (row.more ? "↪" : row.number) : ""), h("span.src", nodes));
  const list = new Rows({
    height: HEIGHT,
    label: "differences",
    classes: ".code.diff",
    render(index, old) {
      if (old) return old;
      const { a, b, kind, skipped } = shown[index];
      if (kind === "fold") return h("div.line.fold", h("span.dim", `⋯ ${skipped} equal ${skipped === 1 ? "line" : "lines"}`));
      if (kind === "changed") {
        const [left, right] = marked(a.text, b.text);
        return h("div.line.pair", cell(a, left, "gone"), cell(b, right, "new"));
      }
      return h(
        "div.line.pair",
        cell(a, a ? coloured(a.text, json) : [], kind === "gone" ? "gone" : a ? "same" : "none"),
        cell(b, b ? coloured(b.text, json) : [], kind === "new" ? "new" : b ? "same" : "none"),
      );
    },
  });
  const width = widest(whole.flatMap((row) => [row.a, row.b]).filter(Boolean));
  list.space.style.minWidth = `calc(2 * (${width}ch + 5em))`;
  list.update(shown.length);
  const bar = h(
    "div.codebar",
    h("h2", title),
    h("span.grow.changes", changes === 0 ? "no difference" : `${changes} ${changes === 1 ? "line differs" : "lines differ"}`),
    changes > 0 &&
      h(
        "label",
        h("input", {
          type: "checkbox",
          onchange: (event) => {
            shown = event.target.checked ? whole : folded(whole);
            list.reset(shown.length);
          },
        }),
        " all lines",
      ),
  );
  return { element: h("div.diffbox", bar, list.element), close: () => list.close(), changes };
}
