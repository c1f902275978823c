// The page at /docs: a search over its sections, and a form that sends each operation with the key of this tab.

import { key } from "./api.js";
import { find, make } from "./dom.js";

const BASE = new URL("../", import.meta.url);
const SHOWN_CHARACTERS = 20_000;

// Hides the sections, and the links to them, in which not every word occurs.
find("search").addEventListener("input", event => {
  const words = event.target.value.toLowerCase().split(/\s+/).filter(Boolean);
  const matches = element => words.every(word => element.textContent.toLowerCase().includes(word));
  let shown = 0;
  for (const section of document.querySelectorAll("main > section")) {
    section.hidden = !matches(section);
    shown += !section.hidden;
    const link = document.querySelector(`nav a[href="#${section.querySelector("h2").id}"]`);
    link.parentElement.hidden = section.hidden;
  }
  find("found").textContent = words.length ? `${shown} ${shown === 1 ? "section" : "sections"} found` : "";
});

find("key").value = key.get() || "";
find("key").addEventListener("input", event => event.target.value ? key.set(event.target.value.trim()) : key.forget());

const openapi = await (await fetch(new URL("openapi.json", BASE))).json();
for (const section of document.querySelectorAll("section[data-path]")) {
  const item = openapi.paths[section.dataset.path];
  const operation = item[section.dataset.method];
  const parameters = [...(item.parameters || []), ...operation.parameters];
  section.querySelector("p").after(form(section.dataset, operation, parameters));
}

function form({ method, path }, operation, parameters) {
  const inputs = parameters.filter(one => one.in !== "header" || one.name === "prefer")
    .map(one => [one, make("input", { required: one.in === "path" })]);
  const content = operation.requestBody?.content;
  const type = content && make("select", {}, ...Object.keys(content).map(name => make("option", {}, name)));
  const body = content && make("textarea", { rows: 3, spellcheck: "false" });
  const output = make("pre", { hidden: true, tabindex: 0, "aria-label": `Answer of ${method.toUpperCase()} ${path}` });
  const send = async event => {
    event.preventDefault();
    output.hidden = false;
    output.textContent = "…";
    output.textContent = await answered(method, path, inputs, type?.value, body?.value);
  };
  return make("details", {},
    make("summary", {}, "Try it"),
    make("form", { onsubmit: send },
      ...inputs.map(([one, input]) => make("label", {}, `${one.name} (${one.in})`, input)),
      ...(content ? [make("label", {}, "content type", type), make("label", {}, "body", body)] : []),
      make("button", { type: "submit" }, `Send ${method.toUpperCase()}`)),
    output);
}

// The status, the headers and the beginning of the body; or why there is no answer.
async function answered(method, path, inputs, type, body) {
  const headers = key.get() ? { "x-api-key": key.get() } : {};
  const query = new URLSearchParams();
  let address = path.slice(1);
  for (const [{ name, in: place }, { value }] of inputs) {
    if (place === "path") address = address.replace(`{${name}}`, encodeURIComponent(value));
    else if (value && place === "query") query.append(name, value);
    else if (value) headers[name] = value;
  }
  if (body) headers["content-type"] = type;
  const url = new URL(query.size ? `${address}?${query}` : address, BASE);
  try {
    const response = await fetch(url, {
      method: method.toUpperCase(), headers, body: body || undefined, cache: "no-store", credentials: "omit",
    });
    const text = await response.text();
    const lines = [...response.headers].map(([name, value]) => `${name}: ${value}`).join("\n");
    const cut = text.length > SHOWN_CHARACTERS ? `\n… (${text.length - SHOWN_CHARACTERS} more characters)` : "";
    return `${response.status} ${response.statusText}\n${lines}\n\n${text.slice(0, SHOWN_CHARACTERS)}${cut}`;
  } catch {
    return "The service does not respond. Is it running?";
  }
}
