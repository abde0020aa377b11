/** All node types, to drag onto the canvas or to add with a tap or a key; and all nodes of the graph, to find one. */
import { SegmentedControl, TextInput } from "@mantine/core";
import { IconSearch } from "@tabler/icons-react";
import { useState } from "react";

import { useIsDesk } from "@/ui/useIsDesk";
import { labelOf } from "@/ui/graph/graph";
import graphClasses from "@/ui/graph/graph.module.css";
import { typeLook } from "@/ui/graph/types";

import { useEditor } from "../state/context";
import { DRAGGED_TYPE } from "./EditorCanvas";
import classes from "./Palette.module.css";

const ORDER = [
  "input",
  "ai_agent",
  "api_call",
  "process",
  "decision",
  "loop",
  "merge",
  "approval",
  "wait",
  "subworkflow",
  "output",
];

interface PaletteProps {
  onAdd: (type: string) => void;
  onFind: (nodeId: string) => void;
  /** Whether the search gets the focus of the dialog. */
  isFirst?: boolean;
}

function Row({ type, title, note }: { type: string; title: string; note: string }) {
  const { icon: Icon, family } = typeLook(type);
  return (
    <>
      <span className={graphClasses.tile} data-family={family}>
        <Icon size={18} stroke={1.8} aria-hidden />
      </span>
      <span className={classes.words}>
        <span className={classes.title}>{title}</span>
        <span className={classes.note}>{note}</span>
      </span>
    </>
  );
}

export function Palette({ onAdd, onFind, isFirst = false }: PaletteProps) {
  const { catalog, graph, isReadOnly } = useEditor();
  const [shows, setShows] = useState<string>(isReadOnly ? "nodes" : "types");
  const [words, setWords] = useState("");
  const isDesk = useIsDesk();
  const matches = (...texts: string[]) => texts.join(" ").toLowerCase().includes(words.trim().toLowerCase());
  const rank = (type: string) => (ORDER.includes(type) ? ORDER.indexOf(type) : ORDER.length);
  const types = [...catalog.types.values()].toSorted((a, b) => rank(a.type) - rank(b.type));
  const found = types.filter(({ title, help, type }) => matches(title, help, type));
  const nodes = graph.nodes.filter((node) => matches(labelOf(node), node.id, typeLook(node.type).title));
  return (
    <div className={classes.palette}>
      <SegmentedControl
        fullWidth
        size="sm"
        aria-label="What to show"
        value={shows}
        onChange={setShows}
        data={[
          { value: "types", label: "Add", disabled: isReadOnly },
          { value: "nodes", label: `Find (${graph.nodes.length})` },
        ]}
      />
      <TextInput
        size="sm"
        aria-label={shows === "types" ? "Search node types" : "Search nodes"}
        placeholder="Search"
        leftSection={<IconSearch size={16} aria-hidden />}
        value={words}
        data-autofocus={isFirst || undefined}
        onChange={(event) => setWords(event.currentTarget.value)}
        onKeyDown={(event) => {
          const [first] = shows === "types" ? found.map(({ type }) => type) : nodes.map(({ id }) => id);
          if (event.key === "Enter" && first !== undefined) (shows === "types" ? onAdd : onFind)(first);
        }}
      />
      <ul className={classes.list} aria-label={shows === "types" ? "Node types" : "Nodes"}>
        {shows === "types"
          ? found.map(({ type, title, help }) => (
              <li key={type}>
                <button
                  type="button"
                  className={classes.item}
                  draggable={isDesk}
                  onDragStart={(event) => {
                    event.dataTransfer.setData(DRAGGED_TYPE, type);
                    event.dataTransfer.effectAllowed = "copy";
                  }}
                  onClick={() => onAdd(type)}
                >
                  <Row type={type} title={title} note={help} />
                </button>
              </li>
            ))
          : nodes.map((node) => (
              <li key={node.id}>
                <button type="button" className={classes.item} onClick={() => onFind(node.id)}>
                  <Row type={node.type} title={labelOf(node)} note={node.id} />
                </button>
              </li>
            ))}
      </ul>
      {(shows === "types" ? found : nodes).length === 0 ? (
        <p className={classes.none}>Nothing is called so.</p>
      ) : null}
    </div>
  );
}
