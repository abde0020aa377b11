/** The connections of a node as a list, to make and to remove them without pointing at anything. */
import { ActionIcon, Button, Group, Select, Stack } from "@mantine/core";
import { IconTrash } from "@tabler/icons-react";
import { useState } from "react";

import { type Graph, type GraphNode, labelOf, nodesById, withDescendants } from "@/ui/graph/graph";

import type { Commands } from "../canvas/useCommands";
import { moveInto, refusal, remove } from "../model/edits";
import { useEditor } from "../state/context";
import classes from "./config.module.css";

/** The nodes to choose from: an imported graph may have two of one id, which a list of choices cannot. */
const differentNodes = (graph: Graph) => [...nodesById(graph).values()];

interface ConnectionsProps {
  node: GraphNode;
  ports: readonly string[];
  commands: Commands;
}

export function Connections({ node, ports, commands }: ConnectionsProps) {
  const { graph, editGraph, isReadOnly } = useEditor();
  const byId = nodesById(graph);
  const label = (id: string) => labelOf(byId.get(id) ?? { id, type: "" });
  const ways = graph.connections.filter(({ from, to }) => from === node.id || to === node.id);
  return (
    <Stack gap="xs" component="section" aria-label="Connections">
      <h3 className={classes.section}>Connections</h3>
      {ways.length > 0 ? (
        <ul className={classes.ways}>
          {ways.map(({ id, from, to, fromPort }) => {
            const isOut = from === node.id;
            const text = isOut ? `to ${label(to)}` : `from ${label(from)}`;
            return (
              <li key={id} className={classes.way}>
                <span>
                  {fromPort ? <span className={classes.wayPort}>{fromPort} </span> : null}
                  {text}
                </span>
                <ActionIcon
                  aria-label={`Remove the connection ${text}`}
                  disabled={isReadOnly}
                  onClick={() => editGraph((now) => remove(now, [], [id]))}
                >
                  <IconTrash size={16} aria-hidden />
                </ActionIcon>
              </li>
            );
          })}
        </ul>
      ) : null}
      {isReadOnly ? null : <NewConnection key={node.id} node={node} ports={ports} commands={commands} />}
      {isReadOnly ? null : <LoopSelect node={node} />}
    </Stack>
  );
}

function NewConnection({ node, ports, commands }: ConnectionsProps) {
  const { graph } = useEditor();
  const [port, setPort] = useState(ports[0] ?? "");
  const [target, setTarget] = useState<string | null>(null);
  const from = ports.includes(port) ? port : (ports[0] ?? "");
  const targets = differentNodes(graph).filter(
    ({ id }) => refusal(graph, node.id, from || null, id) === null,
  );
  if (targets.length === 0) return null;
  return (
    <Group gap="xs" align="end" wrap="nowrap">
      {ports.length > 1 ? (
        <Select
          label="Port"
          w={110}
          data={ports.map((name) => ({ value: name, label: name || "always" }))}
          value={from}
          allowDeselect={false}
          onChange={(name) => setPort(name ?? "")}
        />
      ) : null}
      <Select
        label="Connect to"
        placeholder="Node"
        searchable
        flex={1}
        data={targets.map((other) => ({ value: other.id, label: labelOf(other) }))}
        value={target}
        onChange={setTarget}
      />
      <Button
        variant="light"
        disabled={target === null}
        onClick={() => {
          if (target !== null) commands.connect(node.id, from || null, target);
          setTarget(null);
        }}
      >
        Connect
      </Button>
    </Group>
  );
}

function LoopSelect({ node }: { node: GraphNode }) {
  const { graph, editGraph } = useEditor();
  const inside = withDescendants(graph, [node.id]);
  const loops = differentNodes(graph).filter(({ id, type }) => type === "loop" && !inside.has(id));
  if (loops.length === 0) return null;
  return (
    <Select
      label="Inside the loop"
      placeholder="None"
      clearable
      data={loops.map((loop) => ({ value: loop.id, label: labelOf(loop) }))}
      value={node.parentId ?? null}
      onChange={(loop) => editGraph((now) => moveInto(now, [node.id], loop))}
    />
  );
}
