/** Makes the editor of a workflow. */
import { useCallback, useMemo, useReducer } from "react";

import type { Graph } from "@/ui/graph/graph";

import type { Catalog, Editor } from "./context";
import { type Draft, initialState, reduce } from "./editor";

export function useEditorState(
  workflowId: string,
  first: Draft,
  catalog: Catalog,
  isReadOnly: boolean,
): Editor {
  const [state, dispatch] = useReducer(reduce, first, initialState);
  const { history, selection } = state;

  const edit = useCallback(
    (change: (draft: Draft) => Draft, key?: string, select?: readonly string[]) => {
      if (!isReadOnly) dispatch({ type: "edit", change, at: Date.now(), key, select });
    },
    [isReadOnly],
  );
  const editGraph = useCallback(
    (change: (graph: Graph) => Graph, options: { key?: string; select?: readonly string[] } = {}) => {
      const onDraft = (draft: Draft) => {
        const graph = change(draft.graph);
        return graph === draft.graph ? draft : { ...draft, graph };
      };
      edit(onDraft, options.key, options.select);
    },
    [edit],
  );
  const undo = useCallback(() => dispatch({ type: "undo" }), []);
  const redo = useCallback(() => dispatch({ type: "redo" }), []);
  const select = useCallback(
    (nodes: Iterable<string>, connections: Iterable<string> = []) =>
      dispatch({ type: "select", nodes, connections }),
    [],
  );
  const mark = useCallback<Editor["mark"]>((kind, changes) => dispatch({ type: "mark", kind, changes }), []);

  return useMemo(
    () => ({
      workflowId,
      isReadOnly,
      draft: history.present,
      graph: history.present.graph,
      selection,
      canUndo: history.past.length > 0,
      canRedo: history.future.length > 0,
      catalog,
      edit,
      editGraph,
      undo,
      redo,
      select,
      mark,
    }),
    [workflowId, isReadOnly, history, selection, catalog, edit, editGraph, undo, redo, select, mark],
  );
}
