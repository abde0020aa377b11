/** A graph to look at, with the states of a run: zooms, pans, and tells which node is selected. */
import "@xyflow/react/dist/base.css";

import { Background, Controls, MiniMap, ReactFlow, ReactFlowProvider } from "@xyflow/react";
import { useMemo } from "react";

import { type CardNode, flowEdges, flowNodes } from "./flow";
import { flowNodeTypes } from "./FlowNode";
import type { Graph } from "./graph";
import classes from "./graph.module.css";
import { portsByNode } from "./ports";
import type { NodeStates } from "./states";
import { FIT, useRefit } from "./useRefit";

const MINIMAP_FROM = 20;

interface GraphCanvasProps {
  graph: Graph;
  /** What the graph is, for those who do not see it. */
  label: string;
  states?: NodeStates | undefined;
  selectedId?: string | null | undefined;
  onSelect?: ((nodeId: string | null) => void) | undefined;
}

function Refit() {
  useRefit();
  return null;
}

/** Fills its parent, which has a height. */
export function GraphCanvas({ graph, label, states, selectedId, onSelect }: GraphCanvasProps) {
  const nodes = useMemo(
    () =>
      flowNodes(graph, {
        ports: portsByNode(graph),
        states,
        selected: new Set(selectedId ? [selectedId] : []),
      }),
    [graph, states, selectedId],
  );
  const edges = useMemo(() => flowEdges(graph, states), [graph, states]);
  return (
    <ReactFlowProvider>
      <ReactFlow<CardNode>
        className={classes.canvas}
        aria-label={label}
        nodes={nodes}
        edges={edges}
        nodeTypes={flowNodeTypes}
        nodesDraggable={false}
        nodesConnectable={false}
        edgesFocusable={false}
        nodesFocusable={Boolean(onSelect)}
        elementsSelectable={Boolean(onSelect)}
        onlyRenderVisibleElements
        fitView
        fitViewOptions={FIT}
        minZoom={0.1}
        maxZoom={2}
        deleteKeyCode={null}
        selectionKeyCode={null}
        multiSelectionKeyCode={null}
        onNodesChange={(changes) => {
          const change = changes.find((found) => found.type === "select" && found.selected);
          if (change?.type === "select") onSelect?.(change.id);
        }}
        onPaneClick={() => onSelect?.(null)}
      >
        <Refit />
        <Background gap={24} size={1.5} />
        <Controls showInteractive={false} fitViewOptions={FIT} />
        {nodes.length >= MINIMAP_FROM ? <MiniMap pannable zoomable className={classes.minimap} /> : null}
      </ReactFlow>
    </ReactFlowProvider>
  );
}
