// Which columns are shown and exported, and in which order.

import { button, find, icon, iconButton, make } from "../dom.js";
import { typeSign } from "../fields.js";
import { thumbnails } from "../grid/cells.js";
import { shown, visibleFields } from "../load.js";
import { open } from "../popover.js";
import { change, view } from "../view.js";
import { count, counted } from "../words.js";

export function drawColumnsButton() {
  const visible = visibleFields().length;
  const all = shown.fields.length;
  const words = visible === all ? counted(all, "column") : `${count(visible)} of ${counted(all, "column")}`;
  find("choose-columns").disabled = !all;
  find("choose-columns").replaceChildren(icon("columns"), make("span", {}, words));
}

// All columns in their own order are no choice.
function setColumns(names) {
  const isDefault = names.length === shown.fields.length && names.every((name, at) => name === shown.fields[at].name);
  change({ columns: isDefault ? null : names });
}

function menu() {
  const list = make("ul", { class: "column-list", "aria-label": "Columns" });
  const draw = focus => {
    const visible = visibleFields();
    const rest = shown.fields.filter(field => !visible.includes(field));
    list.replaceChildren(...[...visible, ...rest].map((field, at) => row(field, at, visible)));
    search();
    if (focus) list.querySelector(`[data-name="${CSS.escape(focus)}"]`)?.focus();
  };
  const row = (field, at, visible) => {
    const isVisible = visible.includes(field);
    const names = visible.map(one => one.name);
    const move = step => {
      const next = names.toSpliced(at, 1).toSpliced(at + step, 0, field.name);
      setColumns(next);
      draw(field.name);
    };
    const box = make("input", {
      type: "checkbox", checked: isVisible, "data-name": field.name, disabled: isVisible && visible.length === 1,
      onchange: () => { setColumns(isVisible ? names.filter(name => name !== field.name) : [...names, field.name]); draw(field.name); },
      onkeydown: event => {
        const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
        if (!step || !event.altKey || !isVisible || !names[at + step]) return;
        event.preventDefault();
        move(step);
      },
    });
    const item = make("li", { "data-text": field.name.toLowerCase(), draggable: isVisible ? "true" : null },
      make("label", { class: "check" }, box, typeSign(field.type), make("span", { class: "choice", title: field.name }, field.name)),
      isVisible && at > 0 ? iconButton("up", `Move ${field.name} up`, () => move(-1), { class: "button ghost tiny" }) : null,
      isVisible && at < visible.length - 1 ? iconButton("down", `Move ${field.name} down`, () => move(1), { class: "button ghost tiny" }) : null);
    item.addEventListener("dragstart", event => event.dataTransfer.setData("text/plain", field.name));
    item.addEventListener("dragover", event => { if (isVisible) event.preventDefault(); });
    item.addEventListener("drop", event => {
      event.preventDefault();
      const dragged = event.dataTransfer.getData("text/plain");
      if (!names.includes(dragged) || dragged === field.name) return;
      setColumns(names.filter(name => name !== dragged).toSpliced(at, 0, dragged));
      draw();
    });
    return item;
  };
  const input = make("input", { class: "field", placeholder: "Find a column", "aria-label": "Find a column", autocomplete: "off", oninput: () => search() });
  const search = () => { for (const item of list.children) item.hidden = !item.dataset.text.includes(input.value.toLowerCase()); };
  draw();
  return make("div", { class: "columns-menu" }, input, list,
    make("div", { class: "actions" }, button({ class: "button small ghost", onclick: () => { change({ columns: null }); draw(); } }, "Show all"),
      make("a", { class: "button small ghost", href: thumbnails() ? "./" : "?thumbnails", onclick: event => { event.preventDefault(); toggleThumbnails(); } },
        thumbnails() ? "Hide thumbnails" : "Show thumbnails")));
}

// Another policy needs another page: it may load images of other hosts, which then learn who looks.
function toggleThumbnails() {
  location.assign(`${location.pathname}${thumbnails() ? "" : "?thumbnails"}${location.hash}`);
}

find("choose-columns").addEventListener("click", () => open(find("choose-columns"), "Columns", menu()));
