// One exchange as the server keeps it, its bodies as the text that they are.
import { text } from "./api.js";
import { elements, member, members } from "./json.js";

/** Reads an exchange. Bodies are strings: of JSON as it was written, else as they are. */
export async function fetchDetail(id) {
  const raw = await text(`/_aiproxy/exchanges/${encodeURIComponent(id)}`);
  const detail = JSON.parse(raw);
  const stages = member(raw, "stages");
  const texts = stages ? elements(stages) : [];
  for (const [at, stage] of (detail.stages ?? []).entries()) {
    const body = members(texts[at] ?? "{}").find(([name]) => name === "body")?.[1];
    stage.text = body === undefined ? null : body.startsWith('"') ? JSON.parse(body) : body;
  }
  for (const stage of detail.stages ?? []) {
    const source = stage.same_as ? detail.stages.find((other) => other.stage === stage.same_as) : stage;
    stage.text = source?.text ?? null;
    stage.body_base64 = source?.body_base64;
    stage.truncated = stage.truncated || source?.truncated;
  }
  return detail;
}

export const stageOf = (detail, name) => detail.stages?.find((stage) => stage.stage === name);

/** A stage's body as text. */
export function bodyOf(stage) {
  if (!stage) return "";
  if (stage.text !== null && stage.text !== undefined) return stage.text;
  return stage.body_base64 ? `(no text, base64)\n${stage.body_base64.replace(/.{1,120}/g, "$&\n")}` : "";
}

/** Headers as pairs. */
export function pairs(headers) {
  return Object.entries(headers ?? {}).flatMap(([name, value]) => (Array.isArray(value) ? value.map((one) => [name, String(one)]) : [[name, String(value)]]));
}

/** A stage's first line. */
export function firstLine(stage) {
  return stage.method ? `${stage.method} ${stage.url ?? ""}` : `status ${stage.status ?? "?"}`;
}

const MASK = "(secret)";
const OF_THE_CONNECTION = new Set(
  "host connection keep-alive te trailer transfer-encoding upgrade expect content-length content-encoding content-md5 digest content-digest repr-digest accept-encoding user-agent cookie origin referer forwarded via traceparent tracestate".split(" "),
);
const FAMILIES = ["proxy-", "sec-", "x-stainless-", "x-forwarded-", "x-aiproxy-"];

/** The client's request, without what belonged to its connection. Secrets are `(secret)`. */
export function requestOf(detail) {
  const stage = stageOf(detail, "client");
  if (!stage?.method) throw new Error("the client's request was not kept");
  if (stage.truncated) throw new Error("the request was not kept as a whole: of each stage 1 MiB is kept");
  if (stage.text === null && stage.size > 0) throw new Error("the request's body was not kept as text");
  const query = (stage.url ?? "").split("?")[1];
  return {
    method: stage.method,
    path: `${detail.path || `/${detail.profile}${(stage.url ?? "").split("?")[0]}`}${query ? `?${query}` : ""}`,
    headers: pairs(stage.headers)
      .map(([name, value]) => [name.toLowerCase(), value])
      .filter(([name]) => !OF_THE_CONNECTION.has(name) && !FAMILIES.some((family) => name.startsWith(family))),
    body: stage.text ?? "",
  };
}

export const isSecret = (value) => value.includes(MASK) || value.includes("%28secret%29");

/** The request for this profile, as the page itself can send it. */
export function again(detail, profile, model) {
  const request = requestOf(detail);
  let { path, body } = request;
  const [way, query] = path.split("?");
  const kept = (query ?? "").split("&").filter((pair) => pair && !isSecret(pair)).join("&");
  path = way;
  if (profile !== detail.profile) {
    const own = `/${detail.profile}`;
    path = `/${profile}${way === own || way.startsWith(`${own}/`) ? way.slice(own.length) : way}`;
  }
  if (kept) path += `?${kept}`;
  if (body.trimStart().startsWith("{") && (model || profile !== detail.profile)) {
    const rest = members(body);
    const at = rest.findIndex(([name]) => name === "model");
    if (model && at >= 0) rest[at][1] = JSON.stringify(model);
    else if (model) rest.unshift(["model", JSON.stringify(model)]);
    else if (at >= 0) rest.splice(at, 1);
    body = `{${rest.map(([name, raw]) => `${JSON.stringify(name)}:${raw}`).join(",")}}`;
  }
  const headers = request.headers.filter(([, value]) => !isSecret(value));
  return { method: request.method, path, headers, body };
}

