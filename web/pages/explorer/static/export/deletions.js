// Exports that are deleted as far as anyone sees; the service deletes them once nobody can undo it.
//
// That is when the notice goes, or the page is left. They are noted in this tab, so that what could not be sent then, as
// without a connection, is sent when the page is opened again.

import * as api from "../api.js";

const NAME = "tailrace-deletions";

function noted() {
  try {
    return JSON.parse(sessionStorage.getItem(NAME)) ?? [];
  } catch {
    return [];
  }
}

const note = deletions => deletions.length ? sessionStorage.setItem(NAME, JSON.stringify(deletions)) : sessionStorage.removeItem(NAME);

export const isLeaving = exportId => noted().some(one => one[1] === exportId);
export const noteDeletion = (workflow, exportId) => note([...noted(), [workflow, exportId]]);
export const undoDeletion = exportId => note(noted().filter(one => one[1] !== exportId));
export const forgetDeletions = () => note([]);

// An error without an answer leaves the note, for later.
export async function deleteNow(workflow, exportId) {
  try {
    await api.deleteExport(workflow, exportId);
  } catch (error) {
    if (error.status === 404) return undoDeletion(exportId);
    if (error.status) undoDeletion(exportId);
    throw error;
  }
  return undoDeletion(exportId);
}

// What an earlier page of this tab could not send.
export async function deleteNoted() {
  for (const [workflow, exportId] of noted()) await deleteNow(workflow, exportId).catch(() => {});
}
