// What leaves the device: the policy with its switches, and exactly what is out, what will go, and what stays.

import { get, post } from "./api.js";
import { foreign, h, icon, replace } from "./dom.js";
import { count, dayDate, shortKey } from "./format.js";
import { busy, confirmed, say } from "./notice.js";
import { policyForm } from "./policy_form.js";

export const title = "Sharing";
export const lead = "Nothing leaves this device unless you allow it here. Your history itself never does.";

export async function draw(body) {
  const policy = h("div", {});
  const lists = h("div", {});
  const renew = async () => {
    const sharing = await get("sharing");
    replace(policy, policyForm(sharing, renew));
    replace(lists, listing(sharing, renew));
    document.dispatchEvent(new Event("meritrec:changed"));
  };
  const sharing = await get("sharing");
  replace(policy, policyForm(sharing, renew));
  replace(lists, listing(sharing, renew));
  replace(body, policy, lists);
}

function listing(sharing, renew) {
  const { published, would_publish: next, pending, connected } = sharing;
  const when = connected ? "The next time your device publishes." : "When your device is next online.";
  return [
    h("div", { class: "columns" }, part("Published now", "What other devices can see today.", published, "Nothing. Nobody can see anything of you."), part("Will be published", pending ? when : "The same: nothing is waiting.", next, "Nothing.")),
    h("p", { class: "row" }, publishButton(sharing, renew), withdrawButton(sharing, renew)),
    withheldPart(sharing),
    history(sharing),
  ];
}

function part(name, hint, shared, empty) {
  const total = shared.items.length + shared.vouches.length;
  return h(
    "section",
    { class: "panel" },
    h("h2", {}, name, " ", h("span", { class: "tally" }, count(total, "entry", "entries"))),
    h("p", { class: "soft" }, hint),
    total === 0 ? h("p", { class: "empty" }, empty) : null,
    shared.items.length ? entries("Items", shared.items.map(itemEntry)) : null,
    shared.vouches.length ? entries("Vouches", shared.vouches.map(vouchEntry)) : null,
  );
}

function entries(name, rows) {
  return [h("h3", {}, name), h("ul", { class: "entries", tabindex: "0", "aria-label": name }, rows)];
}

function itemEntry({ title: name, key, level, day, made_up: madeUp }) {
  return h("li", {}, name ? foreign(name) : h("code", { title: key }, shortKey(key)), h("span", { class: "soft" }, `level ${level} of 3, ${dayDate(day)}${madeUp ? ", made up or taken back" : ""}`));
}

function vouchEntry({ peer, level }) {
  return h("li", {}, h("code", { title: peer }, shortKey(peer)), h("span", { class: "soft" }, `level ${level} of 3`));
}

function withheldPart({ withheld }) {
  if (withheld.length === 0) return h("p", { class: "empty" }, "Nothing is withheld: there is nothing on this device that could be shared.");
  const row = ({ title: name, peer, text }) => h("li", {}, peer ? h("code", { title: peer }, shortKey(peer)) : foreign(name), h("span", { class: "soft" }, text));
  return folded("Withheld", count(withheld.length, "entry", "entries"), "What stays on the device, and which rule keeps it there.", withheld.map(row));
}

function history({ editions, ever_told: gone }) {
  if (editions.length === 0) return null;
  const row = (edition) => h("li", {}, `Version ${edition.version}`, h("span", { class: "soft" }, `${dayDate(edition.day)}, ${count(edition.items, "item")} and ${count(edition.vouches, "vouch", "vouches")}`));
  const told = gone.length ? ` ${count(gone.length, "item")} that you no longer share stood in one of them; others may have kept that.` : "";
  return folded("Published so far", count(editions.length, "version"), `What this device has put out since the start.${told}`, editions.map(row));
}

function folded(name, tally, hint, rows) {
  return h("details", { class: "panel" }, h("summary", {}, h("h2", {}, name, " ", h("span", { class: "tally" }, tally))), h("p", { class: "soft" }, hint), h("ul", { class: "entries", tabindex: "0", "aria-label": name }, rows));
}

function publishButton({ connected }, renew) {
  const publish = async () => {
    const { changed } = await post("sharing/publish");
    say(changed ? "Published." : "There was nothing new to publish.");
    await renew();
  };
  const button = h("button", { type: "button", disabled: !connected, "aria-describedby": connected ? null : "why-not", on: { click: () => busy(button, publish) } }, icon("share"), "Publish now");
  return [button, connected ? null : h("span", { class: "soft", id: "why-not" }, "Publishing needs the network.")];
}

function withdrawButton({ published }, renew) {
  const anything = published.items.length + published.vouches.length > 0;
  const withdraw = async () => {
    const { connected } = await post("sharing/withdraw");
    say(connected ? "Withdrawn: an empty list is on its way in place of yours." : "Your device shares nothing any more, and tells the others when it is next online.");
    await renew();
  };
  const ask = async () => {
    const agreed = await confirmed({
      title: "Withdraw everything you shared?",
      text: "Your device publishes an empty list in place of yours and goes back to sharing nothing. Devices that follow the rules drop what they hold; nobody can be forced to.",
      action: "Withdraw",
    });
    if (agreed) await busy(button, withdraw);
  };
  const button = h("button", { type: "button", class: "danger", disabled: !anything, on: { click: ask } }, "Withdraw everything");
  return button;
}
