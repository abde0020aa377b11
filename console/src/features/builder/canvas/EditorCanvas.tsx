/** The canvas on which a graph is edited: by mouse, by thumb and by keyboard. */
import "@xyflow/react/dist/base.css";

import { Background, Controls, MiniMap, ReactFlow, SelectionMode, useStoreApi } from "@xyflow/react";
import { type DragEvent, type KeyboardEvent, useEffect, useMemo } from "react";

import { useIsDesk } from "@/ui/useIsDesk";
import { type CardNode, flowEdges, type Mark, portOfHandle } from "@/ui/graph/flow";
import { ConnectContext, flowNodeTypes } from "@/ui/graph/FlowNode";
import graphClasses from "@/ui/graph/graph.module.css";
import type { NodeStates } from "@/ui/graph/states";

import { refusal } from "../model/edits";
import type { Editor } from "../state/context";
import { useCanvasNodes } from "./useCanvasNodes";
import type { Commands } from "./useCommands";

export const DRAGGED_TYPE = "application/x-agentforge-node";

const FIT = { padding: 0.15, maxZoom: 1.1 };
const MINIMAP_FROM = 8;
const GRID: [number, number] = [10, 10];

export interface Connecting {
  from: string;
  port: string;
}

interface EditorCanvasProps {
  editor: Editor;
  commands: Commands;
  ports: ReadonlyMap<string, readonly string[]>;
  marks: ReadonlyMap<string, Mark>;
  states: NodeStates | undefined;
  connecting: Connecting | null;
  onConnecting: (connecting: Connecting | null) => void;
  onOpen: (nodeId: string) => void;
  /** Taps add to the selection. */
  selectsMany: boolean;
}

export function EditorCanvas({
  editor,
  commands,
  ports,
  marks,
  states,
  connecting,
  onConnecting,
  onOpen,
  selectsMany,
}: EditorCanvasProps) {
  const isDesk = useIsDesk();
  const { graph, selection, isReadOnly } = editor;
  const { nodes, onNodesChange, onDragStop } = useCanvasNodes(editor, { ports, states, marks });
  const edges = useMemo(
    () => flowEdges(graph, states, selection.connections),
    [graph, states, selection.connections],
  );
  const store = useStoreApi();
  useEffect(() => store.setState({ multiSelectionActive: selectsMany }), [store, selectsMany]);
  const startConnecting = useMemo(
    () => (isReadOnly ? null : (from: string, port: string) => onConnecting({ from, port })),
    [isReadOnly, onConnecting],
  );

  function finishAt(id: string) {
    if (!connecting) return;
    if (id !== connecting.from) commands.connect(connecting.from, connecting.port || null, id);
    onConnecting(null);
  }

  function onKeyDownCapture(event: KeyboardEvent) {
    const id = event.target instanceof HTMLElement ? event.target.dataset.id : undefined;
    if (event.key !== "Enter" || !id) return;
    if (connecting) {
      event.preventDefault();
      event.stopPropagation();
      finishAt(id);
    } else if (selection.nodes.has(id)) {
      event.preventDefault();
      event.stopPropagation();
      onOpen(id);
    }
  }

  function onDrop(event: DragEvent) {
    const type = event.dataTransfer.getData(DRAGGED_TYPE);
    if (type === "") return;
    event.preventDefault();
    commands.add(type, { x: event.clientX, y: event.clientY });
  }

  return (
    <ConnectContext.Provider value={startConnecting}>
      <ReactFlow<CardNode>
        className={graphClasses.canvas}
        data-connecting={connecting ? "" : undefined}
        aria-label="Workflow"
        nodes={nodes}
        edges={edges}
        nodeTypes={flowNodeTypes}
        nodesDraggable={!isReadOnly}
        nodesConnectable={!isReadOnly}
        connectOnClick={false}
        onlyRenderVisibleElements
        attributionPosition={isDesk ? "bottom-right" : "bottom-left"}
        elevateNodesOnSelect={false}
        selectNodesOnDrag={false}
        snapToGrid
        snapGrid={GRID}
        fitView
        fitViewOptions={FIT}
        minZoom={0.1}
        maxZoom={2}
        nodeDragThreshold={isDesk ? 2 : 6}
        connectionRadius={34}
        deleteKeyCode={null}
        selectionMode={SelectionMode.Partial}
        onKeyDownCapture={onKeyDownCapture}
        onNodesChange={onNodesChange}
        onEdgesChange={(changes) =>
          editor.mark(
            "connections",
            changes.filter((change) => change.type === "select"),
          )
        }
        onNodeDragStop={(_, __, moved) => onDragStop(moved.map(({ id }) => id))}
        onSelectionDragStop={(_, moved) => onDragStop(moved.map(({ id }) => id))}
        onNodeClick={(_, node) => finishAt(node.id)}
        onNodeDoubleClick={(_, node) => onOpen(node.id)}
        onPaneClick={() => onConnecting(null)}
        onConnect={({ source, target, sourceHandle }) =>
          commands.connect(source, portOfHandle(sourceHandle), target)
        }
        isValidConnection={({ source, target, sourceHandle }) =>
          refusal(graph, source, portOfHandle(sourceHandle), target) === null
        }
        onDragOver={(event) => {
          if (event.dataTransfer.types.includes(DRAGGED_TYPE)) event.preventDefault();
        }}
        onDrop={onDrop}
      >
        <Background gap={20} size={1.5} />
        {isDesk ? <Controls showInteractive={false} fitViewOptions={FIT} /> : null}
        {nodes.length >= MINIMAP_FROM ? (
          <MiniMap pannable zoomable className={graphClasses.minimap} ariaLabel="Map" />
        ) : null}
      </ReactFlow>
    </ConnectContext.Provider>
  );
}
