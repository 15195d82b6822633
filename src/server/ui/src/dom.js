// Elements and words. Data only ever becomes text: nothing here, or anywhere else, writes markup.

/** An element: `h("a.link", { href: "#/", onclick }, "text", child)`. */
export function h(what, props, ...children) {
  const [tag, ...classes] = what.split(".");
  const element = document.createElement(tag || "div");
  if (classes.length > 0) element.className = classes.join(" ");
  if (props && (props instanceof Node || typeof props !== "object" || Array.isArray(props))) {
    children.unshift(props);
    props = null;
  }
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") Object.assign(element.style, value);
    else if (name in element && !name.includes("-") && name !== "list") element[name] = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  add(element, children);
  return element;
}

export function add(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return element;
}

export function fill(element, ...children) {
  element.replaceChildren();
  return add(element, children);
}

/** Sets a text if it is another one: nothing is laid out anew otherwise. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Runs at most once a frame. */
export function framed(work) {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    const run = () => {
      asked = false;
      work();
    };
    // A page in the background gets no frames.
    if (document.hidden) setTimeout(run, 250);
    else requestAnimationFrame(run);
  };
}

/** Runs once nothing more came for a while. */
export function settled(milliseconds, work) {
  let timer = 0;
  return (...args) => {
    clearTimeout(timer);
    timer = setTimeout(() => work(...args), milliseconds);
  };
}

const whole = new Intl.NumberFormat("en");

export const count = (number) => (number === undefined || number === null ? "" : whole.format(number));

/** `1 exchange`, `2 exchanges`. */
export const many = (number, word) => `${count(number)} ${word}${number === 1 ? "" : "s"}`;

export function short(number) {
  if (number === undefined || number === null) return "";
  if (number < 10000) return String(number);
  return number < 1e6 ? `${(number / 1e3).toFixed(number < 1e5 ? 1 : 0)}k` : `${(number / 1e6).toFixed(1)}M`;
}

export function bytes(number) {
  if (number === undefined || number === null) return "";
  if (number < 1024) return `${number} B`;
  return number < 1 << 20 ? `${(number / 1024).toFixed(1)} KiB` : `${(number / (1 << 20)).toFixed(1)} MiB`;
}

export function millis(number) {
  if (number === undefined || number === null) return "";
  if (number < 10) return `${number.toFixed(1)} ms`;
  if (number < 1000) return `${Math.round(number)} ms`;
  return number < 60000 ? `${(number / 1000).toFixed(2)} s` : `${Math.floor(number / 60000)} min ${Math.round((number % 60000) / 1000)} s`;
}

export function dollars(number) {
  if (number === undefined || number === null) return "";
  if (number === 0) return "$0";
  return `$${number < 0.01 ? number.toPrecision(2) : number.toFixed(number < 1 ? 4 : 2)}`;
}

export function clock(began) {
  const date = new Date(began);
  return Number.isNaN(date.getTime()) ? "" : date.toLocaleTimeString("en-GB");
}

export async function toClipboard(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Where the page is not of a loopback name, browsers have no clipboard for it.
    const area = h("textarea.offscreen", { value: text });
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}

let toastTimer = 0;

/** A word in passing. */
export function toast(text) {
  let box = document.getElementById("toast");
  if (!box) {
    box = h("div", { id: "toast", role: "status" });
    document.body.append(box);
  }
  say(box, text);
  box.hidden = false;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => {
    box.hidden = true;
  }, 3000);
}
