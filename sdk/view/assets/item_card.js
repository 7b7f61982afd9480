// One recommendation: its reasons, its ranks, what to say to it, and on request more reasons and what resembles it.

import { get, post } from "./api.js";
import { foreign, freshId, h, icon, plain, replace } from "./dom.js";
import { percent } from "./format.js";
import { busy, say } from "./notice.js";

const SAYINGS = [
  { symbol: "like", label: "Like", path: "events", body: { action: "like" }, said: "You like this." },
  { symbol: "skip", label: "Skip", path: "events", body: { action: "skip" }, said: "Skipped." },
  { symbol: "dislike", label: "Dislike", path: "events", body: { action: "dislike" }, said: "You do not like this." },
  { symbol: "never", label: "Not this again", path: "items/block", said: "Not shown again.", quiet: true },
];
const KINDS = {
  history: ["history", "Your history"],
  peers: ["people", "People you trust"],
  similar: ["data", "Likeness"],
  explored: ["spark", "Something new"],
  seen: ["eye", "You know it"],
  blocked: ["never", "Left out"],
  none: ["info", "No reason"],
};

// `changed` is called after something was recorded.
export function card(item, place, changed) {
  const heading = freshId("pick");
  const more = h("div", { class: "more", id: freshId("more"), hidden: true });
  const answer = h("p", { class: "answer", hidden: true });
  const element = h(
    "li",
    { class: "pick" },
    h("span", { class: "place", "aria-hidden": "true" }, String(place)),
    h(
      "article",
      { "aria-labelledby": heading },
      h("h2", { id: heading, tabindex: "-1" }, foreign(item.title)),
      reasons(item.reasons),
      ranks(item),
      answer,
      h("div", { class: "foot" }, actions(item, (said) => settle(element, answer, said, changed)), disclosure(item, more)),
      more,
    ),
  );
  return element;
}

export function reasons(list) {
  return h("ul", { class: "reasons" }, list.map(reason));
}

function reason({ kind, text }) {
  const [symbol, name] = KINDS[kind] ?? KINDS.none;
  return h("li", { class: kind }, icon(symbol), h("span", {}, h("span", { class: "hidden" }, `${name}: `), foreign(text)));
}

function ranks({ item, title, model_rank: model, peer_rank: peers, model_share: share }) {
  const parts = [];
  if (model !== null) parts.push(`no. ${model} of the model`);
  if (peers !== null) parts.push(`no. ${peers} among people you trust`);
  if (share > 0 && share < 1) parts.push(`${percent(share)} of its place from your history`);
  return h("p", { class: "ranks" }, parts.join(" · "), title === item ? null : [parts.length ? " · id " : "id ", foreign(item)]);
}

function actions(item, done) {
  const name = plain(item.title);
  const button = ({ symbol, label, path, body, said, quiet }) => {
    const send = async () => {
      await post(path, { item: item.item, ...body });
      done(said);
    };
    const element = h("button", { type: "button", class: quiet && "quiet", "aria-label": `${label}: ${name}`, on: { click: () => busy(element, send) } }, icon(symbol), label);
    return element;
  };
  return h("div", { class: "actions", role: "group", "aria-label": `What you say to ${name}` }, SAYINGS.map(button));
}

function settle(element, answer, said, changed) {
  element.classList.add("settled");
  answer.textContent = said;
  answer.hidden = false;
  say(`${element.querySelector("h2").textContent}: ${said}`);
  changed();
}

function disclosure(item, more) {
  const button = h("button", { type: "button", class: "link", "aria-expanded": "false", "aria-controls": more.id, "aria-label": `Why, and what is like it: ${plain(item.title)}`, on: { click: () => busy(button, open) } }, "Why, and what is like it");
  const open = async () => {
    if (more.hidden && more.childElementCount === 0) {
      const [why, like] = await Promise.all([get("explain", { item: item.item }), get("similar", { item: item.item, k: 6 })]);
      replace(more, block("Every reason", reasons(why.reasons)), block("What is like it", similar(like.items)));
    }
    more.hidden = !more.hidden;
    button.setAttribute("aria-expanded", String(!more.hidden));
  };
  return button;
}

function block(name, content) {
  return h("div", {}, h("h3", {}, name), content);
}

function similar(items) {
  if (items.length === 0) return h("p", { class: "soft" }, "The model knows nothing close to it.");
  return h("ol", { class: "similar" }, items.map((item) => h("li", {}, foreign(item.title))));
}
