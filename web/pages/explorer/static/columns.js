// A card for each column with its statistics and a plot, loaded when it scrolls into view.

import * as api from "./api.js";
import { count, find, make } from "./dom.js";
import { paths } from "./filters.js";

const SVG = "http://www.w3.org/2000/svg";

export class Columns {
  constructor() {
    this.observer = new IntersectionObserver(entries => {
      for (const entry of entries) if (entry.isIntersecting) this.load(entry.target);
    }, { rootMargin: "200px" });
  }

  use(workflow, query, fields) {
    this.abort?.abort();
    this.abort = new AbortController();
    this.observer.disconnect();
    find("columns").replaceChildren(...paths(fields).map(field => {
      const card = make("li", { "data-path": field.path },
        make("h3", {}, field.path), make("p", { class: "quiet" }, `${field.type}, stored as ${field.storedAs}`.slice(0, 80)));
      card.request = { workflow, query: { ...query, field: field.path }, signal: this.abort.signal };
      this.observer.observe(card);
      return card;
    }));
  }

  async load(card) {
    this.observer.unobserve(card);
    const { workflow, query, signal } = card.request;
    try {
      card.append(...plot(await api.column(workflow, query, signal)));
    } catch (error) {
      if (error.name !== "AbortError") card.append(make("p", { class: "quiet" }, error.message));
    }
  }
}

function plot(profile) {
  const parts = [`${count(profile.nullCount)} of ${count(profile.rowCount)} null`];
  if (profile.distinctCount !== null) parts.push(`${profile.distinctExact ? "" : "about "}${count(profile.distinctCount)} distinct`);
  const content = [make("p", { class: "quiet" }, parts.join(", "))];
  if (profile.histogram.length) content.push(histogram(profile), ends(profile));
  else if (profile.topValues.length) content.push(topValues(profile));
  else if (profile.minimum !== null) content.push(ends(profile));
  return content;
}

function histogram(profile) {
  const bins = profile.histogram;
  const highest = Math.max(...bins.map(bin => bin.count), 1);
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${bins.length} 1`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", `Histogram of ${profile.field} from ${profile.minimum} to ${profile.maximum}`);
  for (const [index, bin] of bins.entries()) {
    const bar = document.createElementNS(SVG, "rect");
    const height = bin.count ? Math.max(bin.count / highest, 0.02) : 0;
    for (const [name, value] of Object.entries({ x: index + 0.05, y: 1 - height, width: 0.9, height })) {
      bar.setAttribute(name, value);
    }
    const title = document.createElementNS(SVG, "title");
    const formatted = value => profile.type.startsWith("DATE") ? new Date(value * 1000).toISOString().slice(0, 16) : value;
    title.textContent = `${formatted(bin.low)} to ${formatted(bin.high)}: ${count(bin.count)}`;
    bar.append(title);
    svg.append(bar);
  }
  return svg;
}

const ends = profile => make("p", { class: "ends" }, make("span", {}, profile.minimum), make("span", {}, profile.maximum));

function topValues(profile) {
  const list = make("dl", { class: "top" });
  for (const { value, count: times } of profile.topValues.slice(0, 5)) {
    const share = make("dd", {}, make("meter", { min: 0, max: profile.rowCount, value: times, "aria-hidden": "true" }));
    list.append(make("dt", { title: value }, value || "(empty)"), share, make("dd", {}, count(times)));
  }
  return list;
}
