// SQL over the chosen run.

import * as api from "./api.js";
import { alert, count, find, show, table } from "./dom.js";

export class Asking {
  constructor(chosen) {
    this.chosen = chosen;
    find("sql").addEventListener("submit", event => { event.preventDefault(); this.ask(); });
    find("stop").addEventListener("click", () => this.abort?.abort());
    find("statement").addEventListener("keydown", event => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); this.ask(); }
    });
  }

  clear() {
    this.abort?.abort();
    find("answer").replaceChildren();
    find("answer-note").textContent = "";
  }

  async ask() {
    this.clear();
    alert();
    this.abort = new AbortController();
    const { workflow, runId } = this.chosen();
    const body = { sql: find("statement").value, limit: 1000 };
    if (runId) body.runId = runId;
    show("stop");
    find("ask").disabled = true;
    find("answer-note").textContent = "Running …";
    try {
      const found = await api.sql(workflow, body, this.abort.signal);
      const more = found.limitReached ? ", the most that are shown" : "";
      find("answer-note").textContent = `${count(found.rowCount)} rows${more}`;
      find("answer").replaceChildren(table("Answer", found.columns, found.rows));
    } catch (error) {
      find("answer-note").textContent = error.name === "AbortError" ? "Stopped." : error.message;
    } finally {
      show("stop", false);
      find("ask").disabled = false;
    }
  }
}
