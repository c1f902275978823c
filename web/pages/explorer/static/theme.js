// The theme: the system's, or light or dark by choice.

import { find } from "./dom.js";

const NAME = "tailrace-theme";
const NEXT = { system: "light", light: "dark", dark: "system" };

const chosen = () => NEXT[localStorage.getItem(NAME)] ? localStorage.getItem(NAME) : "system";

function paint() {
  const theme = chosen();
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  find("theme").title = `Theme: ${theme}`;
  find("theme").setAttribute("aria-label", `Theme: ${theme}`);
}

export const themeWords = () => `Theme: ${chosen()}`;

export function nextTheme() {
  localStorage.setItem(NAME, NEXT[chosen()]);
  paint();
}

find("theme").addEventListener("click", nextTheme);
paint();
