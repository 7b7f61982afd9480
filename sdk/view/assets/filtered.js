// What the ranking would have shown, had it not been left out, each with the reason.

import { get, post } from "./api.js";
import { foreign, h, plain } from "./dom.js";
import { busy, say } from "./notice.js";

const K = 20;

// `changed` is called after the person let something back in.
export async function filteredList(changed) {
  const { items } = await get("filtered", { k: K });
  const heading = h("h2", {}, "What was filtered");
  if (items.length === 0) return [heading, h("p", { class: "empty" }, "Nothing: the ranking above left nothing out.")];
  return [
    heading,
    h("p", { class: "soft" }, "These would have ranked here as well."),
    h("ul", { class: "filtered" }, items.map((item) => row(item, changed))),
  ];
}

function row(item, changed) {
  const allow = (event) =>
    busy(event.currentTarget, async () => {
      await post("items/unblock", { item: item.item });
      say(`${plain(item.title)} may be shown again.`);
      await changed();
    });
  const back = h("button", { type: "button", "aria-label": `Show again: ${plain(item.title)}`, on: { click: allow } }, "Show again");
  return h("li", {}, h("span", { class: "what" }, foreign(item.title), h("span", { class: "why" }, foreign(item.text))), item.kind === "blocked" ? back : null);
}
