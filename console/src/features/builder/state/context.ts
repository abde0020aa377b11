/** The editor of the workflow that is open, for the components of the builder. */
import { createContext, useContext } from "react";

import type { Schemas } from "@/api/client";
import type { Graph } from "@/ui/graph/graph";
import type { PortRules } from "@/ui/graph/ports";

import type { Draft, Selection } from "./editor";

export type NodeType = Schemas["NodeType"];

/** What `GET /node-types` says, by type. */
export interface Catalog {
  readonly types: ReadonlyMap<string, NodeType>;
  readonly document: Schemas["NodeTypes"];
  readonly rulesOf: (type: string) => PortRules | undefined;
}

export interface Editor {
  readonly workflowId: string;
  readonly isReadOnly: boolean;
  readonly draft: Draft;
  readonly graph: Graph;
  readonly selection: Selection;
  readonly canUndo: boolean;
  readonly canRedo: boolean;
  readonly catalog: Catalog;
  readonly edit: (change: (draft: Draft) => Draft, key?: string) => void;
  /** Change the graph; edits with the same key that follow quickly are undone together. `select` selects nodes. */
  readonly editGraph: (
    change: (graph: Graph) => Graph,
    options?: { key?: string; select?: readonly string[] },
  ) => void;
  readonly undo: () => void;
  readonly redo: () => void;
  readonly select: (nodes: Iterable<string>, connections?: Iterable<string>) => void;
  /** Add to the selection and take from it. */
  readonly mark: (kind: keyof Selection, changes: readonly { id: string; selected: boolean }[]) => void;
}

export const EditorContext = createContext<Editor | null>(null);

export function useEditor(): Editor {
  const editor = useContext(EditorContext);
  if (!editor) throw new Error("There is no editor around this component.");
  return editor;
}
