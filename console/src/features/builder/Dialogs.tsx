/** The dialogs of the builder; one is open at a time. */
import { Drawer, Kbd, List, Modal, Stack, Table, Text } from "@mantine/core";
import { useMemo } from "react";

import { useIsDesk } from "@/ui/useIsDesk";
import { RunDialog, type RunDialogProps } from "@/ui/run/RunDialog";

import { SHORTCUTS } from "./canvas/useShortcuts";
import { apiGraph } from "./model/api-graph";
import { ConflictDialog } from "./saving/ConflictDialog";
import type { Autosave } from "./saving/useAutosave";
import { VersionsDrawer } from "./saving/VersionsDrawer";
import { useEditor } from "./state/context";
import type { Stored } from "./state/queries";
import type { Finding, Validation } from "./state/useValidation";

export type Opened = "palette" | "settings" | "run" | "versions" | "problems" | "help" | null;

interface DialogsProps {
  opened: Opened;
  onClose: () => void;
  autosave: Autosave;
  validation: Validation;
  lastInput: unknown;
  onStarted: (runId: string) => void;
  onAdopt: (stored: Stored) => void;
  onReveal: (nodeId: string) => void;
}

export function Dialogs(props: DialogsProps) {
  const { opened, onClose, autosave, validation, lastInput, onStarted, onAdopt, onReveal } = props;
  const { draft } = useEditor();
  const isDesk = useIsDesk();
  const { saving } = autosave;
  return (
    <>
      {opened === "run" ? (
        <RunEdited
          lastInput={lastInput}
          save={autosave.flush}
          onStarted={(runId) => {
            onStarted(runId);
            onClose();
          }}
          onClose={onClose}
        />
      ) : null}
      <VersionsDrawer
        opened={opened === "versions"}
        onClose={onClose}
        save={autosave.flush}
        onRestored={onAdopt}
      />
      <Drawer
        opened={opened === "problems"}
        onClose={onClose}
        title="Errors and warnings"
        position={isDesk ? "right" : "bottom"}
        size={isDesk ? "md" : "70%"}
      >
        <Problems
          validation={validation}
          onReveal={(id) => {
            onClose();
            onReveal(id);
          }}
        />
      </Drawer>
      <Modal opened={opened === "help"} onClose={onClose} title="Keyboard shortcuts" size="md">
        <Table verticalSpacing={6}>
          <Table.Tbody>
            {SHORTCUTS.map(([keys, what]) => (
              <Table.Tr key={keys}>
                <Table.Td>
                  <Kbd style={{ whiteSpace: "nowrap" }}>{keys}</Kbd>
                </Table.Td>
                <Table.Td>{what}</Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </Modal>
      <ConflictDialog
        stored={saving.state === "conflict" ? saving.stored : null}
        draft={draft}
        onKeepMine={autosave.overwrite}
        onTakeTheirs={onAdopt}
      />
    </>
  );
}

/** Runs what is on the canvas; positions are left out, so that it was validated already. */
function RunEdited(props: Omit<RunDialogProps, "workflow">) {
  const { workflowId, draft, graph } = useEditor();
  const workflow = useMemo(
    () => ({ id: workflowId, name: draft.name, ...apiGraph(graph, { withPositions: false }) }),
    [workflowId, draft.name, graph],
  );
  return <RunDialog workflow={workflow} {...props} />;
}

function Problems({ validation, onReveal }: { validation: Validation; onReveal: (id: string) => void }) {
  const { errors, warnings } = validation;
  if (errors.length + warnings.length === 0)
    return <Text c="dimmed">Nothing is wrong with this workflow.</Text>;
  return (
    <Stack>
      <Findings title="Errors: it cannot run" findings={errors} onReveal={onReveal} />
      <Findings title="Warnings: check them" findings={warnings} onReveal={onReveal} />
    </Stack>
  );
}

interface FindingsProps {
  title: string;
  findings: readonly Finding[];
  onReveal: (id: string) => void;
}

function Findings({ title, findings, onReveal }: FindingsProps) {
  if (findings.length === 0) return null;
  return (
    <section aria-label={title}>
      <Text fw={600} mb={4}>
        {title}
      </Text>
      <List spacing="xs" size="sm">
        {findings.map(({ code, nodeId, field, message }) => (
          <List.Item key={`${code} ${field} ${message}`}>
            {message}{" "}
            {nodeId ? (
              <Text
                component="button"
                type="button"
                variant="link"
                size="sm"
                c="var(--af-accent)"
                td="underline"
                bg="none"
                bd={0}
                p={0}
                style={{ cursor: "pointer" }}
                onClick={() => onReveal(nodeId)}
              >
                Show {nodeId}
              </Text>
            ) : null}
          </List.Item>
        ))}
      </List>
    </section>
  );
}
