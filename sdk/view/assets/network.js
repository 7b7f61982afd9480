// Who is connected, what went over the network, and what was refused.

import { get, post } from "./api.js";
import { foreign, h, icon, replace } from "./dom.js";
import { bytes, count } from "./format.js";
import { busy, say } from "./notice.js";
import { facts } from "./facts.js";
import { toggle } from "./switch.js";

export const title = "Network";
export const lead = "Your device works without a network. Online, it swaps small signed lists with other devices, and no server stands between.";

const EVERY_MS = 4000;

export async function draw(body) {
  const state = h("div", {});
  const refresh = async () => replace(state, await now());
  replace(body, state, joinForm(refresh));
  await refresh();
  const timer = setInterval(() => document.hidden || refresh().catch(() => clearInterval(timer)), EVERY_MS);
  return () => clearInterval(timer);
}

async function now() {
  const network = await get("network");
  if (!network.connected) {
    return [
      network.trouble ? h("p", { class: "note warn" }, h("b", {}, "Could not go online. "), foreign(network.trouble)) : null,
      h("p", { class: "empty" }, network.joining ? "Going online…" : `Offline. Recommendations go on working from what is on this device: ${count(network.records, "record")} of other people.`),
    ];
  }
  const { status } = network;
  return [
    network.trouble ? h("p", { class: "note warn" }, h("b", {}, "Nobody answered. "), foreign(network.trouble)) : null,
    facts([
      ["Connected", count(status.peers.length, "peer")],
      ["Records held", `${status.records.toLocaleString("en")}, ${bytes(status.record_bytes)}`],
      ["Received", `${bytes(status.bytes_in)} in ${count(status.messages_in, "message")}`],
      ["Sent", `${bytes(status.bytes_out)} in ${count(status.messages_out, "message")}`],
      ["Refused", refused(status.rejected)],
      ["Requests that failed", status.requests_failed.toLocaleString("en")],
      ["Not listened to", status.shut_out.length ? count(status.shut_out.length, "peer") : "nobody"],
      ["Caught lying", status.distrusted.length ? count(status.distrusted.length, "author") : "nobody"],
    ]),
    list("Reach this device at", network.addresses, "No address yet."),
    list("Connected now", status.peers, "Nobody is connected. Give the address above to somebody, or dial theirs below."),
  ];
}

function refused(rejected) {
  const parts = Object.entries(rejected).map(([reason, number]) => `${number} ${reason.replaceAll("_", " ")}`);
  return parts.length ? parts.join(", ") : "nothing";
}

function list(name, values, empty) {
  return [h("h2", {}, name), values.length ? h("ul", { class: "keys" }, values.map((value) => h("li", {}, h("code", {}, value)))) : h("p", { class: "empty" }, empty)];
}

function joinForm(refresh) {
  const address = h("input", { id: "dial", type: "text", autocomplete: "off", spellcheck: "false", placeholder: "/ip4/…/tcp/…/p2p/…", "aria-describedby": "dial-hint" });
  const lan = { on: false };
  const join = async () => {
    const asked = address.value.trim();
    await post("network/connect", { addresses: asked ? [asked] : [], lan: lan.on });
    say(asked ? "Connected." : "Your device is online.");
    address.value = "";
    document.dispatchEvent(new Event("meritrec:changed"));
    await refresh();
  };
  const send = h("button", { type: "submit" }, icon("network"), "Go online");
  return h(
    "form",
    { class: "panel", on: { submit: (event) => {
      event.preventDefault();
      busy(send, join);
    } } },
    h("h2", {}, "Go online"),
    h("p", { class: "soft", id: "dial-hint" }, "An address is optional: without one your device waits to be dialled."),
    h("div", { class: "fields" }, h("label", { for: "dial", class: "wide" }, "Somebody's address", address)),
    toggle("Look on the local network too; everybody there learns this device's key and address", false, (on) => {
      lan.on = on;
    }),
    h("p", { class: "row" }, send),
  );
}
