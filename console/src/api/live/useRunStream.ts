/** Keeps a run and its log up to date while a screen shows them. */
import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";

import { API_BASE } from "../client";
import { keys } from "../keys";
import { type FullRun, isEnded, type LogEntry, withEntries } from "../runs";
import { type Connection, LiveStream, type StreamEvent } from "./stream";

const GATHER_MS = 100; // entries that come together are drawn together
const REREAD_MS = 1000; // the log tells that nodes changed, the run how

/**
 * Follow a run's events from the end of the log that was read. The stream tells a change of status with the whole run;
 * what nodes do it tells as entries of the log, after which the run is read again, at most once a second.
 */
export function useRunStream(
  runId: string,
  log: readonly LogEntry[] | undefined,
  ended: boolean,
): Connection {
  const client = useQueryClient();
  const [connection, setConnection] = useState<Connection>("connecting");
  const isReady = log !== undefined;
  const follows = isReady && !ended;

  useEffect(() => {
    if (!follows) return;
    const pending: LogEntry[] = [];
    let gathering: ReturnType<typeof setTimeout> | undefined;
    let rereading: ReturnType<typeof setTimeout> | undefined;
    let rereadAt = 0;

    const reread = () => {
      rereadAt = Date.now();
      void client.invalidateQueries({ queryKey: keys.runs.one(runId), exact: true });
    };
    const flush = () => {
      const entries = pending.splice(0);
      client.setQueryData<LogEntry[]>(keys.runs.logs(runId), (known) => withEntries(known ?? [], entries));
      clearTimeout(rereading);
      rereading = setTimeout(reread, Math.max(0, rereadAt + REREAD_MS - Date.now()));
    };
    const onEvent = ({ type, data }: StreamEvent) => {
      if (type === "state") {
        const run = JSON.parse(data) as FullRun;
        void client.cancelQueries({ queryKey: keys.runs.one(runId), exact: true }); // what it reads is older
        client.setQueryData(keys.runs.one(runId), run);
        if (isEnded(run.status)) finish();
        return;
      }
      pending.push(JSON.parse(data) as LogEntry);
      clearTimeout(gathering);
      gathering = setTimeout(flush, GATHER_MS);
    };
    const known = client.getQueryData<LogEntry[]>(keys.runs.logs(runId)) ?? [];
    const stream = new LiveStream({
      address: (after) => `${API_BASE}/executions/${runId}/events?after=${after ?? 0}`,
      after: String(known.at(-1)?.seq ?? 0),
      types: ["state", "message"],
      onEvent,
      onConnection: (now) => {
        setConnection(now);
        if (now === "lost") reread(); // tells whether the server is away, the session over, or the run removed
      },
    });
    const finish = () => {
      stream.end();
      clearTimeout(gathering);
      flush();
      void client.invalidateQueries({ queryKey: keys.runs.logs(runId) }); // reads what the stream had not sent yet
      void client.invalidateQueries({ queryKey: keys.runs.lists });
      void client.invalidateQueries({ queryKey: keys.credits.all });
    };
    stream.start();
    return () => {
      stream.stop();
      clearTimeout(gathering);
      clearTimeout(rereading);
    };
  }, [client, runId, follows]);

  return ended ? "ended" : connection;
}
