/** Stores what is edited, a moment after the last change, on condition that nobody else changed it meanwhile. */
import { useQueryClient } from "@tanstack/react-query";
import { useCallback, useEffect, useRef, useState } from "react";

import { api, body, type Schemas, tagOf } from "@/api/client";
import { keys } from "@/api/keys";
import { ApiError, messageOf } from "@/api/problem";

import { apiGraph } from "../model/api-graph";
import type { Draft } from "../state/editor";
import type { Stored } from "../state/queries";

const WAIT_MS = 1500;
const RETRY_MS = 5000;

export type Saving =
  | { state: "saved" }
  | { state: "pending" }
  | { state: "saving" }
  | { state: "failed"; message: string }
  | { state: "conflict"; stored: Stored };

export interface Autosave {
  saving: Saving;
  workflow: Schemas["Workflow"];
  /** Store what is not stored yet; false if that failed. */
  flush: () => Promise<boolean>;
  /** Store over the version of somebody else, which stays in the history. */
  overwrite: (tag: string) => Promise<boolean>;
  /** What the API holds is this now, such as after a restore; it counts as stored. */
  adopt: (stored: Stored, draft: Draft) => void;
  setStatus: (status: "draft" | "active") => Promise<boolean>;
}

type Changes = Omit<Schemas["WorkflowUpdateIn"], "autosave">;

/** The fields that differ from what is stored; null if none do. */
function changesOf(draft: Draft, stored: Draft): Changes | null {
  const changes: Changes = {};
  if (draft.name !== stored.name && draft.name.trim() !== "") changes.name = draft.name.trim();
  if (draft.description !== stored.description) changes.description = draft.description;
  if (draft.graph !== stored.graph) Object.assign(changes, apiGraph(draft.graph));
  return Object.keys(changes).length > 0 ? changes : null;
}

export function useAutosave(first: Stored, draft: Draft, isReadOnly: boolean): Autosave {
  const client = useQueryClient();
  const [saving, setSaving] = useState<Saving>({ state: "saved" });
  const [workflow, setWorkflow] = useState(first.workflow);
  const [kept, setKept] = useState(draft);
  const known = useRef({ tag: first.tag, stored: draft, newest: draft });
  const queue = useRef<Promise<boolean>>(Promise.resolve(true));
  const id = first.workflow.id;

  const put = useCallback(
    async (changes: Changes, tag: string, sent: Draft, autosave = false): Promise<boolean> => {
      setSaving({ state: "saving" });
      try {
        const params = { path: { workflowId: id }, header: { "If-Match": tag } };
        const call = await api.PUT("/workflows/{workflowId}", { params, body: { ...changes, autosave } });
        const answer = await body(Promise.resolve(call));
        known.current = { ...known.current, tag: tagOf(call.response), stored: sent };
        setKept(sent);
        setWorkflow(answer.workflow);
        setSaving({ state: "saved" });
        void client.invalidateQueries({ queryKey: keys.workflows.list(), exact: false });
        void client.invalidateQueries({ queryKey: keys.workflows.versions(id) });
        return true;
      } catch (error) {
        setSaving(await refusalOf(error, id));
        return false;
      }
    },
    [client, id],
  );

  const flush = useCallback((): Promise<boolean> => {
    queue.current = queue.current.then(() => {
      const { newest, stored, tag } = known.current;
      const changes = changesOf(newest, stored);
      if (!changes) return true;
      return put(changes, tag, newest, true);
    });
    return queue.current;
  }, [put]);

  const overwrite = useCallback(
    (tag: string) => {
      const { newest } = known.current;
      const { name, description, graph } = newest;
      return put({ name: name.trim() || "Workflow", description, ...apiGraph(graph) }, tag, newest);
    },
    [put],
  );

  const adopt = useCallback(({ workflow: held, tag }: Stored, as: Draft) => {
    known.current = { tag, stored: as, newest: as };
    setWorkflow(held);
    setKept(as);
    setSaving({ state: "saved" });
  }, []);

  const setStatus = useCallback(
    async (status: "draft" | "active") =>
      (await flush()) && put({ status }, known.current.tag, known.current.stored),
    [flush, put],
  );

  useEffect(() => {
    known.current.newest = draft;
    if (isReadOnly || saving.state === "conflict" || draft === known.current.stored) return;
    const timer = setTimeout(() => void flush(), WAIT_MS);
    return () => clearTimeout(timer);
  }, [draft, flush, isReadOnly, saving.state]);

  // A conflict waits for a decision; a failure is tried again.
  useEffect(() => {
    if (saving.state !== "failed") return;
    const timer = setTimeout(() => void flush(), RETRY_MS);
    return () => clearTimeout(timer);
  }, [saving, flush]);

  // Nothing is lost when the tab is left or closed.
  useEffect(() => {
    const onHide = () => {
      if (document.visibilityState === "hidden") void flush();
    };
    const onLeave = (event: BeforeUnloadEvent) => {
      if (changesOf(known.current.newest, known.current.stored)) event.preventDefault();
    };
    document.addEventListener("visibilitychange", onHide);
    window.addEventListener("beforeunload", onLeave);
    return () => {
      document.removeEventListener("visibilitychange", onHide);
      window.removeEventListener("beforeunload", onLeave);
      void flush();
    };
  }, [flush]);

  const isBehind = saving.state === "saved" && changesOf(draft, kept) !== null;
  return { saving: isBehind ? { state: "pending" } : saving, workflow, flush, overwrite, adopt, setStatus };
}

/** A refusal because of somebody else's change comes with what is stored now. */
async function refusalOf(error: unknown, id: string): Promise<Saving> {
  if (!(error instanceof ApiError) || error.status !== 412)
    return { state: "failed", message: messageOf(error) };
  try {
    const call = await api.GET("/workflows/{workflowId}", { params: { path: { workflowId: id } } });
    const { workflow } = await body(Promise.resolve(call));
    return { state: "conflict", stored: { workflow, tag: tagOf(call.response) } };
  } catch (failure) {
    return { state: "failed", message: messageOf(failure) };
  }
}
