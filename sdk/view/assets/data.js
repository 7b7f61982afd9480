// Everything the device holds about the person: to take along, and to forget.

import { get, post } from "./api.js";
import { foreign, h, icon, plain, replace } from "./dom.js";
import { facts } from "./facts.js";
import { count, date } from "./format.js";
import { busy, confirmed, say } from "./notice.js";

export const title = "Your data";
export const lead = "Your history lives in one file on this device. Take a copy, or make the device forget.";

const SHOWN = 100;

export async function draw(body) {
  const renew = async () => {
    const [device, kept] = await Promise.all([get("overview"), get("items/blocked")]);
    replace(body, held(device), historyPanel(device, renew), blockedPanel(kept.items, renew), exportPanel(), forgetPanel(device, renew));
    document.dispatchEvent(new Event("meritrec:changed"));
  };
  await renew();
}

function held(device) {
  const history = device.events === 0 ? "empty: nothing was recorded yet" : count(device.events, "event");
  return facts([
    ["Your history", history],
    ["People you spoke about", String(device.opinions)],
    ["Records of other people", String(device.records)],
    ["Kept in", h("code", {}, device.folder)],
  ]);
}

function exportPanel() {
  const button = h("button", { type: "button", on: { click: () => busy(button, async () => {
    const everything = await get("export");
    const url = URL.createObjectURL(new Blob([JSON.stringify(everything, null, 2)], { type: "application/json" }));
    h("a", { href: url, download: "meritrec-export.json" }).click();
    setTimeout(() => URL.revokeObjectURL(url), 10_000);
    say("Your data was saved as meritrec-export.json.");
  }) } }, icon("data"), "Export my data");
  return h("section", { class: "panel" }, h("h2", {}, "Take a copy"), h("p", { class: "soft" }, "One JSON file with your history, whom you vouched for and blocked, and what you published. Not the device's secret key."), h("p", { class: "row" }, button));
}

function blockedPanel(items, renew) {
  const row = (item) => {
    const button = h("button", { type: "button", "aria-label": `Show again: ${plain(item.title)}`, on: { click: () => busy(button, async () => {
      await post("items/unblock", { item: item.item });
      say(`${plain(item.title)} may be shown again.`);
      await renew();
    }) } }, "Show again");
    return h("li", {}, foreign(item.title), button);
  };
  return h("section", { class: "panel" }, h("h2", {}, "Items you never want to see"), items.length ? h("ul", { class: "entries" }, items.map(row)) : h("p", { class: "empty" }, "None. “Not this again” beside a recommendation puts it here."));
}

function historyPanel(device, renew) {
  const list = h("div", {});
  const show = h("button", { type: "button", on: { click: () => busy(show, async () => {
    const { events } = await get("export");
    replace(list, h("ul", { class: "entries", tabindex: "0", "aria-label": "Your latest events" }, events.slice(-SHOWN).reverse().map((event) => eventRow(event, renew))));
    show.hidden = true;
    list.querySelector("ul").focus();
  }) } }, icon("history"), "Show my history");
  if (device.events === 0) return h("section", { class: "panel" }, h("h2", {}, "Your history"), h("p", { class: "empty" }, "Nothing was recorded yet. What you like, skip or dislike under “For you” appears here, and can be forgotten here."));
  return h("section", { class: "panel" }, h("h2", {}, "Your history"), h("p", { class: "soft" }, `The latest ${SHOWN} things you did. Forgetting one item erases everything you ever did with it.`), h("p", { class: "row" }, show), list);
}

function eventRow({ item, title: name, action, at }, renew) {
  const forget = async () => {
    const gone = await post("forget", { item });
    say(`Forgotten: ${count(gone.events, "event")} of ${plain(name)}.`);
    await renew();
  };
  const ask = async () => {
    const agreed = await confirmed({ title: "Forget this item?", text: `Everything you did with ${plain(name)} is erased from this device.`, action: "Forget it" });
    if (agreed) await busy(button, forget);
  };
  const button = h("button", { type: "button", "aria-label": `Forget: ${plain(name)}`, on: { click: ask } }, "Forget");
  return h("li", {}, h("span", { class: "what" }, foreign(name), h("span", { class: "why" }, `${action}, ${date(at)}`)), button);
}

function forgetPanel(device, renew) {
  const forget = async () => {
    const gone = await post("forget", { everything: true });
    say(`Forgotten: ${count(gone.events, "event")}, ${count(gone.opinions, "opinion")} of people and ${count(gone.blocked_items, "blocked item")}.`);
    await renew();
  };
  const ask = async () => {
    const agreed = await confirmed({
      title: "Forget everything?",
      text: `Your history (${count(device.events, "event")}), your vouches and your blocks are erased from this device for good. What you published is taken back as soon as the device is online. There is no way back.`,
      action: "Forget everything",
      typed: "forget",
    });
    if (agreed) await busy(all, forget);
  };
  const all = h("button", { type: "button", class: "danger", on: { click: ask } }, "Forget everything");
  return h("section", { class: "panel edge" }, h("h2", {}, "Start over"), h("p", { class: "soft" }, "Your device forgets you and keeps its key and what other people shared."), h("p", { class: "row" }, all));
}
