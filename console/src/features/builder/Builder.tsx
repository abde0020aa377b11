/** The builder: puts the canvas, the palette, the settings, saving and running together. */
import { useQuery } from "@tanstack/react-query";
import { getRouteApi, useNavigate } from "@tanstack/react-router";
import { useReactFlow } from "@xyflow/react";
import { useCallback, useEffect, useMemo, useState } from "react";

import { runQuery } from "@/api/runs";
import { useIsDesk } from "@/ui/useIsDesk";
import { portsByNode } from "@/ui/graph/ports";
import { FIT, useRefit } from "@/ui/graph/useRefit";

import classes from "./Builder.module.css";
import { type Connecting, EditorCanvas } from "./canvas/EditorCanvas";
import { Palette } from "./canvas/Palette";
import { PaletteSheet } from "./canvas/PaletteSheet";
import { Stage } from "./canvas/Stage";
import { followTo, useCommands } from "./canvas/useCommands";
import { type Screen, useShortcuts } from "./canvas/useShortcuts";
import { NodePanel } from "./config/NodePanel";
import { PanelFrame } from "./config/PanelFrame";
import { Dialogs, type Opened } from "./Dialogs";
import { Header } from "./Header";
import { scopeOf } from "./model/scope";
import { NodeData } from "./running/NodeData";
import { useLiveRun } from "./running/useLiveRun";
import { useAutosave } from "./saving/useAutosave";
import { type Catalog, EditorContext } from "./state/context";
import { draftOf } from "./state/editor";
import { lastRunQuery, type Stored } from "./state/queries";
import { useEditorState } from "./state/useEditorState";
import { useValidation } from "./state/useValidation";

const route = getRouteApi("/shell/workflows/$workflowId");

/** The run whose data expressions see: the one that is shown, else the last one. */
function useLastRun(workflowId: string, shownId: string | null) {
  const last = useQuery(lastRunQuery(workflowId));
  const id = shownId ?? last.data?.id ?? "";
  return useQuery({ ...runQuery(id), enabled: id !== "" }).data;
}

export function Builder({ stored, catalog }: { stored: Stored; catalog: Catalog }) {
  const { workflow } = stored;
  const [first] = useState(() => draftOf(workflow));
  const editor = useEditorState(workflow.id, first, catalog, workflow.readOnly);
  const { graph, selection } = editor;
  const autosave = useAutosave(stored, editor.draft, editor.isReadOnly);
  const validation = useValidation(graph);
  const ports = useMemo(() => portsByNode(graph, (type) => catalog.rulesOf(type)), [graph, catalog]);
  const commands = useCommands(editor, ports);

  const { run: runId = null } = route.useSearch();
  const navigate = useNavigate({ from: "/workflows/$workflowId" });
  const showRun = useCallback(
    (id: string | null) => void navigate({ search: id === null ? {} : { run: id }, replace: true }),
    [navigate],
  );
  const live = useLiveRun(runId);
  const lastRun = useLastRun(workflow.id, runId);

  const isDesk = useIsDesk();
  const flow = useReactFlow();
  const [connecting, setConnecting] = useState<Connecting | null>(null);
  const [opened, setOpened] = useState<Opened>(null);
  const [tab, setTab] = useState("settings");
  const [selectsMany, setSelectsMany] = useState(false);

  const [onlyId = null] = selection.nodes.size === 1 ? selection.nodes : [];
  const node = graph.nodes.find(({ id }) => id === onlyId);
  const showsPanel = node !== undefined && (isDesk || opened === "settings");
  // The settings take a part of the canvas: the node that they are about stays in view.
  useEffect(() => {
    if (!showsPanel || !isDesk || onlyId === null) return;
    const frame = requestAnimationFrame(() => followTo(flow, onlyId));
    return () => cancelAnimationFrame(frame);
  }, [showsPanel, isDesk, onlyId, flow]);
  useRefit();
  const scope = useMemo(() => {
    const outputs = new Map((lastRun?.nodes ?? []).map(({ nodeId, output }) => [nodeId, output]));
    return onlyId === null
      ? {}
      : scopeOf(graph, onlyId, { id: lastRun?.id ?? "", input: lastRun?.input ?? null, outputs });
  }, [graph, onlyId, lastRun]);

  const startConnecting = useCallback(() => {
    if (onlyId !== null) setConnecting({ from: onlyId, port: ports.get(onlyId)?.[0] ?? "" });
  }, [onlyId, ports]);
  const openSettings = useCallback(() => {
    setOpened("settings");
    requestAnimationFrame(() => document.querySelector<HTMLElement>("[data-panel] input")?.focus());
  }, []);
  const screen = useMemo<Screen>(
    () => ({
      openPalette: () => setOpened("palette"),
      openSettings,
      startConnecting,
      stopConnecting: () => {
        setConnecting(null);
        return connecting !== null;
      },
      run: () => setOpened("run"),
      fit: () => void flow.fitView({ ...FIT, duration: 250 }),
      help: () => setOpened("help"),
    }),
    [openSettings, startConnecting, connecting, flow],
  );
  useShortcuts(editor, commands, screen);

  const adopt = (next: Stored) => {
    const draft = draftOf(next.workflow);
    editor.edit(() => draft);
    autosave.adopt(next, draft);
  };

  return (
    <EditorContext.Provider value={editor}>
      <Header autosave={autosave} validation={validation} onOpen={setOpened} commands={commands} />
      <div className={classes.main}>
        {isDesk ? (
          <aside className={classes.palette} aria-label="Palette">
            <Palette onAdd={commands.add} onFind={commands.reveal} />
          </aside>
        ) : null}
        <Stage
          connecting={connecting}
          onConnecting={setConnecting}
          commands={commands}
          ports={ports}
          run={live.run}
          onHideRun={() => showRun(null)}
          onOpen={setOpened}
          onSettings={openSettings}
          onConnect={startConnecting}
          selectsMany={selectsMany}
          onSelectMany={setSelectsMany}
        >
          <EditorCanvas
            editor={editor}
            commands={commands}
            ports={ports}
            marks={validation.marks}
            states={live.states}
            connecting={connecting}
            onConnecting={setConnecting}
            onOpen={(id) => {
              editor.select([id]);
              openSettings();
            }}
            selectsMany={selectsMany}
          />
        </Stage>
        <PanelFrame opened={showsPanel} onClose={() => setOpened(null)}>
          {node ? (
            <NodePanel
              node={node}
              ports={ports.get(node.id) ?? [""]}
              commands={commands}
              validation={validation}
              scope={scope}
              result={<NodeData nodeId={node.id} run={live.run ?? lastRun} scope={scope} />}
              run={live.run ?? lastRun}
              tab={tab}
              onTab={setTab}
              onClose={() => (isDesk ? editor.select([]) : setOpened(null))}
            />
          ) : null}
        </PanelFrame>
      </div>
      <PaletteSheet opened={opened === "palette"} onClose={() => setOpened(null)} commands={commands} />
      <Dialogs
        opened={opened}
        onClose={() => setOpened(null)}
        autosave={autosave}
        validation={validation}
        lastInput={lastRun?.input}
        onStarted={showRun}
        onAdopt={adopt}
        onReveal={commands.reveal}
      />
    </EditorContext.Provider>
  );
}
