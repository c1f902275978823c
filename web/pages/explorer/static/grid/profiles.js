// Statistics of columns, a few at a time, each loaded when its place comes into view; old ones stay until then.

import * as api from "../api.js";
import { button } from "../dom.js";
import { selection } from "../load.js";
import { view } from "../view.js";

const AT_ONCE = 2;

export class Profiles {
  constructor() {
    this.observer = new IntersectionObserver(entries => {
      for (const { isIntersecting, target } of entries) if (isIntersecting) this.enqueue(target);
    }, { rootMargin: "100px" });
    this.clear();
  }

  clear() {
    this.abort?.abort();
    this.abort = new AbortController();
    this.observer.disconnect();
    this.waiting = [];
    this.running = 0;
  }

  // places: {element, path, draw(profile)}; what draw returns replaces what the element shows.
  show(places) {
    this.clear();
    for (const place of places) this.observer.observe(place.element);
    this.places = new Map(places.map(place => [place.element, place]));
  }

  enqueue(element) {
    this.observer.unobserve(element);
    this.waiting.push(this.places.get(element));
    this.next();
  }

  next() {
    while (this.running < AT_ONCE && this.waiting.length) this.load(this.waiting.shift(), this.abort.signal);
  }

  async load(place, signal) {
    this.running++;
    place.element.setAttribute("aria-busy", "true");
    try {
      const profile = await api.column(view.workflow, { ...selection(), field: place.path }, signal);
      place.element.replaceChildren(...place.draw(profile));
    } catch (error) {
      if (error.name === "AbortError") return;
      place.element.replaceChildren(button({ class: "retry", tabindex: -1, title: error.message, onclick: () => { this.waiting.push(place); this.next(); } }, "No plot. Try again"));
    } finally {
      if (!signal.aborted) {
        this.running--;
        place.element.removeAttribute("aria-busy");
        this.next();
      }
    }
  }
}
