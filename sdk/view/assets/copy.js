// A button that puts a text on the clipboard.

import { h, icon } from "./dom.js";
import { busy, say } from "./notice.js";

export function copyButton(text, name, said) {
  const copy = async () => {
    await navigator.clipboard.writeText(text);
    say(said);
  };
  const button = h("button", { type: "button", "aria-label": `Copy ${name}`, on: { click: () => busy(button, copy) } }, icon("copy"), "Copy");
  return button;
}
