/** One version of the workflow: its picture, what changed since it (or with it, for the newest), and the way back. */
import { Button, Stack, Text } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";

import { api, body, tagOf } from "@/api/client";
import { readGraph } from "@/ui/graph/graph";
import { ErrorState, Loaded } from "@/ui/states";

import { useEditor } from "../state/context";
import { differenceQuery, type Stored, type VersionRef, versionQuery } from "../state/queries";
import { DiffList } from "./DiffList";
import classes from "./saving.module.css";
import { VersionPicture } from "./VersionPicture";

interface DetailProps {
  version: VersionRef;
  newest: VersionRef;
  /** The one before it, where there is one. */
  previous: VersionRef | undefined;
  save: () => Promise<boolean>;
  onRestored: (stored: Stored) => void;
}

export function VersionDetail({ version, newest, previous, save, onRestored }: DetailProps) {
  const { workflowId, isReadOnly } = useEditor();
  const { version: number } = version;
  const isNewest = number === newest.version;
  const shown = useQuery(versionQuery(workflowId, version));
  const restore = useMutation({
    mutationFn: async () => {
      if (!(await save())) throw new Error("What you edited could not be saved, so nothing was restored.");
      const params = { path: { workflowId, number } };
      const call = await api.POST("/workflows/{workflowId}/versions/{number}/restore", {
        params,
        body: {} as never,
      });
      const { workflow } = await body(Promise.resolve(call));
      return { workflow, tag: tagOf(call.response) };
    },
    onSuccess: onRestored,
  });
  return (
    <div className={classes.detail}>
      <Stack>
        <Loaded query={shown}>
          {(found) => (
            <VersionPicture title={`Version ${number}`} name={found.name} graph={readGraph(found)} />
          )}
        </Loaded>
        {isNewest ? (
          <Difference from={previous} to={version} title="What it changed" />
        ) : (
          <Difference from={version} to={newest} title="What changed since" />
        )}
        {restore.error ? <ErrorState error={restore.error} /> : null}
        {isNewest || isReadOnly ? null : (
          <Button loading={restore.isPending} onClick={() => restore.mutate()}>
            Restore version {number}
          </Button>
        )}
      </Stack>
    </div>
  );
}

interface DifferenceProps {
  from: VersionRef | undefined;
  to: VersionRef;
  title: string;
}

function Difference({ from, ...props }: DifferenceProps) {
  return from ? <Compared from={from} {...props} /> : <Text c="dimmed">This is the first version.</Text>;
}

function Compared({ from, to, title }: DifferenceProps & { from: VersionRef }) {
  const { workflowId } = useEditor();
  const difference = useQuery(differenceQuery(workflowId, from, to));
  const before = useQuery(versionQuery(workflowId, from));
  const after = useQuery(versionQuery(workflowId, to));
  const graphs = [readGraph(before.data ?? { nodes: [] }), readGraph(after.data ?? { nodes: [] })] as const;
  return (
    <Loaded query={difference}>
      {(found) => <DiffList difference={found} graphs={graphs} title={title} />}
    </Loaded>
  );
}
