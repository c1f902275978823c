// A strip while the service cannot be reached; the page recovers by itself.

import { isReachable } from "./api.js";
import { find, make } from "./dom.js";
import { updateExport } from "./export/panel.js";
import { load, onLoad, shown } from "./load.js";

const LOOK_MILLISECONDS = 3000;
const strip = make("div", { class: "strip", role: "status", hidden: true });
let timer;

function draw() {
  clearTimeout(timer);
  const isLost = !navigator.onLine || shown.error?.status === 0;
  strip.hidden = !isLost || find("explorer").hidden;
  updateExport();
  if (!isLost) return;
  const time = shown.loadedAt?.toLocaleTimeString("en", { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  strip.textContent = `${navigator.onLine ? "The service does not respond." : "You are offline."} ${time ? `Showing rows loaded at ${time}; f` : "F"}ilters and exports need a connection.`;
  timer = setTimeout(look, LOOK_MILLISECONDS);
}

async function look() {
  if (navigator.onLine && await isReachable()) {
    if (shown.error?.status === 0) load();
    else draw();
  } else {
    draw();
  }
}

export function followConnection() {
  document.body.append(strip);
  addEventListener("online", look);
  addEventListener("offline", draw);
  onLoad(draw);
}
