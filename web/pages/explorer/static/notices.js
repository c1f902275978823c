// Short notices at the bottom, which screen readers announce: copied, deleted with a way back, offline.

import { button, find, make } from "./dom.js";

const SHOWN_MILLISECONDS = 6000;

// Shows a notice; `undo` adds a button, and `over` is called when the notice goes without it.
export function notice(text, { undo, over } = {}) {
  const element = make("div", { class: "notice" }, text);
  const end = () => { clearTimeout(timer); element.remove(); removeEventListener("pagehide", leave); };
  const leave = () => { end(); over?.(); };
  const timer = setTimeout(leave, SHOWN_MILLISECONDS);
  addEventListener("pagehide", leave);
  if (undo) element.append(button({ class: "button small", onclick: () => { end(); undo(); } }, "Undo"));
  find("notices").append(element);
}

export async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
    notice(`${what} copied.`);
  } catch {
    notice("The browser does not allow copying here. Select the text and copy it by hand.");
  }
}
