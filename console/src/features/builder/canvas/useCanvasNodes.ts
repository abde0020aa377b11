/** The nodes that the canvas draws: those of the graph, and while they are dragged, where they are dragged to. */
import type { NodeChange } from "@xyflow/react";
import { useCallback, useMemo, useState } from "react";

import { type CardNode, flowNodes, type Mark } from "@/ui/graph/flow";
import { type Graph, type Position, withDescendants } from "@/ui/graph/graph";
import type { NodeStates } from "@/ui/graph/states";

import { loopAt, moveBy, moveInto } from "../model/edits";
import type { Editor } from "../state/context";

interface Look {
  ports: ReadonlyMap<string, readonly string[]>;
  states: NodeStates | undefined;
  marks: ReadonlyMap<string, Mark>;
}

/** The nodes with those that a drag moves at their new places; what is inside of a loop goes with it. */
function dragged(graph: Graph, nodes: CardNode[], changes: NodeChange<CardNode>[]): CardNode[] {
  const targets = new Map<string, Position>();
  for (const change of changes) {
    if (change.type === "position" && change.position) targets.set(change.id, change.position);
  }
  if (targets.size === 0) return nodes;
  const moves = new Map<string, Position>();
  for (const node of nodes) {
    const to = targets.get(node.id);
    if (!to) continue;
    const move = { x: to.x - node.position.x, y: to.y - node.position.y };
    const inside = node.type === "loop" ? withDescendants(graph, [node.id]) : [node.id];
    for (const id of inside) if (id === node.id || !targets.has(id)) moves.set(id, move);
  }
  return nodes.map((node) => {
    const move = moves.get(node.id);
    if (!move) return node;
    return { ...node, position: { x: node.position.x + move.x, y: node.position.y + move.y } };
  });
}

export function useCanvasNodes(editor: Editor, look: Look) {
  const { graph, selection, editGraph, mark } = editor;
  const { ports, states, marks } = look;
  const source = useMemo(
    () => ({ graph, look: { ports, states, marks, selected: selection.nodes } }),
    [graph, ports, states, marks, selection.nodes],
  );
  const [drawn, setDrawn] = useState(() => ({ source, nodes: flowNodes(graph, source.look) }));
  const [isDragging, setDragging] = useState(false);
  if (drawn.source !== source && !isDragging) {
    setDrawn({ source, nodes: flowNodes(graph, source.look, drawn.nodes) });
  }

  /** Make moves of what is drawn moves of the graph. */
  const settle = useCallback(
    (nodes: readonly CardNode[], ids: readonly string[], canChangeLoop: boolean) => {
      const before = new Map(flowNodes(graph, { ports }).map((node) => [node.id, node.position]));
      const moved = new Set(ids);
      const moves = new Map<string, Position>();
      for (const node of nodes) {
        const was = before.get(node.id);
        if (was && moved.has(node.id))
          moves.set(node.id, { x: node.position.x - was.x, y: node.position.y - was.y });
      }
      const inside = new Map<string | null, string[]>();
      for (const node of canChangeLoop ? nodes.filter(({ id }) => moved.has(id)) : []) {
        const isCarried = ids.some((id) => id !== node.id && withDescendants(graph, [id]).has(node.id));
        if (isCarried) continue;
        const point = { x: node.position.x + (node.width ?? 0) / 2, y: node.position.y + 24 };
        const loop = loopAt(graph, node.id, point);
        inside.set(loop, [...(inside.get(loop) ?? []), node.id]);
      }
      const isKeyboard = !canChangeLoop;
      editGraph(
        (current) => {
          let next = moveBy(current, moves);
          for (const [loop, children] of inside) {
            const changed = children.filter(
              (id) => (next.nodes.find((node) => node.id === id)?.parentId ?? null) !== loop,
            );
            if (changed.length > 0) next = moveInto(next, changed, loop);
          }
          return next;
        },
        isKeyboard ? { key: `move ${ids.join()}` } : {},
      );
    },
    [graph, ports, editGraph],
  );

  const onNodesChange = useCallback(
    (changes: NodeChange<CardNode>[]) => {
      const positions = changes.filter((change) => change.type === "position" && change.position);
      if (positions.length > 0) {
        const isDrag = positions.some((change) => change.type === "position" && change.dragging);
        if (isDrag) {
          setDragging(true);
          setDrawn((now) => ({ ...now, nodes: dragged(graph, now.nodes, positions) }));
        } else if (!isDragging) {
          const ids = positions.flatMap((change) => (change.type === "position" ? [change.id] : []));
          settle(dragged(graph, drawn.nodes, positions), ids, false);
        }
      }
      const chosen = changes.filter((change) => change.type === "select");
      if (chosen.length > 0) mark("nodes", chosen);
    },
    [graph, drawn.nodes, isDragging, settle, mark],
  );

  const onDragStop = useCallback(
    (ids: readonly string[]) => {
      setDragging(false);
      if (isDragging) settle(drawn.nodes, ids, true);
    },
    [drawn.nodes, isDragging, settle],
  );

  return { nodes: drawn.nodes, onNodesChange, onDragStop };
}
