// The sharing policy as switches. Nothing changes before “Save”, so that one can look at all of it first.

import { post } from "./api.js";
import { h } from "./dom.js";
import { toggle } from "./switch.js";
import { busy, say } from "./notice.js";

const LEVELS = [
  ["private", "Nothing", "Other devices learn nothing of you. You still profit from what they share."],
  ["items", "Items", "Your strongest likes, in three levels and by day. Not whom you trust."],
  ["network", "Items and people", "Those, and whom you vouch for, so that your friends' friends find a way through you."],
];
const ACTIONS = { view: "Viewed", like: "Liked", save: "Saved", buy: "Bought" };

// `renew` draws the section anew after a change.
export function policyForm({ policy, epsilon_spent: spent }, renew) {
  const draft = structuredClone(policy);
  const save = h("button", { type: "submit" }, "Save what I share");
  const fine = h("div", { class: "fine", hidden: draft.level === "private" });
  const levels = LEVELS.map(([value, name, hint]) =>
    h("label", {}, h("input", { type: "radio", name: "level", value, checked: value === draft.level, on: { change: () => {
      draft.level = value;
      fine.hidden = value === "private";
    } } }), h("b", {}, name), h("span", { class: "soft" }, hint)),
  );
  fine.append(actionSwitches(draft), bounds(draft), noise(draft, spent), denied(draft));
  const submit = (event) => {
    event.preventDefault();
    if (!event.target.reportValidity()) return;
    busy(save, async () => {
      await post("sharing", { policy: draft });
      say(draft.level === "private" ? "Nothing new will be shared." : "Saved. The lists below show what it means.");
      await renew();
    });
  };
  return h("form", { class: "panel", on: { submit } }, h("fieldset", { class: "levels" }, h("legend", {}, "What other devices are told"), levels), fine, h("p", { class: "row" }, save));
}

function actionSwitches(draft) {
  const one = ([action, name]) =>
    toggle(name, draft.actions.includes(action), (on) => {
      draft.actions = on ? [...draft.actions, action] : draft.actions.filter((other) => other !== action);
    });
  return h("fieldset", { class: "levels" }, h("legend", {}, "Which things you did may speak for an item"), h("div", { class: "switches" }, Object.entries(ACTIONS).map(one)));
}

function bounds(draft) {
  const field = (name, label, most, least = 0) =>
    h("label", {}, label, h("input", { type: "number", min: least, max: most, step: 1, required: true, value: draft[name], on: { input: (event) => {
      draft[name] = event.target.valueAsNumber;
    } } }));
  const days = h("select", { on: { change: (event) => {
    draft.epoch_days = Number(event.target.value);
  } } }, [[1, "the day"], [7, "the week"], [28, "four weeks"]].map(([value, name]) => h("option", { value, selected: value === draft.epoch_days }, name)));
  return h("div", { class: "fields" }, field("max_items", "Most items at once", 64), field("new_per_epoch", "New ones at a time", 64, 1), field("max_vouches", "Most vouches at once", 32), h("label", {}, "Time is told as", days));
}

function noise(draft, spent) {
  const epsilon = h("input", { type: "number", min: 0.01, max: 16, step: 0.01, value: draft.epsilon ?? 3, on: { input: () => {
    draft.epsilon = epsilon.valueAsNumber;
  } } });
  const strength = h("div", { class: "fields", hidden: draft.epsilon === null }, h("label", {}, "ε, the smaller the more private", epsilon));
  const said = spent > 0 ? ` The answers about one item have cost at most ε = ${spent.toFixed(2)} so far.` : "";
  return h(
    "div",
    {},
    toggle("Hide true likes among made-up ones (randomised response)", draft.epsilon !== null, (on) => {
      draft.epsilon = on ? epsilon.valueAsNumber : null;
      strength.hidden = !on;
    }),
    h("p", { class: "soft" }, `Some of what you like is left out and some that you never touched is told, so that nobody can be sure of any one item.${said}`),
    strength,
  );
}

function denied(draft) {
  const area = h("textarea", { rows: 3, spellcheck: "false", ".value": draft.deny_items.join("\n"), on: { input: () => {
    draft.deny_items = area.value.split("\n").map((line) => line.trim()).filter(Boolean);
  } } });
  return h("label", { class: "area" }, "Never tell these items (one id a line)", area);
}
