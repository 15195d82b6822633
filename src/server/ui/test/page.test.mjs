// What the page makes of texts and numbers, without a browser.
import assert from "node:assert/strict";
import test from "node:test";

globalThis.sessionStorage = { getItem: () => null, setItem: () => {} };
globalThis.location = { origin: "http://127.0.0.1:8765", hash: "" };
globalThis.addEventListener = () => {};
globalThis.document = { addEventListener: () => {}, hidden: false };

const { elements, member, members, pretty, rows } = await import("../src/json.js");
const { again, program } = await import("../src/detail.js");
const { broken, sessions } = await import("../src/sessions.js");
const { spoken } = await import("../src/talk.js");

test("JSON keeps its tokens", () => {
  const text = ' {"a": [1.00, 12345678901234567890123], "b": {"c": "x\\"}{,"}, "d": [], "e": {}, "f": null} ';
  assert.deepEqual(members(text), [
    ["a", "[1.00, 12345678901234567890123]"],
    ["b", '{"c": "x\\"}{,"}'],
    ["d", "[]"],
    ["e", "{}"],
    ["f", "null"],
  ]);
  assert.deepEqual(elements(member(text, "a")), ["1.00", "12345678901234567890123"]);
  assert.deepEqual(pretty(text), ["{", '  "a": [', "    1.00,", "    12345678901234567890123", "  ],", '  "b": {', '    "c": "x\\"}{,"', "  },", '  "d": [],', '  "e": {},', '  "f": null', "}"]);
  assert.deepEqual(JSON.parse(pretty(text).join("\n")), JSON.parse(text));
});

test("long lines break, and lose nothing", () => {
  const prompt = `${"word ".repeat(200)}\nnext ${"😀".repeat(300)}`;
  const whole = rows(JSON.stringify({ prompt }));
  assert.ok(whole.json);
  assert.ok(whole.rows.every((row) => row.text.length <= 162));
  assert.ok(whole.rows.every((row) => row.text.isWellFormed()));
  const line = whole.rows.filter((row) => row.number === 2).map((row) => row.text).join("");
  assert.equal(JSON.parse(`{${line}}`).prompt, prompt);
  assert.deepEqual(rows("{ no json").rows.length, 1);
});

test("a megabyte in no time", () => {
  const text = JSON.stringify({ list: Array.from({ length: 60000 }, (_, at) => `item ${at}`) });
  const begun = performance.now();
  assert.equal(rows(text).rows.length, 60004);
  assert.ok(performance.now() - begun < 10000);
});

const detail = (headers = {}) => ({
  profile: "up",
  path: "/up/v1/chat/completions",
  stages: [{ stage: "client", method: "POST", url: "/chat/completions?key=%28secret%29&a=1", headers: { host: "x", "content-type": "application/json", ...headers }, size: 30, text: '{"model": "m", "n": 1.00, "x": "it\'s"}' }],
});

test("a request goes elsewhere without what is not for there", () => {
  const own = again(detail({ authorization: "Bearer (secret)", "x-mine": "1" }), "up", "");
  assert.equal(own.path, "/up/v1/chat/completions?a=1");
  assert.equal(own.body, '{"model": "m", "n": 1.00, "x": "it\'s"}');
  assert.deepEqual(own.headers, [["content-type", "application/json"], ["x-mine", "1"]]);
  const other = again(detail(), "other", "");
  assert.equal(other.path, "/other/v1/chat/completions?a=1");
  assert.equal(other.body, '{"n":1.00,"x":"it\'s"}');
  assert.equal(again(detail(), "up", "m2").body, '{"model":"m2","n":1.00,"x":"it\'s"}');
  const cut = detail();
  cut.stages[0].truncated = true;
  assert.throws(() => again(cut, "up", ""), /1 MiB/);
});

test("programs name variables for secrets", () => {
  const secret = detail({ authorization: "(secret)" });
  const curl = program("curl", secret);
  assert.match(curl, /-H "authorization: Bearer \$\{OPENAI_API_KEY\}"/);
  assert.match(curl, /--data-raw '\{"model": "m", "n": 1\.00, "x": "it'\\''s"\}'/);
  assert.match(curl, /key=\$\{GEMINI_API_KEY\}&a=1"/);
  assert.match(program("python", secret), /os\.environ\.get\("OPENAI_API_KEY", ""\)/);
  assert.match(program("node", secret), /process\.env\.OPENAI_API_KEY/);
});

test("answers in the formats of clients", () => {
  assert.equal(spoken({ choices: [{ delta: { content: "a" } }] }).text, "a");
  assert.equal(spoken({ choices: [{ message: { content: "a" } }] }).text, "a");
  assert.equal(spoken({ type: "content_block_delta", delta: { text: "a" } }).text, "a");
  assert.equal(spoken({ content: [{ type: "text", text: "a" }] }).text, "a");
  assert.equal(spoken({ type: "error", error: { message: "no" } }).error, "no");
});

test("sessions: who goes on with what", () => {
  const item = (role, hash) => ({ role, hash, bytes: 1 });
  const prompt = (id, client, ...items) => ({ id, client, items });
  const [s, t, a, b, c, d] = [item("system", "s"), item("system", "t"), item("user", "a"), item("assistant", "b"), item("user", "c"), item("user", "d")];
  const found = sessions([prompt("1", "x", s, a), prompt("2", "x", s, a, b, c), prompt("3", "y", s, a), prompt("4", "x", s, d), prompt("5", "x", t, a, b, c, d)]);
  assert.deepEqual(found.map((session) => session.steps.map((step) => step.prompt.id)), [["1", "2", "5"], ["3"], ["4"]]);
  assert.deepEqual(found[0].steps.map((step) => step.shared), [0, 2, 0]);
  const summary = (cached) => ({ s: { began: "2026-01-01T00:00:00.000Z", usage: { cached_tokens: cached } } });
  const summaries = new Map([["1", summary(0)], ["2", summary(100)], ["5", summary(0)]]);
  assert.equal(broken(found[0].steps[1], summaries), null);
  assert.match(broken(found[0].steps[2], summaries).text, /^cache: 100 → 0 tokens; system/);
});
