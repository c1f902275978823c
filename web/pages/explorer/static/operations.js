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
  const inputs = parameters.filter(one => one.in !== "header" || one.name === "Prefer")
    .map(one => [one, input(one, method)]);
  const content = operation.requestBody?.content;
  const type = content && make("select", {}, ...Object.keys(content).map(name => make("option", {}, name)));
  const body = content && make("textarea", { rows: 4, spellcheck: "false" });
  const bodies = content && make("select", {});
  const choice = content && make("label", {}, "example", bodies);
  if (content) {
    const fillIn = () => body.value = JSON.parse(bodies.value || '""');
    const offer = () => {
      const texts = examples(content[type.value]);
      bodies.replaceChildren(...texts.map(([title, text]) => make("option", { value: JSON.stringify(text) }, title)));
      choice.hidden = texts.length < 2;
      fillIn();
    };
    type.addEventListener("change", offer);
    bodies.addEventListener("change", fillIn);
    offer();
  }
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
      ...(content ? [make("label", {}, "content type", type), choice, make("label", {}, "body", body)] : []),
      make("button", { type: "submit" }, `Send ${method.toUpperCase()}`)),
    output);
}

// What the operation needs is filled in; but what is deleted has to be named.
function input({ name, in: place, required, example, schema }, method) {
  const needed = required || place === "path";
  const values = example ?? schema.default ?? schema.enum?.join(", ") ?? "";
  return make("input", {
    required: needed, value: needed && method !== "delete" ? example ?? "" : "", placeholder: String(values),
    "data-of": method !== "delete" && ["exportId", "fileName"].includes(name) && name,
  });
}

// Pairs of a title and the text of a body.
function examples({ example, examples = {} }) {
  const texts = Object.values(examples).map(({ summary, value }) => [summary, value]);
  if (example !== undefined) texts.push(["The example", example]);
  return texts.map(([title, value]) => [title, typeof value === "string" ? value : JSON.stringify(value, null, 2)]);
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
    rememberExport(text);
    const lines = [...response.headers].map(([name, value]) => `${name}: ${value}`).join("\n");
    const cut = text.length > SHOWN_CHARACTERS ? `\n… (${text.length - SHOWN_CHARACTERS} more characters)` : "";
    return `${response.status} ${response.statusText}\n${lines}\n\n${text.slice(0, SHOWN_CHARACTERS)}${cut}`;
  } catch {
    return "The service does not respond. Is it running?";
  }
}

// The operations on an export are about the last one that was made here.
function rememberExport(text) {
  const [, exportId, fileName] = text.match(/"url":"[^"?]*\/exports\/([^"\/?]+)\/([^"\/?]+)\?/) || [];
  for (const [name, value] of Object.entries({ exportId, fileName })) {
    if (value) for (const one of document.querySelectorAll(`[data-of=${name}]`)) one.value = value;
  }
}
