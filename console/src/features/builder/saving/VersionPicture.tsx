/** A version as a small picture with its name. */
import { Text } from "@mantine/core";

import type { Graph } from "@/ui/graph/graph";
import { GraphPreview } from "@/ui/graph/GraphPreview";

import classes from "./saving.module.css";

export function VersionPicture({ title, name, graph }: { title: string; name: string; graph: Graph }) {
  return (
    <figure className={classes.figure}>
      <div className={classes.picture}>
        <GraphPreview graph={graph} label={`${title}: ${graph.nodes.length} nodes`} />
      </div>
      <figcaption>
        <Text fw={600}>{title}</Text>
        <Text size="sm" c="dimmed">
          {name} · {graph.nodes.length} {graph.nodes.length === 1 ? "node" : "nodes"}
        </Text>
      </figcaption>
    </figure>
  );
}
