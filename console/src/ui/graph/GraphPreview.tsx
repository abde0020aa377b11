/** A small picture of a graph, drawn without the canvas's library: for galleries and lists. */
import { useMemo } from "react";

import { type Box, boxesOf, drawingOrder, unionOf } from "./geometry";
import { type Graph, type GraphNode, nodesById } from "./graph";
import classes from "./GraphPreview.module.css";
import { portsByNode } from "./ports";
import { typeLook } from "./types";

const MARGIN = 28;
const ICON = 30;

/** A curve from the bottom of one box to the top of another. */
function curve(from: Box, to: Box, share: number): string {
  const [x1, y1] = [from.x + from.width * share, from.y + from.height];
  const [x2, y2] = [to.x + to.width / 2, to.y];
  const bend = Math.max(24, Math.abs(y2 - y1) / 2);
  return `M${x1},${y1} C${x1},${y1 + bend} ${x2},${y2 - bend} ${x2},${y2}`;
}

function NodePicture({ node, box, isLoop }: { node: GraphNode; box: Box; isLoop: boolean }) {
  const { icon: Icon, family } = typeLook(node.type);
  const top = isLoop ? box.y + 9 : box.y + (box.height - ICON) / 2;
  return (
    <g data-family={family} className={classes.node}>
      <rect {...box} rx={isLoop ? 18 : 14} className={isLoop ? classes.loop : classes.card} />
      <svg x={box.x + 14} y={top} width={ICON} height={ICON}>
        <Icon size={ICON} stroke={2} aria-hidden />
      </svg>
      <rect
        x={box.x + 58}
        y={top + ICON / 2 - 5}
        width={Math.min(box.width - 78, 96)}
        height={10}
        rx={5}
        className={classes.line}
      />
    </g>
  );
}

export function GraphPreview({ graph, label }: { graph: Graph; label: string }) {
  const picture = useMemo(() => {
    const ports = portsByNode(graph);
    const boxes = boxesOf(graph, ports);
    const byId = nodesById(graph);
    const parents = new Set(graph.nodes.map(({ parentId }) => parentId));
    const nodes = drawingOrder(graph).flatMap((node) => {
      const box = boxes.get(node.id);
      return box ? [{ node, box, isLoop: node.type === "loop" || parents.has(node.id) }] : [];
    });
    const ways = graph.connections.flatMap(({ id, from, to, fromPort }) => {
      const [start, end] = [boxes.get(from), boxes.get(to)];
      if (!start || !end || !byId.has(from)) return [];
      const names = ports.get(from) ?? [""];
      const share = (Math.max(0, names.indexOf(fromPort ?? "")) + 0.5) / names.length;
      return [{ id, path: curve(start, end, share) }];
    });
    return { nodes, ways, frame: nodes.length > 0 ? unionOf(nodes.map(({ box }) => box)) : null };
  }, [graph]);
  const { nodes, ways, frame } = picture;
  if (!frame) return <div className={classes.empty}>No nodes yet</div>;
  const view = [frame.x - MARGIN, frame.y - MARGIN, frame.width + 2 * MARGIN, frame.height + 2 * MARGIN];
  return (
    <svg role="img" aria-label={label} className={classes.picture} viewBox={view.join(" ")}>
      {nodes
        .filter(({ isLoop }) => isLoop)
        .map((item) => (
          <NodePicture key={item.node.id} {...item} />
        ))}
      {ways.map(({ id, path }) => (
        <path key={id} d={path} className={classes.way} />
      ))}
      {nodes
        .filter(({ isLoop }) => !isLoop)
        .map((item) => (
          <NodePicture key={item.node.id} {...item} />
        ))}
    </svg>
  );
}
