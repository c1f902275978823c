// Requests to the API, with the key that is stored in this tab.

const KEY = "tailrace-key";
// The service may be mounted below a path, so addresses are relative to the parent of this file's folder.
const BASE = new URL("../", import.meta.url);

export const key = {
  get: () => sessionStorage.getItem(KEY),
  set: value => sessionStorage.setItem(KEY, value),
  forget: () => sessionStorage.removeItem(KEY),
};

// What page.html says about the service: operators, formats, compressions, delimiters, seconds of a link.
export const service = JSON.parse(document.getElementById("service")?.textContent || "{}");

class ApiError extends Error {
  constructor(status, body) {
    super(body.message || `The service answered ${status}.`);
    this.status = status;
    this.code = body.code;
    this.details = body.details || {};
    this.requestId = body.requestId;
  }
}

// A number that a JavaScript number cannot hold; it keeps the digits that the service sent.
export class ExactNumber {
  constructor(text) {
    this.text = text;
  }

  toString() {
    return this.text;
  }

  toJSON() {
    return JSON.rawJSON ? JSON.rawJSON(this.text) : this.text;
  }
}

const MAX_EXACT_DIGITS = 15;

export function parse(text) {
  return JSON.parse(text, (_, value, context) =>
    typeof value === "number" && context && context.source.replace(/[eE].*|\D/g, "").length > MAX_EXACT_DIGITS
      && String(value) !== context.source ? new ExactNumber(context.source) : value);
}

export async function send(path, { method = "GET", query = {}, body, headers = {}, signal, keepalive } = {}) {
  const parameters = new URLSearchParams(Object.entries(query).filter(([, value]) => value !== undefined && value !== ""));
  const url = new URL(parameters.size ? `${path}?${parameters}` : path, BASE);
  let response;
  try {
    response = await fetch(url, {
      method, signal, keepalive, body: typeof body === "object" ? JSON.stringify(body) : body,
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

export const describe = async (id, signal) => (await send(workflow(id), { signal })).body;
// What may have the values of filters is in the body, never in an address, which proxies log.
const post = async (path, body, signal) => (await send(path, { method: "POST", body, signal })).body;
export const rows = (id, request, signal) => post(`${workflow(id)}/data`, bodyOf(request), signal);
export const column = (id, request, signal) => post(`${workflow(id)}/data/column`, bodyOf(request), signal);

// A request as JSON. Its filters are that already: parsed as JavaScript numbers, long ones would lose digits.
export const bodyOf = ({ filters = "[]", ...rest }) => `${JSON.stringify({ ...rest, filters: [] }).slice(0, -"[]}".length)}${filters}}`;
export const sql = (id, body, signal) => post(`${workflow(id)}/data/query`, body, signal);

export const changes = async id => (await send("v5/changes", { query: { workflowIds: id, limit: 100 } })).body.changes;
const later = { prefer: "respond-async" };
const exportsOf = ({ workflow: id, isStatement }) => `${workflow(id)}/data/${isStatement ? "query/" : ""}export`;
// request: {workflow, body, isStatement}.
export const startExport = request => send(exportsOf(request), { method: "POST", body: request.body, headers: later });
// Of a finished export: its file, with a link for the time that the request wants.
export const repeatExport = request => send(exportsOf(request), { method: "POST", body: request.body });
const exportPath = (id, exportId) => `${workflow(id)}/data/exports/${exportId}`;
export const exportStatus = async (id, exportId) => (await send(`${exportPath(id, exportId)}/status`)).body;
export const cancelExport = (id, exportId) => send(`${exportPath(id, exportId)}/status`, { method: "DELETE" });
export const exports = async (id, page) => (await send(`${workflow(id)}/data/exports`, { query: { page, limit: 20 } })).body;
export const deleteExport = (id, exportId) => send(exportPath(id, exportId), { method: "DELETE", keepalive: true });
export const isReachable = async () => {
  try {
    return (await fetch(new URL("healthz", BASE), { cache: "no-store" })).ok;
  } catch {
    return false;
  }
};
