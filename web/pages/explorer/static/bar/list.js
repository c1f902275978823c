// A list to choose from, with a box that searches in it.

import { icon, make } from "../dom.js";
import { close } from "../popover.js";

// entries: {text, notes: [text], isChosen, isDisabled, sign, choose}. The list gets the focus of its box by aria-activedescendant.
export function choiceList(label, entries, { search = true } = {}) {
  let at = Math.max(0, entries.findIndex(entry => entry.isChosen));
  const list = make("ul", { class: "menu", role: "listbox", "aria-label": label, id: "choices" });
  const items = entries.map((entry, number) => make("li", {
    role: "option", id: `choice-${number}`, "aria-selected": String(Boolean(entry.isChosen)), "aria-disabled": entry.isDisabled ? "true" : null,
    onclick: () => pick(number),
  }, make("span", { class: entry.sign ?? "" }, entry.isChosen || entry.sign ? icon(entry.icon ?? "check") : ""),
  make("span", { class: "choice", title: entry.text }, entry.text), ...entry.notes.map(note => make("span", { class: "note" }, note))));
  list.append(...items);
  const shownItems = () => items.filter(item => !item.hidden && item.getAttribute("aria-disabled") !== "true");

  function pick(number) {
    if (entries[number].isDisabled) return;
    close();
    entries[number].choose();
  }

  function activate(item) {
    for (const one of items) one.classList.toggle("active", one === item);
    at = items.indexOf(item);
    input.setAttribute("aria-activedescendant", item ? item.id : "");
    item?.scrollIntoView({ block: "nearest" });
  }

  const nothing = make("p", { class: "muted nothing", hidden: true }, "Nothing has these words.");
  const input = make("input", {
    class: "field", role: "combobox", "aria-label": label, "aria-controls": "choices", "aria-expanded": "true", "aria-autocomplete": "list",
    placeholder: label, autocomplete: "off", spellcheck: "false", readonly: !search,
    oninput: () => {
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      entries.forEach((entry, number) => { items[number].hidden = !words.every(word => entry.search.includes(word)); });
      nothing.hidden = items.some(item => !item.hidden);
      activate(shownItems()[0]);
    },
    onkeydown: event => {
      const all = shownItems();
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (step && all.length) {
        event.preventDefault();
        activate(all[(all.indexOf(items[at]) + step + all.length) % all.length]);
      } else if (event.key === "Enter" && items[at] && !items[at].hidden) {
        event.preventDefault();
        pick(at);
      }
    },
  });
  queueMicrotask(() => activate(items[at]));
  return make("div", { class: "choices" }, input, list, nothing);
}
