/** What can be done to the graph from the canvas, its menus and the keyboard. */
import { notifications } from "@mantine/notifications";
import { useReactFlow } from "@xyflow/react";
import { useCallback, useMemo } from "react";

import type { Position } from "@/ui/graph/graph";

import { copied, pasted, readClipboard } from "../model/clipboard";
import { addNode, connect, loopAt, refusal, remove } from "../model/edits";
import { addAfter } from "../model/placing";
import type { Editor } from "../state/context";
import { layOut } from "./layout";

type Ports = ReadonlyMap<string, readonly string[]>;

export interface Commands {
  /** Add a node after the selected one, or at a place of the screen. */
  add: (type: string, at?: Position) => void;
  removeSelected: () => void;
  duplicate: () => void;
  copy: () => string | null;
  paste: (text: string) => boolean;
  connect: (from: string, port: string | null, to: string) => void;
  layOut: () => Promise<void>;
  selectAll: () => void;
  /** Show a node and select it. */
  reveal: (id: string) => void;
}

export function useCommands(editor: Editor, ports: Ports): Commands {
  const { graph, selection, editGraph, select, catalog, isReadOnly } = editor;
  const flow = useReactFlow();

  const reveal = useCallback(
    (id: string) => {
      select([id]);
      void flow.fitView({ nodes: [{ id }], maxZoom: 1.1, minZoom: 0.6, duration: 250, padding: 0.6 });
    },
    [flow, select],
  );

  const add = useCallback(
    (type: string, at?: Position) => {
      if (isReadOnly) return;
      const label = catalog.types.get(type)?.title ?? type;
      const view = document.querySelector(".react-flow")?.getBoundingClientRect();
      const middle = {
        x: (view?.left ?? 0) + (view?.width ?? 0) / 2,
        y: (view?.top ?? 0) + (view?.height ?? 0) / 2,
      };
      const [selectedId = null] = selection.nodes.size === 1 ? selection.nodes : [];
      const place = flow.screenToFlowPosition(at ?? middle);
      const added = at
        ? addNode(graph, {
            type,
            label,
            parentId: loopAt(graph, "", place),
            position: { x: Math.round(place.x) - 88, y: Math.round(place.y) - 28 },
          })
        : addAfter(graph, { type, label }, { selectedId, ports, center: place });
      editGraph(() => added.graph, { select: [added.id] });
      if (!at) {
        // After the canvas knows the node.
        requestAnimationFrame(() => requestAnimationFrame(() => followTo(flow, added.id)));
      }
    },
    [isReadOnly, catalog, selection, flow, graph, ports, editGraph],
  );

  const removeSelected = useCallback(() => {
    editGraph((now) => remove(now, selection.nodes, selection.connections), { select: [] });
  }, [editGraph, selection]);

  const paste = useCallback(
    (text: string) => {
      const clip = readClipboard(text);
      if (!clip || isReadOnly) return false;
      const result = pasted(graph, clip);
      editGraph(() => result.graph, { select: result.ids });
      return true;
    },
    [graph, editGraph, isReadOnly],
  );

  const copy = useCallback(
    () => (selection.nodes.size > 0 ? copied(graph, selection.nodes) : null),
    [graph, selection.nodes],
  );

  const duplicate = useCallback(() => {
    const text = copy();
    if (text !== null) paste(text);
  }, [copy, paste]);

  const connectNodes = useCallback(
    (from: string, port: string | null, to: string) => {
      const reason = refusal(graph, from, port, to);
      if (reason) notifications.show({ color: "red", message: reason });
      else editGraph((now) => connect(now, from, port, to));
    },
    [graph, editGraph],
  );

  const tidy = useCallback(async () => {
    const positions = await layOut(graph, ports);
    editGraph((now) => ({
      ...now,
      nodes: now.nodes.map((node) => ({
        ...node,
        position: positions.get(node.id) ?? node.position ?? { x: 0, y: 0 },
      })),
    }));
    requestAnimationFrame(() => void flow.fitView({ padding: 0.15, maxZoom: 1.1, duration: 300 }));
  }, [graph, ports, editGraph, flow]);

  const selectAll = useCallback(() => select(graph.nodes.map(({ id }) => id)), [graph, select]);

  return useMemo(
    () => ({
      add,
      removeSelected,
      duplicate,
      copy,
      paste,
      connect: connectNodes,
      layOut: tidy,
      selectAll,
      reveal,
    }),
    [add, removeSelected, duplicate, copy, paste, connectNodes, tidy, selectAll, reveal],
  );
}

/** Move the view only if the node is not in it. */
export function followTo(flow: ReturnType<typeof useReactFlow>, id: string): void {
  const node = flow.getNode(id);
  const view = document.querySelector(".react-flow")?.getBoundingClientRect();
  if (!node || !view) return;
  const at = flow.flowToScreenPosition(node.position);
  const margin = 90;
  const isSeen =
    at.x > view.left + 10 && at.y > view.top + 10 && at.x < view.right - 190 && at.y < view.bottom - margin;
  if (!isSeen)
    void flow.fitView({ nodes: [{ id }], maxZoom: flow.getZoom(), minZoom: flow.getZoom(), duration: 250 });
}
