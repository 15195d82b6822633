// An exchange's request on its way again.
import { again } from "./detail.js";
import { h } from "./dom.js";
import { link } from "./route.js";
import { state } from "./store.js";
import { talk } from "./talk.js";

export function replayPanel(detail) {
  const names = [...new Set([detail.profile, ...state.profiles.map((profile) => profile.name)])];
  const profile = h("select", { id: "replay-profile", "aria-label": "profile" }, names.map((name) => h("option", { value: name }, name)));
  const model = h("input", { id: "replay-model", placeholder: "model as it was", "aria-label": "model" });
  const results = h("div.talks", { id: "replays" });
  const send = () => {
    let request;
    try {
      request = again(detail, profile.value, model.value.trim());
    } catch (error) {
      results.prepend(h("div.problem", error.message));
      return;
    }
    const name = `${profile.value}${model.value.trim() && ` · ${model.value.trim()}`}`;
    const compare = (id) => h("a", { href: link(["x", detail.id, "diff"], { with: id, left: "returned", right: "returned" }) }, "compare");
    results.prepend(talk(name, request, compare).element);
  };
  return h(
    "div.replay",
    h("div.codebar", "Send it again through", profile, model, h("button.primary", { id: "replay-send", onclick: send }, "send"), h("span.dim", "it is sent to the provider, and may cost what it cost before")),
    results,
  );
}
