// JSON as text: a body is shown, compared and sent again with the very numbers and strings that it has, which `JSON.parse` would change.

const space = (code) => code === 32 || code === 10 || code === 13 || code === 9;

function blank(text, at) {
  while (at < text.length && space(text.charCodeAt(at))) at++;
  return at;
}

/** Where a string that begins here ends. */
function string(text, at) {
  let end = at + 1;
  for (;;) {
    end = text.indexOf('"', end);
    if (end < 0) return text.length;
    let slashes = 0;
    while (text.charCodeAt(end - 1 - slashes) === 92) slashes++;
    end++;
    if (slashes % 2 === 0) return end;
  }
}

/** Where a value that begins here ends. */
function value(text, at) {
  const first = text[at];
  if (first === '"') return string(text, at);
  if (first !== "{" && first !== "[") {
    while (at < text.length && !",]}".includes(text[at]) && !space(text.charCodeAt(at))) at++;
    return at;
  }
  let depth = 0;
  while (at < text.length) {
    const c = text.charCodeAt(at);
    if (c === 34) {
      at = string(text, at);
      continue;
    }
    if (c === 123 || c === 91) depth++;
    if (c === 125 || c === 93) {
      depth--;
      if (depth === 0) return at + 1;
    }
    at++;
  }
  return at;
}

/** The members of an object that is known to be JSON: names and values as text. */
export function members(text) {
  const found = [];
  let at = blank(text, 0);
  if (text[at] !== "{") return found;
  at = blank(text, at + 1);
  while (at < text.length && text[at] !== "}") {
    const end = string(text, at);
    const name = JSON.parse(text.slice(at, end));
    const begin = blank(text, blank(text, end) + 1);
    const stop = value(text, begin);
    found.push([name, text.slice(begin, stop)]);
    at = blank(text, stop);
    if (text[at] === ",") at = blank(text, at + 1);
  }
  return found;
}

/** The elements of an array that is known to be JSON, as text. */
export function elements(text) {
  const found = [];
  let at = blank(text, 0);
  if (text[at] !== "[") return found;
  at = blank(text, at + 1);
  while (at < text.length && text[at] !== "]") {
    const stop = value(text, at);
    found.push(text.slice(at, stop));
    at = blank(text, stop);
    if (text[at] === ",") at = blank(text, at + 1);
  }
  return found;
}

export const member = (text, name) => members(text).find(([own]) => own === name)?.[1];

/** The same object with other members. */
export const object = (list) => `{${list.map(([name, raw]) => `${JSON.stringify(name)}:${raw}`).join(",")}}`;

/** JSON in lines, each token as it was written. */
export function pretty(text) {
  const lines = [];
  let line = "";
  let depth = 0;
  let at = 0;
  const next = () => {
    lines.push(line);
    line = "  ".repeat(depth);
  };
  while ((at = blank(text, at)) < text.length) {
    const c = text[at];
    if (c === '"') {
      const end = string(text, at);
      line += text.slice(at, end);
      at = end;
    } else if (c === "{" || c === "[") {
      const inner = blank(text, at + 1);
      if (text[inner] === "}" || text[inner] === "]") {
        line += c + text[inner];
        at = inner + 1;
      } else {
        line += c;
        depth++;
        next();
        at++;
      }
    } else if (c === "}" || c === "]") {
      depth = Math.max(0, depth - 1);
      next();
      line += c;
      at++;
    } else if (c === ",") {
      line += c;
      next();
      at++;
    } else if (c === ":") {
      line += ": ";
      at++;
    } else {
      const end = Math.max(value(text, at), at + 1);
      line += text.slice(at, end);
      at = end;
    }
  }
  lines.push(line);
  return lines;
}

export function isJson(text) {
  const first = text.trimStart()[0];
  if (first !== "{" && first !== "[") return false;
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

const LONG = 160;

/**
 * A text in rows of bearable length: `{ text, number, more }`, `more` for those that go on with a line. A long line breaks where the string
 * in it has its line ends, so that a prompt can be read.
 */
export function rows(text) {
  const json = isJson(text);
  const lines = json ? pretty(text) : text.split(/\r\n|\n|\r/);
  const all = [];
  for (const [index, line] of lines.entries()) {
    if (line.length <= LONG) {
      all.push({ text: line, number: index + 1, more: false });
      continue;
    }
    let more = false;
    let at = 0;
    while (at < line.length) {
      let end = Math.min(at + LONG, line.length);
      const broken = line.indexOf("\\n", at);
      if (broken >= 0 && broken + 2 <= end) end = broken + 2;
      else if (end < line.length) {
        const gap = line.lastIndexOf(" ", end);
        if (gap > at + LONG / 2) end = gap + 1;
        // Not between the halves of a character.
        else if ((line.charCodeAt(end - 1) & 0xfc00) === 0xd800) end--;
      }
      all.push({ text: line.slice(at, end), number: index + 1, more });
      more = true;
      at = end;
    }
  }
  return { rows: all, json };
}
