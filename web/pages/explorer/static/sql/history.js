// The statements that were run in this tab, the newest first. They go with the key.

const NAME = "tailrace-statements";
const MAX_STATEMENTS = 50;

export function statements() {
  try {
    return JSON.parse(sessionStorage.getItem(NAME)) ?? [];
  } catch {
    return [];
  }
}

export const remember = statement =>
  sessionStorage.setItem(NAME, JSON.stringify([statement, ...statements().filter(one => one !== statement)].slice(0, MAX_STATEMENTS)));

export const forgetStatements = () => sessionStorage.removeItem(NAME);
