/** Keeps lists of runs, and what follows from them, up to date while a screen shows them. */
import { type QueryClient, useQueryClient } from "@tanstack/react-query";
import { useEffect } from "react";

import { API_BASE } from "../client";
import { keys } from "../keys";
import { isEnded, type Run } from "../runs";
import { LiveStream } from "./stream";

const GATHER_MS = 300; // what changes together is read together
const REREAD_MS = 3000; // at most so often, so that a busy account stays within its rate limit

/** Collects changed runs, and tells about them together: soon after the first one, and not too often. */
export class Changes {
  #runs = new Map<string, Run>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #toldAt = 0;

  constructor(private readonly tell: (runs: readonly Run[]) => void) {}

  add(run: Run): void {
    this.#runs.set(run.id, run);
    this.#timer ??= setTimeout(
      () => this.#flush(),
      Math.max(GATHER_MS, this.#toldAt + REREAD_MS - Date.now()),
    );
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#runs.clear();
  }

  #flush(): void {
    const runs = [...this.#runs.values()];
    this.stop();
    this.#toldAt = Date.now();
    this.tell(runs);
  }
}

/** Whether a list shows runs of all workflows, or of one that changed. */
export function isTouched(queryKey: readonly unknown[], workflowIds: ReadonlySet<string>): boolean {
  const filter = queryKey[2] as { workflowId?: string } | undefined;
  return filter?.workflowId === undefined || workflowIds.has(filter.workflowId);
}

function refresh(client: QueryClient, runs: readonly Run[]): void {
  const workflowIds = new Set(runs.map(({ workflowId }) => workflowId));
  void client.invalidateQueries({
    queryKey: keys.runs.lists,
    predicate: ({ queryKey }) => isTouched(queryKey, workflowIds),
  });
  void client.invalidateQueries({ queryKey: keys.credits.balance });
  if (runs.some(({ status }) => isEnded(status))) {
    void client.invalidateQueries({ queryKey: keys.usage.all });
  }
}

/** Read again what was read before the stream began, because a run may have ended in between. */
function catchUp(client: QueryClient): void {
  void client.invalidateQueries({
    queryKey: keys.runs.lists,
    predicate: ({ state }) => state.dataUpdatedAt > 0,
  });
}

export function useLiveRuns(): void {
  const client = useQueryClient();
  useEffect(() => {
    const changes = new Changes((runs) => refresh(client, runs));
    const stream = new LiveStream({
      address: (after) => `${API_BASE}/events${after === undefined ? "" : `?after=${after}`}`,
      types: ["run"],
      onEvent: ({ data }) => changes.add(JSON.parse(data) as Run),
      onConnection: (now) => {
        if (now === "live") catchUp(client);
      },
    });
    stream.start();
    return () => {
      stream.stop();
      changes.stop();
    };
  }, [client]);
}
