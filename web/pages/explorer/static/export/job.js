// One export: started, followed to its end, or cancelled. The panel shows it.

import * as api from "../api.js";
import { request } from "./options.js";

const POLL_INTERVAL_MILLISECONDS = 400;
const ENDED = new Set(["cancelled", "failed"]);

// state: idle, running (with status), finished (with file), failed (with message).
export const job = { state: "idle", request: null, status: null, file: null, message: null };
const listeners = new Set();
const pause = () => new Promise(resolve => setTimeout(resolve, POLL_INTERVAL_MILLISECONDS));

export const onJob = listener => listeners.add(listener);

function become(state, rest = {}) {
  Object.assign(job, { state, status: null, file: null, message: null, ...rest });
  for (const listener of listeners) listener();
}

// Whether the page asks for something else than the finished file has.
export function isStale() {
  if (job.state !== "finished") return false;
  const now = request();
  return now.workflow !== job.request.workflow || now.body !== job.request.body;
}

// Follows an export to its end and returns its file; onStatus gets each status, and returns whether to go on.
async function follow(workflow, answer, onStatus) {
  let status = answer;
  while (!status.url) {
    if (!onStatus(status)) return null;
    if (ENDED.has(status.phase)) throw new Error(status.message || "The export was cancelled.");
    await pause();
    status = await api.exportStatus(workflow, answer.exportId);
  }
  return status;
}

export async function start(asked = request()) {
  const run = asked;
  become("running", { request: run, status: { phase: "starting", rows: 0, bytes: 0 } });
  try {
    const { body } = await api.startExport(run);
    run.exportId = body.exportId;
    let file = await follow(run.workflow, body, status => {
      if (job.request !== run) return false;
      if (!ENDED.has(status.phase)) become("running", { status });
      return true;
    });
    // A status has a link for the longest time; asked again, an equal request has one for the wanted time.
    if (file && file !== body && run.hasLife) ({ body: file } = await api.repeatExport(run));
    if (file && job.request === run) become("finished", { file });
  } catch (error) {
    if (job.request === run) become("failed", { message: error.message });
  }
}

export async function cancel() {
  if (!job.request?.exportId) return;
  try {
    await api.cancelExport(job.request.workflow, job.request.exportId);
  } catch (error) {
    // It may have finished at the same moment; following it shows how it ended.
    if (error.status !== 409) become("failed", { message: error.message });
  }
}
