// The SQL panel: queries over the chosen run.

import * as api from "./api.js";
import { alert, counted, find, show, table } from "./dom.js";

export class SqlPanel {
  constructor(selection) {
    this.selection = selection;
    find("sql").addEventListener("submit", event => { event.preventDefault(); this.run(); });
    find("stop").addEventListener("click", () => this.abort?.abort());
    find("statement").addEventListener("keydown", event => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); this.run(); }
    });
  }

  clear() {
    this.abort?.abort();
    find("answer").replaceChildren();
    find("answer-note").textContent = "";
  }

  async run() {
    this.clear();
    alert();
    this.abort = new AbortController();
    const { workflow, runId } = this.selection();
    const body = { sql: find("statement").value, limit: 1000 };
    if (runId) body.runId = runId;
    show("stop");
    find("ask").disabled = true;
    find("answer-note").textContent = "Running …";
    try {
      const found = await api.sql(workflow, body, this.abort.signal);
      const limit = found.limitReached ? ", the maximum shown here" : "";
      find("answer-note").textContent = `${counted(found.rowCount, "row")}${limit}`;
      find("answer").replaceChildren(table("Result", found.columns, found.rows));
    } catch (error) {
      find("answer-note").textContent = error.name === "AbortError" ? "Stopped." : error.message;
    } finally {
      show("stop", false);
      find("ask").disabled = false;
    }
  }
}
