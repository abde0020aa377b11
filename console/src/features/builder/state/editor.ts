/** The state of the editor: what is edited with its history, what is selected, and what is stored. */
import type { Schemas } from "@/api/client";
import { type Graph, readGraph } from "@/ui/graph/graph";

import { edited, type History, historyOf, redone, undone } from "../model/history";

/** What is edited and undone. */
export interface Draft {
  readonly name: string;
  readonly description: string;
  readonly graph: Graph;
}

export interface Selection {
  readonly nodes: ReadonlySet<string>;
  readonly connections: ReadonlySet<string>;
}

export interface EditorState {
  readonly history: History<Draft>;
  readonly selection: Selection;
}

export type EditorAction =
  | {
      type: "edit";
      change: (draft: Draft) => Draft;
      at: number;
      key?: string | undefined;
      select?: readonly string[] | undefined;
    }
  | { type: "undo" }
  | { type: "redo" }
  | { type: "select"; nodes: Iterable<string>; connections?: Iterable<string> }
  | { type: "mark"; kind: keyof Selection; changes: readonly { id: string; selected: boolean }[] };

const NOTHING: Selection = { nodes: new Set(), connections: new Set() };

export function draftOf(
  workflow: Pick<Schemas["Workflow"], "name" | "description" | "nodes" | "connections">,
): Draft {
  return { name: workflow.name, description: workflow.description, graph: readGraph(workflow) };
}

export function initialState(draft: Draft): EditorState {
  return { history: historyOf(draft), selection: NOTHING };
}

/** The selection without what does not exist any more. */
function existing(selection: Selection, graph: Graph): Selection {
  const nodes = new Set(graph.nodes.map(({ id }) => id));
  const connections = new Set(graph.connections.map(({ id }) => id));
  const isWhole =
    [...selection.nodes].every((id) => nodes.has(id)) &&
    [...selection.connections].every((id) => connections.has(id));
  if (isWhole) return selection;
  return {
    nodes: new Set([...selection.nodes].filter((id) => nodes.has(id))),
    connections: new Set([...selection.connections].filter((id) => connections.has(id))),
  };
}

function withHistory(state: EditorState, history: History<Draft>, select?: readonly string[]): EditorState {
  if (history === state.history && !select) return state;
  const selection = select ? { nodes: new Set(select), connections: new Set<string>() } : state.selection;
  return { history, selection: existing(selection, history.present.graph) };
}

export function reduce(state: EditorState, action: EditorAction): EditorState {
  switch (action.type) {
    case "edit": {
      const { change, at, key, select } = action;
      return withHistory(state, edited(state.history, change(state.history.present), at, key), select);
    }
    case "undo":
      return withHistory(state, undone(state.history));
    case "redo":
      return withHistory(state, redone(state.history));
    case "select":
      return {
        ...state,
        selection: { nodes: new Set(action.nodes), connections: new Set(action.connections ?? []) },
      };
    case "mark": {
      const chosen = new Set(state.selection[action.kind]);
      for (const { id, selected } of action.changes) {
        if (selected) chosen.add(id);
        else chosen.delete(id);
      }
      return { ...state, selection: { ...state.selection, [action.kind]: chosen } };
    }
  }
}
