// Requests to the API, with the key that is stored in this tab.

const KEY = "tailrace-key";
// The service may be mounted below a path, so addresses are relative to the parent of this file's folder.
const BASE = new URL("../", import.meta.url);

export const key = {
  get: () => sessionStorage.getItem(KEY),
  set: value => sessionStorage.setItem(KEY, value),
  forget: () => sessionStorage.removeItem(KEY),
};

export class ApiError extends Error {
  constructor(status, body) {
    super(body.message || `The service answered ${status}.`);
    this.status = status;
    this.details = body.details || {};
  }
}

// Integers that a JavaScript number cannot hold exactly stay text.
export function parse(text) {
  if (JSON.parse.length < 2 && !("rawJSON" in JSON)) return JSON.parse(text);
  return JSON.parse(text, (_, value, context) =>
    typeof value === "number" && context && !Number.isSafeInteger(value) && /^-?\d+$/.test(context.source)
      ? context.source : value);
}

export async function send(path, { method = "GET", query = {}, body, headers = {}, signal } = {}) {
  const parameters = new URLSearchParams(Object.entries(query).filter(([, value]) => value !== undefined && value !== ""));
  const url = new URL(parameters.size ? `${path}?${parameters}` : path, BASE);
  let response;
  try {
    response = await fetch(url, {
      method, signal, body: typeof body === "object" ? JSON.stringify(body) : body,
      headers: { "x-api-key": key.get(), ...headers }, cache: "no-store", credentials: "omit",
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, { message: "The service does not respond. Is it running?" });
  }
  const text = await response.text();
  let content = {};
  try {
    content = parse(text);
  } catch {
    // A proxy in between may answer with something other than JSON.
  }
  if (!response.ok) throw new ApiError(response.status, content);
  return { status: response.status, body: content };
}

const workflow = id => `v4/workflows/${encodeURIComponent(id)}`;

export async function workflows() {
  const found = [];
  for (let page = 1; ; page++) {
    const { body } = await send("v4/workflows", { query: { page, limit: 1000 } });
    found.push(...body.workflows);
    if (page >= body.pagination.totalPages) return found;
  }
}

export const describe = async id => (await send(workflow(id))).body;
export const rows = async (id, query, signal) => (await send(`${workflow(id)}/data`, { query, signal })).body;
export const column = async (id, query, signal) => (await send(`${workflow(id)}/data/column`, { query, signal })).body;
export const sql = async (id, body, signal) =>
  (await send(`${workflow(id)}/data/query`, { method: "POST", body, signal })).body;

export const startExport = (id, body) =>
  send(`${workflow(id)}/data/export`, { method: "POST", body, headers: { prefer: "respond-async" } });
const status = (id, exportId) => `${workflow(id)}/data/exports/${exportId}/status`;
export const exportStatus = async (id, exportId) => (await send(status(id, exportId))).body;
export const cancelExport = (id, exportId) => send(status(id, exportId), { method: "DELETE" });
