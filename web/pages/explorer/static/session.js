// Signing out: what the key before could see goes with it.

import * as api from "./api.js";
import { forgetDeletions } from "./export/deletions.js";
import { forgetStatements } from "./sql/history.js";

// Asks for a key. The view stays in the address, so that signing in again shows it; a new page has nothing else of what
// the key before could see.
export function askForKey(message = "") {
  // Deletions that could still be undone need the key.
  dispatchEvent(new Event("pagehide"));
  api.key.forget();
  forgetStatements();
  forgetDeletions();
  history.replaceState({ message }, "");
  location.reload();
}
