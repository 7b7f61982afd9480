// A switch with its name beside it.

import { h } from "./dom.js";
import { busy } from "./notice.js";

// `change` is called with the new state.
export function toggle(name, on, change) {
  const box = h("input", { type: "checkbox", role: "switch", checked: on, on: { change: () => busy(box, () => change(box.checked)) } });
  return h("label", { class: "switch" }, box, h("span", { class: "knob", "aria-hidden": "true" }), h("span", {}, name));
}
