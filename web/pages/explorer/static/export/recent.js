// The finished exports of the workflow: what was asked, and links to copy, follow or delete.

import * as api from "../api.js";
import { button, iconButton, make } from "../dom.js";
import { shown } from "../load.js";
import { copy, notice } from "../notices.js";
import { view } from "../view.js";
import { age, counted, left, size } from "../words.js";
import { deleteNow, isLeaving, noteDeletion, undoDeletion } from "./deletions.js";
import { formatWords, requestWords } from "./options.js";

const list = make("ul", { class: "recent" });
const more = make("p", {});
let page = 1;
let asked = 0;

export const recentExports = make("section", { "aria-label": "Recent exports" }, make("h3", {}, "Recent exports"), list, more);

export async function drawRecent(wanted = 1) {
  page = wanted;
  const number = ++asked;
  const { workflow } = view;
  if (!workflow) return;
  try {
    const found = await api.exports(workflow, page);
    if (number !== asked) return;
    const rows = found.exports.filter(one => !isLeaving(one.exportId)).map(one => entry(workflow, one));
    if (page === 1) list.replaceChildren(...rows);
    else list.append(...rows);
    const { totalPages } = found.pagination;
    more.replaceChildren(page < totalPages ? button({ class: "button small ghost", onclick: () => drawRecent(page + 1) }, "Show more") : list.children.length ? "" : "None yet.");
  } catch (error) {
    if (number !== asked) return;
    more.replaceChildren(`The list could not be read: ${error.message} `, button({ class: "button small", onclick: () => drawRecent(page) }, "Try again"));
  }
}

function entry(workflow, one) {
  const compression = one.request?.compression;
  const format = `${formatWords(one.format)}${compression ? `.${compression === "gzip" ? "gz" : "zst"}` : ""}`;
  const words = one.request ? requestWords(one.request) : "A long request";
  const facts = [counted(one.rowCount, "row"), size(one.sizeBytes), one.runId !== shown.runId && `run ${one.runId}`, age(one.createdAt), left(one.retainedUntil)].filter(Boolean);
  // A link is signed when it is asked for, so it is never an expired one.
  const withFile = async use => {
    try {
      await use(await api.exportStatus(workflow, one.exportId));
    } catch (error) {
      notice(error.status === 404 ? "This export is no longer there." : error.message);
      drawRecent();
    }
  };
  const item = make("li", {}, make("span", { class: "format" }, format),
    make("div", { class: "what" }, make("span", { title: words }, words), make("small", {}, facts.join(" · "))),
    make("span", { class: "acts" },
      iconButton("download", `Download ${words}`, () => withFile(file => location.assign(file.url)), { title: "Download" }),
      iconButton("copy", `Copy link of ${words}`, () => withFile(file => copy(file.url, "Link")), { title: "Copy link" }),
      iconButton("delete", `Delete ${words}`, () => remove(workflow, one, item), { title: "Delete export" })));
  return item;
}

function remove(workflow, one, item) {
  noteDeletion(workflow, one.exportId);
  (item.nextElementSibling ?? item.previousElementSibling)?.querySelector("button").focus();
  item.hidden = true;
  notice(`Deleted the export of ${counted(one.rowCount, "row")}.`, {
    undo: () => { undoDeletion(one.exportId); item.hidden = false; },
    over: async () => {
      try {
        await deleteNow(workflow, one.exportId);
      } catch (error) {
        notice(error.status ? `The export could not be deleted: ${error.message}` : "The export is deleted as soon as this page is opened again with a connection.");
      }
      drawRecent();
    },
  });
}
