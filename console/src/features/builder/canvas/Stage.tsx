/** The canvas with what floats over it: the run, what is selected, and what to do next. */
import { ActionIcon, Button, Group, Stack, Text, Title, Tooltip } from "@mantine/core";
import { IconAdjustments, IconCopy, IconLink, IconPlus, IconLasso, IconTrash } from "@tabler/icons-react";
import type { ReactNode } from "react";

import type { FullRun } from "@/api/runs";
import { useIsDesk } from "@/ui/useIsDesk";
import { labelOf, nodesById } from "@/ui/graph/graph";

import classes from "../Builder.module.css";
import type { Opened } from "../Dialogs";
import { RunBar } from "../running/RunBar";
import { useEditor } from "../state/context";
import type { Connecting } from "./EditorCanvas";
import type { Commands } from "./useCommands";

interface StageProps {
  children: ReactNode;
  connecting: Connecting | null;
  onConnecting: (connecting: Connecting | null) => void;
  commands: Commands;
  ports: ReadonlyMap<string, readonly string[]>;
  run: FullRun | undefined;
  onHideRun: () => void;
  onOpen: (opened: Opened) => void;
  onSettings: () => void;
  onConnect: () => void;
  selectsMany: boolean;
  onSelectMany: (many: boolean) => void;
}

export function Stage(props: StageProps) {
  const { children, connecting, run, onHideRun, onOpen, selectsMany, onSelectMany } = props;
  const { graph, isReadOnly } = useEditor();
  const isDesk = useIsDesk();
  return (
    <section className={classes.stage} aria-label="Canvas">
      {children}
      <div className={classes.top}>
        {run ? <RunBar run={run} onClose={onHideRun} /> : null}
        {connecting ? <ConnectHint {...props} connecting={connecting} /> : null}
      </div>
      {graph.nodes.length === 0 ? <EmptyCanvas onOpen={onOpen} /> : null}
      <div className={classes.bottom}>
        <SelectionBar {...props} />
      </div>
      {isDesk || isReadOnly ? null : (
        <Stack className={classes.fab} gap="sm" align="center">
          <ActionIcon
            size={44}
            radius="xl"
            variant={selectsMany ? "filled" : "default"}
            aria-label="Select several"
            aria-pressed={selectsMany}
            onClick={() => onSelectMany(!selectsMany)}
          >
            <IconLasso size={20} aria-hidden />
          </ActionIcon>
          <ActionIcon
            size={56}
            radius="xl"
            variant="filled"
            color="petrol"
            aria-label="Add a node"
            onClick={() => onOpen("palette")}
          >
            <IconPlus size={26} aria-hidden />
          </ActionIcon>
        </Stack>
      )}
    </section>
  );
}

function ConnectHint({ connecting, onConnecting, ports }: StageProps & { connecting: Connecting }) {
  const { graph } = useEditor();
  const source = nodesById(graph).get(connecting.from);
  const names = ports.get(connecting.from) ?? [""];
  return (
    <div className={`${classes.bar ?? ""} ${classes.hint ?? ""}`} role="status">
      <span>
        Choose the node after <b>{source ? labelOf(source) : connecting.from}</b>
      </span>
      {names.length > 1 ? (
        <Group gap={4}>
          {names.map((port) => (
            <Button
              key={port}
              size="compact-sm"
              variant={port === connecting.port ? "filled" : "default"}
              aria-pressed={port === connecting.port}
              onClick={() => onConnecting({ ...connecting, port })}
            >
              {port || "always"}
            </Button>
          ))}
        </Group>
      ) : null}
      <Button size="compact-sm" variant="subtle" onClick={() => onConnecting(null)}>
        Stop
      </Button>
    </div>
  );
}

function SelectionBar({ commands, onSettings, onConnect, connecting }: StageProps) {
  const { selection, isReadOnly } = useEditor();
  const isDesk = useIsDesk();
  const nodes = selection.nodes.size;
  const all = nodes + selection.connections.size;
  if (all === 0 || isReadOnly || connecting) return null;
  if (isDesk && nodes === 1 && all === 1) return null;
  const size = isDesk ? "lg" : 44;
  return (
    <div className={classes.bar} role="toolbar" aria-label="What is selected">
      {all > 1 ? (
        <Text size="sm" fw={600} px="xs">
          {all} selected
        </Text>
      ) : null}
      {nodes === 1 && all === 1 ? (
        <>
          <ActionIcon size={size} aria-label="Settings" onClick={onSettings}>
            <IconAdjustments size={20} aria-hidden />
          </ActionIcon>
          <ActionIcon size={size} aria-label="Connect" onClick={onConnect}>
            <IconLink size={20} aria-hidden />
          </ActionIcon>
        </>
      ) : null}
      {nodes > 0 ? (
        <Tooltip label="Duplicate">
          <ActionIcon size={size} aria-label="Duplicate" onClick={commands.duplicate}>
            <IconCopy size={20} aria-hidden />
          </ActionIcon>
        </Tooltip>
      ) : null}
      <Tooltip label="Delete">
        <ActionIcon size={size} aria-label="Delete" onClick={commands.removeSelected}>
          <IconTrash size={20} aria-hidden />
        </ActionIcon>
      </Tooltip>
    </div>
  );
}

function EmptyCanvas({ onOpen }: Pick<StageProps, "onOpen">) {
  const { isReadOnly } = useEditor();
  return (
    <div className={classes.empty}>
      <Stack align="center" gap="xs" maw={320}>
        <Title order={2}>Nothing here yet</Title>
        <Text size="sm">
          Begin with an Input, let an AI agent or a Process work on it, and end with an Output.
        </Text>
        {isReadOnly ? null : (
          <Button mt="xs" leftSection={<IconPlus size={16} aria-hidden />} onClick={() => onOpen("palette")}>
            Add a node
          </Button>
        )}
      </Stack>
    </div>
  );
}
