// The playground: one prompt through one or several profiles, side by side.
import { h } from "./dom.js";
import { note } from "./route.js";
import { onChange, state } from "./store.js";
import { talk } from "./talk.js";

const KEPT = "aiproxy-play";

/** What an SDK would send. Profiles whose clients speak another provider's format take Anthropic's as well. */
function request(profile, { system, prompt, model, most, stream }) {
  const messages = [{ role: "user", content: prompt }];
  const headers = [["content-type", "application/json"]];
  if (profile.format === "openai") {
    if (system) messages.unshift({ role: "system", content: system });
    const body = { ...(model && { model }), messages, stream, ...(most && { max_tokens: most }), ...(stream && { stream_options: { include_usage: true } }) };
    return { method: "POST", path: `/${profile.name}/v1/chat/completions`, headers, body: JSON.stringify(body) };
  }
  headers.push(["anthropic-version", "2023-06-01"]);
  const body = { ...(model && { model }), max_tokens: most || 1024, ...(system && { system }), messages, stream };
  return { method: "POST", path: `/${profile.name}/v1/messages`, headers, body: JSON.stringify(body) };
}

export function playView(main, query) {
  let kept = {};
  try {
    kept = JSON.parse(sessionStorage.getItem(KEPT) ?? "{}");
  } catch {
    // Nothing was kept.
  }
  const chosen = new Set((query.get("profiles") ?? kept.profiles ?? "").split(",").filter(Boolean));
  const prompt = h("textarea", { id: "play-prompt", rows: 6, placeholder: "prompt   (Ctrl+Enter sends)", "aria-label": "prompt", value: query.get("prompt") ?? kept.prompt ?? "" });
  const system = h("textarea", { id: "play-system", rows: 2, placeholder: "system prompt", "aria-label": "system prompt", value: kept.system ?? "" });
  const model = h("input", { id: "play-model", placeholder: "model (each profile's own)", "aria-label": "model", value: query.get("model") ?? kept.model ?? "" });
  const most = h("input", { id: "play-most", type: "number", min: 1, placeholder: "most tokens", "aria-label": "most tokens", value: kept.most ?? "" });
  const stream = h("input", { type: "checkbox", id: "play-stream", checked: kept.stream !== false });
  const boxes = h("div.choices", { id: "play-profiles" });
  const results = h("div.talks", { id: "talks" });
  let running = [];

  let names = "";
  const profiles = () => {
    const able = state.profiles.filter((profile) => profile.chat);
    const now = able.map((profile) => `${profile.name} ${profile.missing ?? ""}`).join("\n");
    if (now === names) return;
    names = now;
    if (chosen.size === 0 && able.length > 0) chosen.add(able[0].name);
    boxes.replaceChildren(
      ...able.map((profile) =>
        h(
          `label.choice${profile.missing ? ".dim" : ""}`,
          { title: profile.missing ?? `${profile.label} ${profile.model ?? ""}` },
          h("input", {
            type: "checkbox",
            value: profile.name,
            checked: chosen.has(profile.name),
            onchange: (event) => {
              if (event.target.checked) chosen.add(profile.name);
              else chosen.delete(profile.name);
              note(["play"], { profiles: [...chosen].join(",") });
            },
          }),
          ` ${profile.name}`,
        ),
      ),
    );
  };

  const send = () => {
    const asked = { system: system.value.trim(), prompt: prompt.value, model: model.value.trim(), most: Number(most.value) || 0, stream: stream.checked };
    if (!asked.prompt.trim()) {
      prompt.focus();
      return;
    }
    sessionStorage.setItem(KEPT, JSON.stringify({ ...asked, most: most.value, profiles: [...chosen].join(",") }));
    for (const one of running) one.stop();
    running = state.profiles.filter((profile) => profile.chat && chosen.has(profile.name)).map((profile) => talk(profile.name, request(profile, asked)));
    results.replaceChildren(...running.map((one) => one.element));
  };
  for (const field of [prompt, system]) {
    field.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) send();
    });
  }
  main.append(
    h(
      "div.play",
      h("div.playform", system, prompt, h("div.codebar", model, most, h("label", stream, " stream"), h("button.primary", { id: "play-send", onclick: send }, "send"), h("button", { onclick: () => running.forEach((one) => one.stop()) }, "stop")), boxes),
      results,
    ),
  );
  const stop = onChange(profiles);
  profiles();
  return {
    keys: { "/": () => prompt.focus(), Escape: () => running.forEach((one) => one.stop()) },
    close() {
      stop();
      for (const one of running) one.stop();
    },
  };
}
