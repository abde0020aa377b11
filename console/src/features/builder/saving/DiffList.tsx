/** What differs between two graphs, as a list. */
import { Text } from "@mantine/core";

import { type Graph, labelOf } from "@/ui/graph/graph";

import { diffOf, isUnchanged, type NodeChange } from "../model/diff";
import { shortened } from "../model/scope";
import classes from "./saving.module.css";

const WORDS = { added: "Added", removed: "Removed", changed: "Changed" } as const;

function Field({ name, before, after }: NodeChange["fields"][number]) {
  return (
    <div className={classes.field}>
      <code>{name.replace(/^config\./, "")}</code>
      <del>{before === undefined ? "nothing" : shortened(before, 120)}</del>
      <ins>{after === undefined ? "nothing" : shortened(after, 120)}</ins>
    </div>
  );
}

export function DiffList({ before, after, title }: { before: Graph; after: Graph; title: string }) {
  const diff = diffOf(before, after);
  if (isUnchanged(diff)) return <Text c="dimmed">The graphs are the same.</Text>;
  return (
    <section aria-label={title}>
      <h3 className={classes.title}>{title}</h3>
      <ul className={classes.diff}>
        {diff.nodes.map(({ kind, node, fields }) => (
          <li key={`${kind} ${node.id}`} data-kind={kind}>
            <span className={classes.kind}>{WORDS[kind]}</span> {labelOf(node)}
            {fields.map((field) => (
              <Field key={field.name} {...field} />
            ))}
          </li>
        ))}
        {diff.connections.map(({ kind, text }) => (
          <li key={`${kind} ${text}`} data-kind={kind}>
            <span className={classes.kind}>{WORDS[kind]}</span> {text}
          </li>
        ))}
        {diff.moved > 0 ? (
          <li data-kind="changed">
            <span className={classes.kind}>Moved</span> {diff.moved} {diff.moved === 1 ? "node" : "nodes"}
          </li>
        ) : null}
      </ul>
    </section>
  );
}
