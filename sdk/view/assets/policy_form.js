// The sharing policy as switches. Nothing changes before “Save”, so that one can look at all of it first.

import { post } from "./api.js";
import { freshId, h } from "./dom.js";
import { busy, say } from "./notice.js";
import { toggle } from "./switch.js";

const LEVELS = [
  ["private", "Nothing", "Other devices learn nothing of you. You still profit from what they share."],
  ["items", "Items", "Your strongest likes, in three levels and by day. Not whom you trust."],
  ["network", "Items and people", "Those, and whom you vouch for, so that your friends' friends find a way through you."],
];
const USUAL_EPSILON = 3;
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
  fine.append(actionSwitches(draft), bounds(draft), noise(draft, spent), lists(draft));
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
  const days = h("select", { on: { change: (event) => {
    draft.epoch_days = Number(event.target.value);
  } } }, spans(draft.epoch_days).map(([value, name]) => h("option", { value, selected: value === draft.epoch_days }, name)));
  return h("div", { class: "fields" }, number(draft, "max_items", "Most items at once", [0, 64]), number(draft, "new_per_epoch", "New ones at a time", [1, 64]), number(draft, "max_vouches", "Most vouches at once", [0, 32]), h("label", {}, "Time is told as", days));
}

// Usual lengths of an epoch, and the one that is chosen now if it is another.
function spans(chosen) {
  const usual = [[1, "the day"], [7, "the week"], [28, "four weeks"]];
  return usual.some(([value]) => value === chosen) ? usual : [...usual, [chosen, `${chosen} days`]];
}

function number(draft, name, label, [min, max], step = 1) {
  const input = h("input", { type: "number", min, max, step, required: true, value: draft[name], on: { input: () => {
    draft[name] = input.valueAsNumber;
  } } });
  return h("label", {}, label, input);
}

function noise(draft, spent) {
  // What stands in the field holds only while the switch is on.
  const shown = { ...draft, epsilon: draft.epsilon ?? USUAL_EPSILON };
  const follow = () => {
    for (const name of ["truth", "made_up", "renew_days"]) draft[name] = shown[name];
    if (draft.epsilon !== null) draft.epsilon = shown.epsilon;
  };
  const fields = [
    number(shown, "epsilon", "ε, the smaller the more private", [0.01, 16], "any"),
    number(shown, "truth", "Share of likes that is told", [0.05, 0.95], "any"),
    number(shown, "made_up", "Made-up ones, on average", [1, 64], "any"),
    number(shown, "renew_days", "Days until asked again", [30, 36500]),
  ];
  const strength = h("div", { class: "fields", hidden: draft.epsilon === null, on: { input: follow } }, fields);
  const said = spent > 0 ? ` The answers about one item have cost at most ε = ${spent.toFixed(2)} so far.` : "";
  return h(
    "div",
    {},
    toggle("Hide true likes among made-up ones (randomised response)", draft.epsilon !== null, (on) => {
      draft.epsilon = on ? shown.epsilon : null;
      strength.hidden = !on;
    }),
    h("p", { class: "soft" }, `Some of what you like is left out and some that you never touched is told, so that nobody can be sure of any one item.${said}`),
    strength,
  );
}

function lists(draft) {
  return h(
    "details",
    { class: "lists" },
    h("summary", {}, "Items and categories to tell or not to tell"),
    area(draft, "deny_items", "Never these items", "One id a line."),
    area(draft, "deny_categories", "Never items of these categories", "One a line."),
    area(draft, "categories", "Only items of these categories", "One a line; leave it empty for all.", null),
  );
}

function area(draft, name, label, hint, empty = []) {
  const id = freshId("area");
  const text = h("textarea", { rows: 3, spellcheck: "false", "aria-describedby": id, ".value": (draft[name] ?? []).join("\n"), on: { input: () => {
    const lines = text.value.split("\n").map((line) => line.trim()).filter(Boolean);
    draft[name] = lines.length ? lines : empty;
  } } });
  return h("div", { class: "area" }, h("label", {}, label, text), h("p", { class: "soft", id }, hint));
}
