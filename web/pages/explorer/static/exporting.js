// The export panel: starts an export, follows or cancels it, and shows the link to its file.

import * as api from "./api.js";
import { alert, counted, find, make, show, size } from "./dom.js";

const COMPRESSED = new Set(["parquet", "xlsx"]);
const ENDED = new Set(["cancelled", "failed"]);
const POLL_INTERVAL_MILLISECONDS = 400;

export class ExportPanel {
  // selection() returns what is chosen on the page: the request, its words and the number of matching rows.
  constructor(selection) {
    this.selection = selection;
    find("export").addEventListener("submit", event => { event.preventDefault(); this.start(); });
    find("export").addEventListener("change", () => this.update());
    find("again").addEventListener("click", () => this.start());
    find("cancel").addEventListener("click", () => this.cancel());
    find("copy").addEventListener("click", () => this.copy());
    this.showOptions();
  }

  showOptions() {
    const format = find("format").value;
    for (const option of document.querySelectorAll("#export .csv")) option.hidden = format !== "csv";
    for (const option of document.querySelectorAll("#export .compressible")) option.hidden = COMPRESSED.has(format);
  }

  // The request as it would be sent now. Two equal requests have equal bodies.
  request() {
    const { workflow, total, filters, words, ...members } = this.selection();
    const body = { ...members, format: find("format").value };
    for (const name of ["includeRowIds", "flatten"]) if (find(name).checked) body[name] = true;
    if (find("fields").value.trim()) body.fields = names(find("fields").value.trim());
    if (!COMPRESSED.has(body.format) && find("compression").value !== "none") body.compression = find("compression").value;
    if (body.format === "csv") {
      body.delimiter = find("delimiter").value;
      for (const name of ["bom", "formulaGuard"]) if (find(name).checked) body[name] = true;
    }
    return {
      workflow, total,
      // Filters are JSON text already: parsed as JavaScript numbers, long ones would lose digits.
      body: JSON.stringify(body).replace(/}$/, `,"filters":${filters}}`),
      words: `${words}, as ${body.format}`,
    };
  }

  // To be called after every change of the selection: marks a finished export that no longer matches it.
  update() {
    this.showOptions();
    if (!this.finished) return;
    const { workflow, body } = this.request();
    const stale = workflow !== this.finished.workflow || body !== this.finished.body;
    find("stale-note").textContent = stale ? `Of an earlier request: ${this.finished.words}.` : "";
    find("download").textContent = stale ? "Download the earlier file" : "Download";
    show("stale", stale);
  }

  // Forgets the finished export and stops following the running one.
  clear() {
    this.running = this.finished = null;
    this.busy(false);
    show("finished", false);
  }

  async start() {
    const run = this.running = this.request();
    alert();
    this.finished = null;
    show("finished", false);
    this.busy(true);
    try {
      let { body: status } = await api.startExport(run.workflow, run.body);
      run.exportId = status.exportId;
      while (!status.url) {
        if (this.running !== run) return;
        this.progress(status, run.total);
        if (ENDED.has(status.phase)) throw new Error(status.message || "The export was cancelled.");
        await new Promise(resolve => setTimeout(resolve, POLL_INTERVAL_MILLISECONDS));
        status = await api.exportStatus(run.workflow, run.exportId);
      }
      if (this.running === run) this.finish(run, status);
    } catch (error) {
      if (this.running === run) alert(error.message);
    } finally {
      if (this.running === run) this.busy(false);
    }
  }

  busy(running) {
    show("progress", running);
    show("cancel", running);
    find("start").disabled = running;
    if (running) this.progress({ phase: "starting", rows: 0, bytes: 0 });
    else if (document.activeElement === find("cancel")) find("start").focus();
  }

  progress(status, total) {
    const bar = find("bar");
    if (total && status.rows) [bar.max, bar.value] = [total, status.rows];
    else bar.removeAttribute("value");
    const queue = status.queuePlace ? `, position ${status.queuePlace}` : "";
    find("phase").textContent = `${status.phase}${queue}: ${counted(status.rows, "row")}, ${size(status.bytes)}`;
  }

  async cancel() {
    if (!this.running?.exportId) return;
    try {
      await api.cancelExport(this.running.workflow, this.running.exportId);
    } catch (error) {
      alert(error.message);
    }
  }

  finish(run, file) {
    find("finished-note").textContent =
      `${counted(file.rowCount, "row")}, ${size(file.sizeBytes)}. The link opens without a key until ${file.expiresAt}.`;
    find("download").href = file.url;
    find("copied").textContent = "";
    find("snippets").replaceChildren(...snippets(file).flatMap(([title, text]) => [
      make("h3", { class: "quiet" }, title), make("pre", { tabindex: "0" }, text),
    ]));
    this.finished = run;
    this.update();
    show("finished");
    find("download").focus();
  }

  async copy() {
    try {
      await navigator.clipboard.writeText(find("download").href);
      find("copied").textContent = "Copied.";
    } catch {
      find("copied").textContent = "The browser does not allow copying here. Copy the link from an example below.";
    }
  }
}

// Names separated by commas, or a JSON array of them, which names with commas need.
function names(text) {
  if (text.startsWith("[")) {
    try {
      return JSON.parse(text);
    } catch {
      // The service says what is wrong with it.
    }
  }
  return text.split(",").map(name => name.trim());
}

function snippets({ url, format }) {
  const file = new URL(url).pathname.split("/").pop();
  // pandas does not see the compression by the URL, which ends with its signature.
  const compression = { gz: "gzip", zst: "zstd" }[file.split(".").pop()];
  const option = compression ? `, compression="${compression}"` : "";
  const readers = {
    csv: [`pd.read_csv(url${option})`, `pl.read_csv(url)`, `read_csv('${url}')`],
    json: [`pd.read_json(url${option})`, `pl.read_json(urllib.request.urlopen(url))`, `read_json('${url}')`],
    jsonl: [`pd.read_json(url, lines=True${option})`, `pl.read_ndjson(urllib.request.urlopen(url))`, `read_json('${url}')`],
    xlsx: [`pd.read_excel(url)`, `pl.read_excel(urllib.request.urlopen(url).read())`, `read_xlsx('${url}', stop_at_empty = false)`],
    parquet: [`pd.read_parquet(url)`, `pl.scan_parquet(url).collect()`, `read_parquet('${url}')`],
  }[format];
  return [
    ["curl", `curl -sSo ${file} '${url}'`],
    ["pandas", `import pandas as pd\nurl = "${url}"\nframe = ${readers[0]}`],
    ["Polars", `${["json", "jsonl", "xlsx"].includes(format) ? "import urllib.request\n" : ""}import polars as pl\nurl = "${url}"\nframe = ${readers[1]}`],
    ["DuckDB", `INSTALL httpfs; LOAD httpfs;\n${format === "xlsx" ? "INSTALL excel; LOAD excel;\n" : ""}FROM ${readers[2]};`],
  ];
}
