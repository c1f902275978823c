// One popover at a time, below its button; light dismissal and Escape are the browser's.

import { find } from "./dom.js";

const MARGIN = 8;
let anchor;

export const isOpen = () => find("popover").matches(":popover-open");

export function close() {
  if (isOpen()) find("popover").hidePopover();
}

function place() {
  const box = find("popover");
  const { left, bottom } = anchor.getBoundingClientRect();
  box.style.top = `${Math.min(bottom + 4, Math.max(MARGIN, innerHeight - box.offsetHeight - MARGIN))}px`;
  box.style.left = `${Math.max(MARGIN, Math.min(left, innerWidth - box.offsetWidth - MARGIN))}px`;
}

// Opens a popover of this content, and puts the focus on its first field.
export function open(button, label, content) {
  const box = find("popover");
  close();
  anchor = button;
  box.setAttribute("aria-label", label);
  box.replaceChildren(content);
  button.setAttribute("aria-expanded", "true");
  box.addEventListener("toggle", event => {
    if (event.newState !== "closed") return;
    button.setAttribute("aria-expanded", "false");
    // Whoever closes by Escape or a choice is back where they were.
    if (box.contains(document.activeElement) || document.activeElement === document.body) button.focus();
  }, { once: false, signal: closing() });
  box.showPopover();
  place();
  (box.querySelector("[data-focus]") ?? box.querySelector("input, select, textarea, button"))?.focus();
}

let previous;

function closing() {
  previous?.abort();
  previous = new AbortController();
  return previous.signal;
}

addEventListener("resize", () => isOpen() && place());
