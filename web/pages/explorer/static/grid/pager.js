// The page of rows: its number, its size, and which rows it has.

import { find, make } from "../dom.js";
import { shown } from "../load.js";
import { change, PAGE_SIZES, view } from "../view.js";
import { count, counted } from "../words.js";

const pages = () => Math.max(1, Math.ceil((shown.matched ?? 0) / view.size));

export function drawPager() {
  const isRows = view.tab === "rows";
  const hasRows = shown.matched > 0 && isRows;
  const first = (view.page - 1) * view.size + 1;
  find("pager").hidden = !hasRows;
  for (const one of document.querySelectorAll(".sized")) one.hidden = !isRows;
  find("range").textContent = !isRows ? "" : hasRows ? `Rows ${count(first)}-${count(Math.min(first + view.size - 1, shown.matched))}` : shown.matched === 0 ? "No rows" : "";
  find("page").value = view.page;
  find("page").setAttribute("aria-label", `Page, of ${counted(pages(), "page")}`);
  find("pages").textContent = `of ${count(pages())}`;
  find("previous").disabled = view.page <= 1;
  find("next").disabled = view.page >= pages();
  find("page-size").value = view.size;
}

function turn(step) {
  const page = Math.min(pages(), Math.max(1, view.page + step));
  change({ page, row: null });
}

find("page-size").append(...PAGE_SIZES.map(size => make("option", { value: size }, count(size))));
find("page-size").addEventListener("change", event => change({ size: Number(event.target.value), page: 1, row: null }));
find("previous").addEventListener("click", () => turn(-1));
find("next").addEventListener("click", () => turn(1));
find("page").addEventListener("change", event => {
  const page = Number.parseInt(event.target.value.replaceAll(",", ""), 10);
  if (page >= 1) change({ page: Math.min(page, pages()), row: null });
  drawPager();
});
