// The API, with the key of this tab.

const KEY = "tailrace-key";
// The service may be below a path: its routes are beside the folder of this file.
const BASE = new URL("../", import.meta.url);

export const key = {
  get: () => sessionStorage.getItem(KEY),
  set: value => sessionStorage.setItem(KEY, value),
  forget: () => sessionStorage.removeItem(KEY),
};

export class Refused extends Error {
  constructor(status, body) {
    super(body.message || `The service answered ${status}.`);
    this.status = status;
    this.details = body.details || {};
  }
}

// Digits beyond what a JavaScript number holds are kept as text where they are shown.
export function parse(text) {
  if (JSON.parse.length < 2 && !("rawJSON" in JSON)) return JSON.parse(text);
  return JSON.parse(text, (_, value, context) =>
    typeof value === "number" && context && !Number.isSafeInteger(value) && /^-?\d+$/.test(context.source)
      ? context.source : value);
}

export async function ask(path, { method = "GET", query = {}, body, headers = {}, signal } = {}) {
  const parameters = new URLSearchParams(Object.entries(query).filter(([, value]) => value !== undefined && value !== ""));
  const url = new URL(parameters.size ? `${path}?${parameters}` : path, BASE);
  let answer;
  try {
    answer = await fetch(url, {
      method, signal, body: typeof body === "object" ? JSON.stringify(body) : body,
      headers: { "x-api-key": key.get(), ...headers }, cache: "no-store", credentials: "omit",
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, { message: "The service does not answer. Is it running?" });
  }
  const text = await answer.text();
  let found = {};
  try {
    found = parse(text);
  } catch {
    // What stands between us and the service may answer anything.
  }
  if (!answer.ok) throw new Refused(answer.status, found);
  return { status: answer.status, body: found };
}

const workflow = id => `v4/workflows/${encodeURIComponent(id)}`;

export async function workflows() {
  const found = [];
  for (let page = 1; ; page++) {
    const { body } = await ask("v4/workflows", { query: { page, limit: 1000 } });
    found.push(...body.workflows);
    if (page >= body.pagination.totalPages) return found;
  }
}

export const describe = async id => (await ask(workflow(id))).body;
export const rows = async (id, query, signal) => (await ask(`${workflow(id)}/data`, { query, signal })).body;
export const column = async (id, query, signal) => (await ask(`${workflow(id)}/data/column`, { query, signal })).body;
export const sql = async (id, body, signal) =>
  (await ask(`${workflow(id)}/data/query`, { method: "POST", body, signal })).body;

export const startExport = (id, body) =>
  ask(`${workflow(id)}/data/export`, { method: "POST", body, headers: { prefer: "respond-async" } });
const status = (id, exportId) => `${workflow(id)}/data/exports/${exportId}/status`;
export const exportStatus = async (id, exportId) => (await ask(status(id, exportId))).body;
export const cancelExport = (id, exportId) => ask(status(id, exportId), { method: "DELETE" });
