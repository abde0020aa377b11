/** The bar of the builder: name, saving, undo, what is wrong, the price, and Run. */
import { ActionIcon, Button, Indicator, Menu, Tooltip } from "@mantine/core";
import {
  IconAlertTriangle,
  IconArrowBackUp,
  IconArrowForwardUp,
  IconChevronLeft,
  IconCircleCheck,
  IconDots,
  IconHistory,
  IconKeyboard,
  IconPlayerPlay,
  IconSitemap,
  IconToggleRight,
} from "@tabler/icons-react";
import { Link } from "@tanstack/react-router";

import { useIsDesk } from "@/ui/useIsDesk";
import { StatusBadge } from "@/ui/StatusBadge";
import { Credits } from "@/ui/values";

import classes from "./Builder.module.css";
import type { Commands } from "./canvas/useCommands";
import type { Opened } from "./Dialogs";
import type { Autosave, Saving } from "./saving/useAutosave";
import { useEditor } from "./state/context";
import type { Validation } from "./state/useValidation";

const WORDS: Record<Saving["state"], string> = {
  saved: "Saved",
  pending: "Unsaved changes",
  saving: "Saving…",
  failed: "Not saved",
  conflict: "Changed elsewhere",
};

interface HeaderProps {
  autosave: Autosave;
  validation: Validation;
  commands: Commands;
  onOpen: (opened: Opened) => void;
}

export function Header({ autosave, validation, commands, onOpen }: HeaderProps) {
  const { draft, edit, isReadOnly } = useEditor();
  const isDesk = useIsDesk();
  const { saving, workflow } = autosave;
  return (
    <header className={classes.header}>
      <Tooltip label="All workflows">
        <ActionIcon component={Link} to="/workflows" aria-label="All workflows">
          <IconChevronLeft size={20} aria-hidden />
        </ActionIcon>
      </Tooltip>
      <h1 style={{ display: "contents" }}>
        <input
          className={classes.name}
          aria-label="Name of the workflow"
          value={draft.name}
          maxLength={200}
          readOnly={isReadOnly}
          onChange={(event) => {
            const name = event.currentTarget.value;
            edit((now) => ({ ...now, name }), "name");
          }}
        />
      </h1>
      {isDesk ? (
        <>
          <StatusBadge status={workflow.status} />
          <span
            className={classes.saving}
            role="status"
            data-state={saving.state}
            title={saving.state === "failed" ? saving.message : undefined}
          >
            {isReadOnly ? "Read-only" : WORDS[saving.state]}
          </span>
          <span className={classes.gap} />
          <UndoRedo />
          <Problems validation={validation} onOpen={onOpen} />
          <span className={classes.price} title="What a run costs at most">
            at most
            <b>
              {validation.worstCaseCredits === null ? (
                "–"
              ) : (
                <Credits value={validation.worstCaseCredits} unit />
              )}
            </b>
          </span>
        </>
      ) : (
        <>
          <UndoRedo />
          <Problems validation={validation} onOpen={onOpen} />
        </>
      )}
      <More autosave={autosave} validation={validation} commands={commands} onOpen={onOpen} />
      {isDesk ? (
        <Button
          leftSection={<IconPlayerPlay size={16} aria-hidden />}
          onClick={() => onOpen("run")}
          disabled={isReadOnly}
        >
          Run
        </Button>
      ) : (
        <ActionIcon
          variant="filled"
          color="petrol"
          size={40}
          aria-label="Run"
          onClick={() => onOpen("run")}
          disabled={isReadOnly}
        >
          <IconPlayerPlay size={18} aria-hidden />
        </ActionIcon>
      )}
    </header>
  );
}

function UndoRedo() {
  const { undo, redo, canUndo, canRedo } = useEditor();
  return (
    <>
      <Tooltip label="Undo">
        <ActionIcon className={classes.quiet} aria-label="Undo" disabled={!canUndo} onClick={undo}>
          <IconArrowBackUp size={19} aria-hidden />
        </ActionIcon>
      </Tooltip>
      <Tooltip label="Redo">
        <ActionIcon className={classes.quiet} aria-label="Redo" disabled={!canRedo} onClick={redo}>
          <IconArrowForwardUp size={19} aria-hidden />
        </ActionIcon>
      </Tooltip>
    </>
  );
}

function Problems({ validation, onOpen }: Pick<HeaderProps, "validation" | "onOpen">) {
  const [errors, warnings] = [validation.errors.length, validation.warnings.length];
  const count = errors + warnings;
  const words = count === 0 ? "Nothing is wrong" : `${errors} errors, ${warnings} warnings`;
  return (
    <Tooltip label={words}>
      <Indicator
        label={count}
        size={16}
        offset={4}
        disabled={count === 0}
        color={errors > 0 ? "red" : "copper.7"}
      >
        <ActionIcon aria-label={words} onClick={() => onOpen("problems")}>
          {count === 0 ? (
            <IconCircleCheck size={19} aria-hidden />
          ) : (
            <IconAlertTriangle size={19} aria-hidden />
          )}
        </ActionIcon>
      </Indicator>
    </Tooltip>
  );
}

function More({ autosave, validation, commands, onOpen }: HeaderProps) {
  const { isReadOnly } = useEditor();
  const isDesk = useIsDesk();
  const { workflow, saving } = autosave;
  const other = workflow.status === "active" ? "draft" : "active";
  return (
    <Menu position="bottom-end" width={240}>
      <Menu.Target>
        <ActionIcon aria-label="More">
          <IconDots size={19} aria-hidden />
        </ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>
        {isDesk ? null : (
          <Menu.Label>
            {workflow.status === "active" ? "Active" : "Draft"} · {WORDS[saving.state]} · at most{" "}
            {validation.worstCaseCredits === null ? (
              "–"
            ) : (
              <Credits value={validation.worstCaseCredits} unit />
            )}
          </Menu.Label>
        )}
        <Menu.Item
          leftSection={<IconSitemap size={16} aria-hidden />}
          disabled={isReadOnly}
          onClick={() => void commands.layOut()}
        >
          Tidy the layout
        </Menu.Item>
        <Menu.Item leftSection={<IconHistory size={16} aria-hidden />} onClick={() => onOpen("versions")}>
          Versions
        </Menu.Item>
        <Menu.Item
          leftSection={<IconToggleRight size={16} aria-hidden />}
          disabled={isReadOnly || (other === "active" && validation.errors.length > 0)}
          onClick={() => void autosave.setStatus(other)}
        >
          {other === "active" ? "Make it active" : "Make it a draft"}
        </Menu.Item>
        <Menu.Item leftSection={<IconKeyboard size={16} aria-hidden />} onClick={() => onOpen("help")}>
          Keyboard shortcuts
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}