const VARIABLES = { authorization: "OPENAI_API_KEY", "x-api-key": "ANTHROPIC_API_KEY", "api-key": "AZURE_OPENAI_API_KEY", "x-goog-api-key": "GEMINI_API_KEY" };

/** A text in pieces: what is a secret is the name of a variable. */
function pieces(text, variable) {
  const plain = text.replaceAll("%28secret%29", MASK);
  return plain.split(MASK).flatMap((piece, at) => (at === 0 ? [{ text: piece }] : [{ variable }, { text: piece }])).filter((piece) => piece.variable || piece.text);
}

function header([name, value]) {
  const variable = VARIABLES[name] ?? name.toUpperCase().replace(/[^A-Z0-9]/g, "_");
  return [name, pieces(name === "authorization" && value === MASK ? `Bearer ${MASK}` : value, variable)];
}

const shell = (text) => `'${text.replaceAll("'", `'\\''`)}'`;
const inShell = (list) =>
  list.some((piece) => piece.variable)
    ? `"${list.map((piece) => (piece.variable ? `\${${piece.variable}}` : piece.text.replace(/[\\"$`]/g, "\\$&"))).join("")}"`
    : shell(list.map((piece) => piece.text).join(""));
// JSON's escapes are those of Python and JavaScript.
const inCode = (list, read) => list.map((piece) => (piece.variable ? read(piece.variable) : JSON.stringify(piece.text))).join(" + ") || '""';

/** The client's request as a program. */
export function program(language, detail) {
  const request = requestOf(detail);
  const url = pieces(`${location.origin}${request.path}`, "GEMINI_API_KEY");
  const headers = request.headers.map(header);
  const streams = detail.stream;
  if (language === "curl") {
    const lines = [`curl ${streams ? "-N " : ""}${inShell(url)}`];
    if (request.method !== (request.body ? "POST" : "GET")) lines.push(`  -X ${request.method}`);
    for (const [name, value] of headers) lines.push(`  -H ${inShell([{ text: `${name}: ` }, ...value])}`);
    // `@` at the beginning would name a file.
    if (request.body) lines.push(`  --data-raw ${shell(request.body)}`);
    return `${lines.join(" \\\n")}\n`;
  }
  if (language === "python") {
    const read = (name) => `os.environ.get(${JSON.stringify(name)}, "")`;
    const list = headers.map(([name, value]) => `        ${JSON.stringify(name)}: ${inCode(value, read)},\n`).join("");
    const text = `import sys\n\nimport httpx\n\nrequest = {\n    "method": ${JSON.stringify(request.method)},\n    "url": ${inCode(url, read)},\n    "headers": {\n${list}    },\n${request.body ? `    "content": ${JSON.stringify(request.body)},\n` : ""}}\nwith httpx.stream(**request, timeout=600) as response:\n    print(response.status_code, file=sys.stderr)\n    for text in response.iter_text():\n        print(text, end="", flush=True)\n`;
    return text.includes("os.environ") ? `import os\n${text}` : text;
  }
  const read = (name) => `(process.env.${name} ?? "")`;
  const list = headers.map(([name, value]) => `    ${JSON.stringify(name)}: ${inCode(value, read)},\n`).join("");
  return `const response = await fetch(${inCode(url, read)}, {\n  method: ${JSON.stringify(request.method)},\n  headers: {\n${list}  },\n${request.body ? `  body: ${JSON.stringify(request.body)},\n` : ""}});\nconsole.error(response.status);\nfor await (const piece of response.body.pipeThrough(new TextDecoderStream())) process.stdout.write(piece);\n`;
}
