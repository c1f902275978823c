// A row as it was in the run before.

import * as api from "../api.js";
import { textOf } from "../grid/cells.js";
import { selection, sorting } from "../load.js";
import { view } from "../view.js";
import { previousRun } from "./pairs.js";

export const differs = (row, old, name) => textOf(row[name] ?? null) !== textOf(old[name] ?? null);

// The row of that number in the view, as {old, since}: old is undefined for a new row. Null if there is no run before it
// with row ids, or it cannot be read: the detail then says nothing of it.
export async function earlierRow(number) {
  const since = previousRun();
  if (!since) return null;
  try {
    const { workflow } = view;
    const { data: [row] } = await api.rows(workflow, { ...selection(), ...sorting(), includeRowIds: true, page: number, limit: 1 });
    const { data: [old] } = await api.rows(workflow, { runId: since, rowIds: [row._row_id], limit: 1 });
    return { old, since };
  } catch {
    return null;
  }
}
