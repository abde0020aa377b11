/** Delete with a way back where the API has none: the request waits until it is too late to undo it. */
import { notifications } from "@mantine/notifications";
import { useSyncExternalStore } from "react";

import { messageOf } from "@/api/problem";

import { Deletions } from "./deletions";
import { offerUndo } from "./offerUndo";

const UNDO_MS = 8000;

const deletions = new Deletions((_, error) => {
  notifications.show({
    color: "red",
    title: "It was not deleted",
    message: messageOf(error),
    autoClose: false,
  });
});
window.addEventListener("pagehide", () => deletions.flush());

/** The ids of what is about to be deleted, which lists leave out. */
export function useDeleted(): ReadonlySet<string> {
  return useSyncExternalStore(deletions.subscribe, () => deletions.ids);
}

/** `remove` outlives the page: its request is sent with `keepalive`. */
export function deleteWithUndo(id: string, name: string, remove: () => Promise<unknown>): void {
  deletions.schedule(id, remove, UNDO_MS);
  offerUndo(id, name, () => deletions.undo(id), UNDO_MS);
}
