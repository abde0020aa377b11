/** The versions of the workflow: how each differs from what is edited, and the way back to it. */
import { Button, Drawer, Stack, Text } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { useState } from "react";

import { api, body, type Schemas } from "@/api/client";
import { useIsDesk } from "@/ui/DataList";
import { readGraph } from "@/ui/graph/graph";
import { ErrorState, Loaded } from "@/ui/states";
import { Credits, Time } from "@/ui/values";

import { useEditor } from "../state/context";
import { type Stored, tagOf, versionQuery, versionsQuery } from "../state/queries";
import { DiffList } from "./DiffList";
import classes from "./saving.module.css";
import { VersionPicture } from "./VersionPicture";

interface VersionsProps {
  opened: boolean;
  onClose: () => void;
  current: number;
  save: () => Promise<boolean>;
  onRestored: (stored: Stored) => void;
}

export function VersionsDrawer(props: VersionsProps) {
  const isDesk = useIsDesk();
  return (
    <Drawer
      opened={props.opened}
      onClose={props.onClose}
      title="Versions"
      position="right"
      size={isDesk ? "lg" : "100%"}
      closeButtonProps={{ "aria-label": "Close versions" }}
    >
      <Versions {...props} />
    </Drawer>
  );
}

function Versions({ current, save, onRestored, onClose }: VersionsProps) {
  const { workflowId } = useEditor();
  const versions = useQuery(versionsQuery(workflowId));
  const [open, setOpen] = useState<number | null>(null);
  return (
    <Loaded query={versions}>
      {(page) => (
        <ul className={classes.versions}>
          {page.versions.map((version) => (
            <li key={version.id}>
              <VersionRow
                version={version}
                isCurrent={version.version === current}
                isOpen={open === version.version}
                onToggle={() => setOpen(open === version.version ? null : version.version)}
              />
              {open === version.version ? (
                <VersionDetail
                  number={version.version}
                  versionId={version.id}
                  isCurrent={version.version === current}
                  save={save}
                  onRestored={(stored) => {
                    onRestored(stored);
                    onClose();
                  }}
                />
              ) : null}
            </li>
          ))}
        </ul>
      )}
    </Loaded>
  );
}

interface RowProps {
  version: Schemas["Version"];
  isCurrent: boolean;
  isOpen: boolean;
  onToggle: () => void;
}

function VersionRow({ version, isCurrent, isOpen, onToggle }: RowProps) {
  return (
    <button type="button" className={classes.version} aria-expanded={isOpen} onClick={onToggle}>
      <span>
        <Text component="span" fw={600}>
          Version {version.version}
        </Text>
        {isCurrent ? " · stored now" : ""}
        <Text component="span" size="sm" c="dimmed" display="block">
          {version.nodeCount} {version.nodeCount === 1 ? "node" : "nodes"}, at most{" "}
          <Credits value={version.worstCaseCredits} unit />
          {version.valid ? "" : ", cannot run"}
        </Text>
      </span>
      <Text component="span" size="sm" c="dimmed">
        <Time value={version.createdAt} />
      </Text>
    </button>
  );
}

interface DetailProps {
  number: number;
  versionId: string;
  isCurrent: boolean;
  save: () => Promise<boolean>;
  onRestored: (stored: Stored) => void;
}

function VersionDetail({ number, versionId, isCurrent, save, onRestored }: DetailProps) {
  const { workflowId, graph, isReadOnly } = useEditor();
  const version = useQuery(versionQuery(workflowId, number, versionId));
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
      <Loaded query={version}>
        {(found) => {
          const old = readGraph(found);
          return (
            <Stack>
              <VersionPicture title={`Version ${number}`} name={found.name} graph={old} />
              <DiffList before={old} after={graph} title="What changed since" />
              {restore.error ? <ErrorState error={restore.error} /> : null}
              {isCurrent || isReadOnly ? null : (
                <Button loading={restore.isPending} onClick={() => restore.mutate()}>
                  Restore version {number}
                </Button>
              )}
            </Stack>
          );
        }}
      </Loaded>
    </div>
  );
}
