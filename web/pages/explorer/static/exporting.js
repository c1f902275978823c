// An export: it is started, followed, cancelled, and its link is handed out.

import * as api from "./api.js";
import { alert, count, find, make, show, size } from "./dom.js";

const ENDED = new Set(["cancelled", "failed"]);
const POLL_MILLISECONDS = 400;

export class Exporting {
  constructor(request) {
    this.request = request;
    find("export").addEventListener("submit", event => { event.preventDefault(); this.start(); });
    find("cancel").addEventListener("click", () => this.cancel());
    find("copy").addEventListener("click", () => this.copy());
    find("format").addEventListener("change", () => this.options());
    this.options();
  }

  options() {
    for (const option of document.querySelectorAll("#export .csv")) option.hidden = find("format").value !== "csv";
  }

  body() {
    const { workflow, total, filters, ...request } = this.request();
    const body = { ...request, format: find("format").value };
    if (find("includeRowIds").checked) body.includeRowIds = true;
    if (body.format === "csv") {
      body.delimiter = find("delimiter").value;
      for (const name of ["bom", "formulaGuard"]) if (find(name).checked) body[name] = true;
    }
    // Filters are JSON text already: as JavaScript's numbers they would lose digits.
    return { workflow, total, body: JSON.stringify(body).replace(/}$/, `,"filters":${filters}}`) };
  }

  async start() {
    const { workflow, total, body } = this.body();
    alert();
    show("finished", false);
    this.busy(true);
    try {
      let { body: told } = await api.startExport(workflow, body);
      this.running = { workflow, exportId: told.exportId };
      while (!told.url) {
        this.progress(told, total);
        if (ENDED.has(told.phase)) throw new Error(told.message || "The export was cancelled.");
        await new Promise(resolve => setTimeout(resolve, POLL_MILLISECONDS));
        told = await api.exportStatus(workflow, told.exportId);
      }
      this.finish(told);
    } catch (error) {
      alert(error.message);
    } finally {
      this.busy(false);
    }
  }

  busy(running) {
    show("progress", running);
    show("cancel", running);
    find("start").disabled = running;
    if (running) this.progress({ phase: "asked", rows: 0, bytes: 0 });
    else if (document.activeElement === find("cancel")) find("start").focus();
  }

  progress(told, total) {
    const bar = find("bar");
    if (total && told.rows) [bar.max, bar.value] = [total, told.rows];
    else bar.removeAttribute("value");
    const queue = told.queuePlace ? `, place ${told.queuePlace}` : "";
    find("phase").textContent = `${told.phase}${queue}: ${count(told.rows)} rows, ${size(told.bytes)}`;
  }

  async cancel() {
    if (!this.running) return;
    try {
      await api.cancelExport(this.running.workflow, this.running.exportId);
    } catch (error) {
      alert(error.message);
    }
  }

  finish(told) {
    find("finished-note").textContent =
      `${count(told.rowCount)} rows, ${size(told.sizeBytes)}. The link opens without a key until ${told.expiresAt}.`;
    find("download").href = told.url;
    find("copied").textContent = "";
    find("snippets").replaceChildren(...snippets(told).flatMap(([title, text]) => [
      make("h3", { class: "quiet" }, title), make("pre", { tabindex: "0" }, text),
    ]));
    show("finished");
    find("download").focus();
  }

  async copy() {
    try {
      await navigator.clipboard.writeText(find("download").href);
      find("copied").textContent = "Copied.";
    } catch {
      find("copied").textContent = "Copying is not allowed here: take the link from below.";
    }
  }
}

function snippets({ url, format, workflowId, runId }) {
  const file = `${workflowId}-${runId}.${format}`;
  const readers = {
    csv: [`pd.read_csv(url)`, `pl.read_csv(url)`, `read_csv('${url}')`],
    json: [`pd.read_json(url)`, `pl.read_json(urllib.request.urlopen(url))`, `read_json('${url}')`],
    parquet: [`pd.read_parquet(url)`, `pl.scan_parquet(url).collect()`, `read_parquet('${url}')`],
  }[format];
  return [
    ["curl", `curl -sSo ${file} '${url}'`],
    ["pandas", `import pandas as pd\nurl = "${url}"\nframe = ${readers[0]}`],
    ["Polars", `${format === "json" ? "import urllib.request\n" : ""}import polars as pl\nurl = "${url}"\nframe = ${readers[1]}`],
    ["DuckDB", `INSTALL httpfs; LOAD httpfs;\nFROM ${readers[2]};`],
  ];
}
