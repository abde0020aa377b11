/** What differs between two workflows, as a list. */
import { Text } from "@mantine/core";

import type { Schemas } from "@/api/client";
import { type Graph, labelOf, nodesById, readGraph } from "@/ui/graph/graph";

import { type Difference, isUnchanged } from "../model/diff";
import { shortened } from "../model/scope";
import classes from "./saving.module.css";

const DETAILS: Readonly<Record<string, string>> = { name: "Name", description: "Description" };

interface DiffListProps {
  difference: Difference;
  /** Both graphs: the labels of the nodes that were connected. */
  graphs: readonly [before: Graph, after: Graph];
  title: string;
}

export function DiffList({ difference, graphs, title }: DiffListProps) {
  const { details, added, removed, changed, moved, connected, disconnected } = difference;
  return (
    <section aria-label={title}>
      <h3 className={classes.title}>{title}</h3>
      {isUnchanged(difference) ? <Text c="dimmed">Nothing: they are the same.</Text> : null}
      <ul className={classes.diff}>
        {details.map((field) => (
          <Item key={field.field} kind="changed" word={DETAILS[field.field] ?? field.field}>
            <Field {...field} name="" />
          </Item>
        ))}
        <Nodes kind="added" documents={added} />
        <Nodes kind="removed" documents={removed} />
        {changed.map(({ id, label, fields }) => (
          <Item key={id} kind="changed" word="Changed" what={label}>
            {fields.map((field) => (
              <Field key={field.field} {...field} name={field.field.replace(/^config\./, "")} />
            ))}
          </Item>
        ))}
        <Connections kind="added" documents={connected} graph={graphs[1]} />
        <Connections kind="removed" documents={disconnected} graph={graphs[0]} />
        {moved.length > 0 ? (
          <Item
            kind="changed"
            word="Moved"
            what={`${moved.length} ${moved.length === 1 ? "node" : "nodes"}`}
          />
        ) : null}
      </ul>
    </section>
  );
}

interface ItemProps {
  kind: "added" | "removed" | "changed";
  word: string;
  what?: string;
  children?: React.ReactNode;
}

function Item({ kind, word, what, children }: ItemProps) {
  return (
    <li data-kind={kind}>
      <span className={classes.kind}>{word}</span> {what}
      {children}
    </li>
  );
}

interface DocumentsProps {
  kind: "added" | "removed";
  documents: Difference["added"];
}

const WORDS = { added: "Added", removed: "Removed" } as const;

function Nodes({ kind, documents }: DocumentsProps) {
  const { nodes } = readGraph({ nodes: documents });
  return nodes.map((node) => <Item key={node.id} kind={kind} word={WORDS[kind]} what={labelOf(node)} />);
}

function Connections({ kind, documents, graph }: DocumentsProps & { graph: Graph }) {
  const byId = nodesById(graph);
  const label = (id: string) => labelOf(byId.get(id) ?? { id, type: "" });
  const { connections } = readGraph({ nodes: [], connections: documents });
  return connections.map(({ id, from, fromPort, to }) => (
    <Item
      key={id}
      kind={kind}
      word={WORDS[kind]}
      what={`${label(from)}${fromPort ? ` (${fromPort})` : ""} → ${label(to)}`}
    />
  ));
}

function Field({ name, before, after }: Omit<Schemas["FieldDifference"], "field"> & { name: string }) {
  return (
    <div className={classes.field}>
      {name ? <code>{name}</code> : null}
      <del>{before === null ? "nothing" : shortened(before, 120)}</del>
      <ins>{after === null ? "nothing" : shortened(after, 120)}</ins>
    </div>
  );
}
