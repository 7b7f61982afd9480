// Whom the device trusts, as a drawing and as a table, and the switches for it.

import { get, post } from "./api.js";
import { copyButton } from "./copy.js";
import { h, icon, replace } from "./dom.js";
import { percent, shortKey } from "./format.js";
import { busy, confirmed, say } from "./notice.js";
import { drawTrust, legend } from "./trust_graph.js";

export const title = "People";
export const lead = "The trust around you, seen from where you stand. A vouch lets somebody's likes count; nobody gains weight here by inventing identities.";

const LEVELS = { 1: "a little", 2: "normally", 3: "a lot" };
const KEY = /^[0-9a-f]{64}$/;

export async function draw(body) {
  const drawing = h("div", { class: "drawing" });
  const table = h("div", {});
  let graph = null;
  const key = legend();
  const redraw = () => {
    if (graph === null) return;
    key.hidden = graph.nodes.length === 0;
    drawTrust(drawing, graph, choose);
  };
  const renew = async () => {
    graph = await get("trust");
    redraw();
    replace(table, graph.nodes.length ? peersTable(graph, renew) : null);
    document.dispatchEvent(new Event("meritrec:changed"));
  };
  const choose = (peer) => {
    const row = document.getElementById(`peer-${peer}`);
    row?.scrollIntoView({ block: "center" });
    row?.querySelector("th")?.focus();
  };
  replace(body, drawing, key, table, form(renew));
  graph = await get("trust");
  own(body, graph.me);
  redraw();
  replace(table, graph.nodes.length ? peersTable(graph, renew) : null);
  const observer = new ResizeObserver(redraw);
  observer.observe(drawing);
  return () => observer.disconnect();
}

function own(body, key) {
  const copy = copyButton(key, "your key", "Your key is on the clipboard.");
  body.prepend(h("div", { class: "own-key" }, h("p", {}, h("span", { class: "soft" }, "Your key, for those who want to vouch for you"), h("code", {}, key)), copy));
}

function peersTable(graph, renew) {
  const { nodes, omitted } = graph;
  const head = h("tr", {}, ["Peer", "Trust", "How you know them", "What you say"].map((name) => h("th", { scope: "col" }, name)));
  return h(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": "People as a table" },
    h(
      "table",
      { class: "peers" },
      h("caption", {}, "The same people as a table, the most trusted first.", omitted ? ` ${omitted} fainter ones are not shown.` : null),
      h("thead", {}, head),
      h("tbody", {}, nodes.map((node) => peerRow(node, known(node, graph), nodes[0].score, renew))),
    ),
  );
}

// In words, why somebody is in the drawing: through which of the person's friends, if any vouches for them.
function known({ peer, blocked, direct, score }, { nodes, edges }) {
  if (blocked) return "you blocked them";
  if (direct) return "you vouch for them";
  if (score === 0) return "not reached";
  const friends = new Set(nodes.filter((node) => node.direct).map((node) => node.peer));
  const between = edges.filter((edge) => edge.target === peer && friends.has(edge.source)).map((edge) => shortKey(edge.source));
  return between.length ? `through ${between.slice(0, 3).join(", ")}${between.length > 3 ? "…" : ""}` : "further away";
}

function peerRow(node, how, strongest, renew) {
  const name = shortKey(node.peer);
  const change = (path, body, said) => async () => {
    await post(path, { peer: node.peer, ...body });
    say(said);
    await renew();
    document.getElementById(`peer-${node.peer}`)?.querySelector("th")?.focus();
  };
  const said = h(
    "select",
    { "aria-label": `What you say about ${name}`, on: { change: () => busy(said, () => choices[said.value]()) } },
    option("", "nothing", node.level === null && !node.blocked),
    Object.entries(LEVELS).map(([level, words]) => option(level, `I trust them ${words}`, node.level === Number(level))),
    option("block", "blocked", node.blocked),
  );
  const choices = {
    "": change("peers/unvouch", {}, `You say nothing about ${name} any more.`),
    block: change("peers/block", {}, `${name} is blocked: nothing reaches you through them, and nobody is told.`),
  };
  for (const [level, words] of Object.entries(LEVELS)) choices[level] = change("peers/vouch", { level: Number(level) }, `You trust ${name} ${words}.`);
  return h(
    "tr",
    { id: `peer-${node.peer}`, class: node.blocked ? "blocked" : "" },
    h("th", { scope: "row", tabindex: "-1" }, h("code", { title: node.peer }, name)),
    h("td", {}, meter(node, strongest)),
    h("td", {}, how),
    h("td", {}, said),
  );
}

function meter({ score, blocked }, strongest) {
  if (blocked || score === 0) return "none";
  return h("span", { class: "meter" }, percent(score), h("progress", { max: String(strongest), value: String(score), "aria-hidden": "true" }));
}

function option(value, text, selected) {
  return h("option", { value, selected }, text);
}

function form(renew) {
  const key = h("input", { id: "new-peer", type: "text", required: true, autocomplete: "off", spellcheck: "false", "aria-describedby": "new-peer-hint" });
  const level = h("select", { id: "new-level" }, Object.entries(LEVELS).map(([value, words]) => option(value, words, value === "2")));
  const asked = () => key.value.trim().toLowerCase();
  const valid = () => {
    key.setCustomValidity(KEY.test(asked()) ? "" : "A key is 64 digits and letters from a to f. The other person finds it on this page of theirs.");
    return key.reportValidity();
  };
  key.addEventListener("input", () => key.setCustomValidity(""));
  const vouch = async () => {
    await post("peers/vouch", { peer: asked(), level: Number(level.value) });
    say(`You vouch for ${shortKey(asked())}. Their likes count as soon as their record arrives.`);
    key.value = "";
    await renew();
  };
  const cutOff = async () => {
    const agreed = await confirmed({ title: "Block this peer?", text: "Nothing will reach your rankings through them. Nobody is told. You can take it back in the table.", action: "Block" });
    if (!agreed) return;
    await post("peers/block", { peer: asked() });
    say(`${shortKey(asked())} is blocked.`);
    key.value = "";
    await renew();
  };
  const block = h("button", { type: "button", class: "quiet", on: { click: () => valid() && busy(block, cutOff) } }, icon("never"), "Block");
  const send = h("button", { type: "submit" }, icon("people"), "Vouch");
  return h(
    "form",
    { class: "panel", ".noValidate": true, on: { submit: (event) => {
      event.preventDefault();
      if (valid()) busy(send, vouch);
    } } },
    h("h2", {}, "Vouch for somebody"),
    h("p", { class: "soft", id: "new-peer-hint" }, "Ask them for their key, in person or over a channel you trust."),
    h("div", { class: "fields" }, h("label", { for: "new-peer", class: "wide" }, "Their key", key), h("label", { for: "new-level" }, "Trust them", level)),
    h("p", { class: "row" }, send, block),
  );
}
