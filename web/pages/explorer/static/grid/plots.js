// Plots of columns over the rows that match: histograms, most frequent values, shares of nulls. A click makes a filter.

import { button, make, svg } from "../dom.js";
import { addFilters, replaceFilters } from "../toolbar/chips.js";
import { count, money } from "../words.js";

const MAX_VALUE_CHARACTERS = 200;
const BOUNDS = ["GREATER_THAN", "LESS_THAN", "GREATER_THAN_OR_EQUAL", "LESS_THAN_OR_EQUAL", "BEFORE", "AFTER"];

const percent = (part, whole) => {
  const share = whole ? part / whole * 100 : 0;
  return share > 0 && share < 1 ? "<1%" : `${Math.round(share)}%`;
};

// top: how many frequent values; currency: of amounts, if all have the same.
export function plot(profile, { top = 2, currency = null } = {}) {
  const isTime = profile.type.startsWith("DATE");
  if (profile.type === "BOOLEAN" && profile.topValues.length) return [split(profile), nulls(profile)];
  if (profile.histogram.length) return [histogram(profile, isTime), ends(profile, isTime, currency), ...(top > 2 ? [nulls(profile)] : [])];
  // Where every value is another one, the most frequent say nothing.
  if (profile.topValues.some(one => one.count > 1)) return [topValues(profile, top), ...(top > 2 ? [nulls(profile)] : [])];
  if (profile.distinctCount && profile.distinctCount > 1) return [make("p", {}, `${profile.distinctExact ? "" : "about "}${count(profile.distinctCount)} values`), nulls(profile)];
  return [nulls(profile)];
}

function nulls({ field, nullCount, rowCount }) {
  if (!rowCount) return make("p", { class: "caption" }, "no rows");
  if (!nullCount) return make("p", { class: "caption" }, "no nulls");
  const share = percent(nullCount, rowCount);
  return button({ class: "nulls", tabindex: -1, title: `${count(nullCount)} of ${count(rowCount)} are null. Show them`, onclick: () => addFilters({ field, operator: "IS_NULL", values: [] }) },
    bar(nullCount / rowCount), `${share} null`);
}

function bar(share) {
  const inner = make("i", {});
  inner.style.width = `${Math.max(share * 100, 2)}%`;
  return make("span", { class: "bar", "aria-hidden": "true" }, inner);
}

function split({ field, topValues: values, rowCount }) {
  const element = make("div", { class: "split" });
  for (const { value, count: times } of [...values].sort((a, b) => b.value.localeCompare(a.value))) {
    const part = button({ tabindex: -1, "aria-label": `Show ${value}`, title: `${value}: ${count(times)}`, onclick: () => replaceFilters(field, ["EQUALS", "NOT_EQUALS"], { field, operator: "EQUALS", values: [value] }) });
    part.style.flexGrow = times;
    element.append(part);
  }
  const share = values.find(one => one.value === "true")?.count ?? 0;
  return make("div", {}, element, make("p", { class: "caption" }, `true ${percent(share, rowCount)}`));
}

function topValues({ field, type, topValues: values, rowCount }, top) {
  return make("ul", { class: "tops" }, ...values.slice(0, top).map(({ value, count: times }) => {
    // A long value is cut, so its beginning is looked for.
    const operator = value.length >= MAX_VALUE_CHARACTERS ? "STARTS_WITH" : "EQUALS";
    const shown = type === "LINK" ? value.replace(/^https?:\/\//, "") : value;
    return make("li", {}, button({ tabindex: -1, title: `${value || "(empty text)"}: ${count(times)}. Show them`, onclick: () => replaceFilters(field, ["EQUALS", "STARTS_WITH"], { field, operator, values: [value] }) },
      make("span", { class: "value" }, shown || "(empty text)"), bar(times / rowCount), make("span", {}, percent(times, rowCount))));
  }));
}

function histogram(profile, isTime) {
  const { field, histogram: bins } = profile;
  const highest = Math.max(...bins.map(bin => bin.count), 1);
  const words = `Histogram of ${field} from ${profile.minimum} to ${profile.maximum}`;
  const element = svg("svg", { viewBox: `0 0 ${bins.length} 24`, preserveAspectRatio: "none", role: "img", "aria-label": words });
  for (const [at, bin] of bins.entries()) {
    const [low, high] = bounds(profile, at, isTime);
    const height = bin.count ? Math.max(bin.count / highest * 24, 1) : 0;
    const isLast = at === bins.length - 1;
    const choose = () => replaceFilters(field, BOUNDS,
      { field, operator: "GREATER_THAN_OR_EQUAL", values: [low] }, { field, operator: isLast ? "LESS_THAN_OR_EQUAL" : "LESS_THAN", values: [high] });
    element.append(svg("g", { class: "bin", onclick: choose }, svg("title", {}, `${low} to ${high}: ${count(bin.count)}`),
      svg("rect", { class: "reach", x: at, y: 0, width: 1, height: 24 }), svg("rect", { x: at + 0.08, y: 24 - height, width: 0.84, height })));
  }
  return element;
}

// The bounds of a bin with as many digits as its width needs; the first and the last reach the ends.
function bounds({ histogram: bins, type, minimum, maximum }, at, isTime) {
  const { low, high } = bins[at];
  const isLast = at === bins.length - 1;
  if (isTime) {
    const moment = (seconds, round) => {
      const text = new Date(round(seconds) * 1000).toISOString();
      return type === "DATE" ? text.slice(0, 10) : `${text.slice(0, 19)}Z`;
    };
    return [moment(low, Math.floor), isLast ? latest(maximum, type) ?? moment(high, Math.ceil) : moment(high, Math.floor)];
  }
  const digits = Math.min(12, Math.max(0, 2 - Math.floor(Math.log10(high - low || 1))));
  const rounded = value => String(Number(value.toFixed(digits)));
  return [at === 0 ? minimum : rounded(low), isLast ? maximum : rounded(high)];
}

const latest = (text, type) => type === "DATE" ? text?.slice(0, 10) : text;

function ends({ minimum, maximum }, isTime, currency) {
  const isLong = isTime && Date.parse(maximum) - Date.parse(minimum) > 90 * 86_400_000;
  // Years have no commas.
  const isLarge = [minimum, maximum].some(text => Math.abs(text) >= 10_000) && [minimum, maximum].every(text => Math.abs(text) < 1e15);
  const shown = text => {
    if (isTime) return text.slice(0, isLong ? 7 : 10);
    if (currency) return money(text, currency)[0];
    const number = text.length > 10 ? Number(Number(text).toPrecision(6)) : Number(text);
    return isLarge ? count(number) : text.length > 10 ? String(number) : text;
  };
  return make("p", { class: "ends" }, make("span", {}, shown(minimum ?? "")), make("span", {}, shown(maximum ?? "")));
}
