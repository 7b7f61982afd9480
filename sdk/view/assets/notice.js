// What just happened, said to eyes and to screen readers alike; and the one dialog that asks before something is lost.

import { h, icon } from "./dom.js";

const SHOWN_MS = 7000;
const AT_ONCE = 3;

// `kind` is "done" or "failed"; a failure stays until it is closed.
export function say(text, kind = "done") {
  const toasts = document.getElementById("toasts");
  const close = h("button", { class: "close", type: "button", "aria-label": "Close this message", on: { click: () => toast.remove() } }, "×");
  const toast = h("div", { class: `toast ${kind}` }, icon(kind === "failed" ? "never" : "info"), h("p", {}, kind === "failed" ? h("b", {}, "That did not work. ") : null, text), close);
  toasts.append(toast);
  while (toasts.children.length > AT_ONCE) toasts.firstElementChild.remove();
  if (kind !== "failed") setTimeout(() => toast.remove(), SHOWN_MS);
}

export function fail(error) {
  say(error.message, "failed");
}

// Runs something that a button asks for; the button is busy meanwhile, and a failure is told.
export async function busy(button, work) {
  if (button.getAttribute("aria-busy") === "true") return undefined;
  button.setAttribute("aria-busy", "true");
  try {
    return await work();
  } catch (error) {
    fail(error);
    return undefined;
  } finally {
    button.removeAttribute("aria-busy");
  }
}

// Asks; resolves to whether the person agreed. With `typed`, that word has to be typed first.
export function confirmed({ title, text, action, typed = null }) {
  const dialog = document.getElementById("confirm");
  const yes = document.getElementById("confirm-yes");
  const field = document.getElementById("confirm-typed");
  const input = field.querySelector("input");
  document.getElementById("confirm-title").textContent = title;
  document.getElementById("confirm-text").textContent = text;
  yes.textContent = action;
  field.hidden = typed === null;
  field.querySelector("span").textContent = typed === null ? "" : `Type “${typed}” to go on`;
  input.value = "";
  const judge = () => {
    yes.disabled = typed !== null && input.value.trim().toLowerCase() !== typed;
  };
  input.oninput = judge;
  judge();
  document.getElementById("confirm-no").onclick = () => dialog.close("no");
  dialog.returnValue = "no";
  dialog.showModal();
  (typed === null ? document.getElementById("confirm-no") : input).focus();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}
