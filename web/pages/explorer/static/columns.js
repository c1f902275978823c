// The facts of each column as a small plot, asked for when it comes into view.

import * as api from "./api.js";
import { count, find, make } from "./dom.js";
import { paths } from "./filters.js";

const SVG = "http://www.w3.org/2000/svg";

export class Columns {
  constructor() {
    this.seen = new IntersectionObserver(entries => {
      for (const entry of entries) if (entry.isIntersecting) this.load(entry.target);
    }, { rootMargin: "200px" });
  }

  use(workflow, query, fields) {
    this.abort?.abort();
    this.abort = new AbortController();
    this.seen.disconnect();
    find("columns").replaceChildren(...paths(fields).map(field => {
      const card = make("li", { "data-path": field.path },
        make("h3", {}, field.path), make("p", { class: "quiet" }, `${field.type}, stored as ${field.storedAs}`.slice(0, 80)));
      card.ask = { workflow, query: { ...query, field: field.path }, signal: this.abort.signal };
      this.seen.observe(card);
      return card;
    }));
  }

  async load(card) {
    this.seen.unobserve(card);
    const { workflow, query, signal } = card.ask;
    try {
      card.append(...plot(await api.column(workflow, query, signal)));
    } catch (error) {
      if (error.name !== "AbortError") card.append(make("p", { class: "quiet" }, error.message));
    }
  }
}

function plot(facts) {
  const parts = [`${count(facts.nullCount)} of ${count(facts.rowCount)} null`];
  if (facts.distinctCount !== null) parts.push(`${facts.distinctExact ? "" : "about "}${count(facts.distinctCount)} distinct`);
  const found = [make("p", { class: "quiet" }, parts.join(", "))];
  if (facts.histogram.length) found.push(histogram(facts), ends(facts));
  else if (facts.topValues.length) found.push(top(facts));
  else if (facts.minimum !== null) found.push(ends(facts));
  return found;
}

function histogram(facts) {
  const bins = facts.histogram;
  const most = Math.max(...bins.map(bin => bin.count), 1);
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${bins.length} 1`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", `Histogram of ${facts.field} from ${facts.minimum} to ${facts.maximum}`);
  for (const [place, bin] of bins.entries()) {
    const bar = document.createElementNS(SVG, "rect");
    const height = bin.count ? Math.max(bin.count / most, 0.02) : 0;
    for (const [name, value] of Object.entries({ x: place + 0.05, y: 1 - height, width: 0.9, height })) {
      bar.setAttribute(name, value);
    }
    const title = document.createElementNS(SVG, "title");
    const spelled = value => facts.type.startsWith("DATE") ? new Date(value * 1000).toISOString().slice(0, 16) : value;
    title.textContent = `${spelled(bin.low)} to ${spelled(bin.high)}: ${count(bin.count)}`;
    bar.append(title);
    svg.append(bar);
  }
  return svg;
}

const ends = facts => make("p", { class: "ends" }, make("span", {}, facts.minimum), make("span", {}, facts.maximum));

function top(facts) {
  const list = make("dl", { class: "top" });
  for (const { value, count: times } of facts.topValues.slice(0, 5)) {
    const share = make("dd", {}, make("meter", { min: 0, max: facts.rowCount, value: times, "aria-hidden": "true" }));
    list.append(make("dt", { title: value }, value || "(empty)"), share, make("dd", {}, count(times)));
  }
  return list;
}
