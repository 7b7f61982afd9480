// Recommendations with their reasons, what the person says to them, and what was left out.

import { get } from "./api.js";
import { h, icon, replace } from "./dom.js";
import { filteredList } from "./filtered.js";
import { card } from "./item_card.js";
import { busy } from "./notice.js";
import { toggle } from "./switch.js";

export const title = "For you";
export const lead = "What your device would show you now, and why. It was worked out here, from your own history and from people you trust.";

const SOURCES = [
  ["blend", "Both", "your history and the people you trust"],
  ["model", "Your history", "the model alone, from your own history"],
  ["peers", "People you trust", "only what they like"],
];
const EMPTY = {
  blend: "Nothing to recommend yet. Like a few things, or vouch for somebody under “People” and go online under “Network”.",
  model: "The model has nothing left to show: everything is in your history or was left out. Look under “Show what was filtered”.",
  peers: "Nobody you trust has shared anything yet. Vouch for somebody under “People”, go online under “Network”, and what they share appears here.",
};
const K = 10;
// Kept while the person looks at other sections.
const chosen = { source: "blend", seen: false, filtered: false };

export async function draw(body) {
  const list = h("ol", { class: "picks", "aria-label": "Recommendations" });
  const left = h("div", { class: "left-out", hidden: !chosen.filtered });
  const stale = h("p", { class: "stale", hidden: true }, "You changed what your device knows. ");
  const again = h("button", { type: "button", on: { click: () => busy(again, () => renew(true)) } }, icon("refresh"), "Update the list");
  stale.append(again);

  const changed = () => {
    stale.hidden = false;
    document.dispatchEvent(new Event("meritrec:changed"));
    if (chosen.filtered) showFiltered();
  };
  const showFiltered = async () => replace(left, await filteredList(() => renew(false)));
  const renew = async (focus) => {
    const { items } = await get("recommendations", { k: K, source: chosen.source, seen: chosen.seen });
    const reading = list.contains(document.activeElement);
    replace(list, items.length ? items.map((item, place) => card(item, place + 1, changed)) : h("li", { class: "empty", tabindex: "-1" }, EMPTY[chosen.source]));
    stale.hidden = true;
    if (chosen.filtered) await showFiltered();
    if (focus || reading) list.querySelector("h2, .empty")?.focus();
  };

  const toolbar = h(
    "div",
    { class: "toolbar" },
    h("fieldset", { class: "segments" }, h("legend", {}, "Drawn from"), SOURCES.map((source) => segment(source, renew))),
    h(
      "div",
      { class: "switches" },
      toggle("Include what you already know", chosen.seen, (on) => {
        chosen.seen = on;
        return renew(false);
      }),
      toggle("Show what was filtered", chosen.filtered, (on) => {
        chosen.filtered = on;
        left.hidden = !on;
        return on ? showFiltered() : null;
      }),
    ),
  );
  await renew(false);
  replace(body, toolbar, stale, list, left);
}

function segment([value, name, hint], renew) {
  const choose = (event) => {
    chosen.source = value;
    return busy(event.target, () => renew(false));
  };
  const radio = h("input", { type: "radio", name: "source", value, checked: chosen.source === value, on: { change: choose } });
  return h("label", { title: hint }, radio, h("span", {}, name));
}
