// Who is connected, what went over the network, and what was refused.

import { get, post } from "./api.js";
import { copyButton } from "./copy.js";
import { foreign, h, icon, replace } from "./dom.js";
import { bytes, count } from "./format.js";
import { busy, say } from "./notice.js";
import { facts } from "./facts.js";
import { toggle } from "./switch.js";

export const title = "Network";
export const lead = "Your device works without a network. Online, it swaps small signed lists with other devices, and no server stands between.";

const EVERY_MS = 4000;

export async function draw(body) {
  const parts = [h("div", {}), h("div", {}), h("div", {})];
  const shown = [];
  const refresh = async () => {
    const network = await get("network");
    // Only what changed is drawn anew: selected text and a reader's place stay where they are.
    for (const [place, [depends, drawn]] of [state, reach, connected].map((part) => part(network)).entries()) {
      const digest = JSON.stringify(depends);
      if (shown[place] === digest) continue;
      shown[place] = digest;
      replace(parts[place], drawn());
    }
  };
  replace(body, parts, joinForm(refresh));
  await refresh();
  const timer = setInterval(() => document.hidden || refresh().catch(() => clearInterval(timer)), EVERY_MS);
  return () => clearInterval(timer);
}

// Each part: what it depends on, and how it is drawn.

function state({ connected: online, joining, trouble, records, status }) {
  const drawn = () => {
    const problem = trouble ? h("p", { class: "note warn" }, h("b", {}, online ? "Nobody answered. " : "Could not go online. "), foreign(trouble)) : null;
    const offline = joining ? "Going online…" : `Offline. Recommendations go on working from what is on this device: ${count(records, "record")} of other people.`;
    return [problem, online ? traffic(status) : h("p", { class: "empty" }, offline)];
  };
  return [[online, joining, trouble, records, status], drawn];
}

function traffic(status) {
  return facts([
    ["Connected", count(status.peers.length, "peer")],
    ["Records held", `${status.records.toLocaleString("en")}, ${bytes(status.record_bytes)}`],
    ["Received", `${bytes(status.bytes_in)} in ${count(status.messages_in, "message")}`],
    ["Sent", `${bytes(status.bytes_out)} in ${count(status.messages_out, "message")}`],
    ["Refused", refused(status.rejected)],
    ["Requests that failed", status.requests_failed.toLocaleString("en")],
    ["Not listened to", status.shut_out.length ? count(status.shut_out.length, "peer") : "nobody"],
    ["Caught lying", status.distrusted.length ? count(status.distrusted.length, "author") : "nobody"],
  ]);
}

function reach({ connected: online, addresses }) {
  const row = (address) => h("li", {}, h("code", {}, address), copyButton(address, "this address", "The address is on the clipboard."));
  const drawn = () => (online ? [h("h2", {}, "Reach this device at"), h("ul", { class: "keys" }, addresses.map(row))] : null);
  return [[online, addresses], drawn];
}

function connected({ connected: online, status }) {
  const peers = status?.peers ?? [];
  const list = () => (peers.length ? h("ul", { class: "keys" }, peers.map((peer) => h("li", {}, h("code", {}, peer)))) : h("p", { class: "empty" }, "Nobody is connected. Give the address above to somebody, or dial theirs below."));
  const drawn = () => (online ? [h("h2", {}, "Connected now"), list()] : null);
  return [[online, peers], drawn];
}

function refused(rejected) {
  const parts = Object.entries(rejected).map(([reason, number]) => `${number} ${reason.replaceAll("_", " ")}`);
  return parts.length ? parts.join(", ") : "nothing";
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
