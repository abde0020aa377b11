/** The versions of the workflow: what changed since each of them, and the way back to it. */
import { Drawer, Stack, Text } from "@mantine/core";
import { useEffect, useState } from "react";

import type { Schemas } from "@/api/client";
import { useIsDesk } from "@/ui/useIsDesk";
import { ShowMore } from "@/ui/ShowMore";
import { ErrorState, Loaded } from "@/ui/states";
import { Credits, Time, TimeSpan } from "@/ui/values";

import { useEditor } from "../state/context";
import { type Stored, useVersions } from "../state/queries";
import classes from "./saving.module.css";
import { VersionDetail } from "./VersionDetail";

interface VersionsProps {
  opened: boolean;
  onClose: () => void;
  save: () => Promise<boolean>;
  onRestored: (stored: Stored) => void;
}

export function VersionsDrawer(props: VersionsProps) {
  const isDesk = useIsDesk();
  return (
    <Drawer
      opened={props.opened}
      onClose={props.onClose}
      title="Versions"
      position="right"
      size={isDesk ? "lg" : "100%"}
      closeButtonProps={{ "aria-label": "Close versions" }}
    >
      <Versions {...props} />
    </Drawer>
  );
}

/** Stores what is being edited, so that the newest version is what is on the canvas; null until that is done. */
function useSaved(save: () => Promise<boolean>): boolean | null {
  const [isSaved, setSaved] = useState<boolean | null>(null);
  useEffect(() => {
    void save().then(setSaved);
  }, [save]);
  return isSaved;
}

function Versions({ save, onRestored, onClose }: VersionsProps) {
  const { workflowId } = useEditor();
  const isSaved = useSaved(save);
  const { query, rows = [] } = useVersions(workflowId);
  const [open, setOpen] = useState<number | null>(null);
  const [newest] = rows;
  return (
    <Stack>
      {isSaved === false ? (
        <ErrorState error={new Error("What you edited could not be saved: it is not in this history.")} />
      ) : null}
      <Loaded query={query}>
        {() => (
          <ul className={classes.versions}>
            {rows.map((version, index) => (
              <li key={version.version}>
                <VersionRow
                  version={version}
                  isNewest={index === 0}
                  isOpen={open === version.version}
                  onToggle={() => setOpen(open === version.version ? null : version.version)}
                />
                {open === version.version && newest ? (
                  <VersionDetail
                    version={version}
                    newest={newest}
                    previous={rows[index + 1]}
                    save={save}
                    onRestored={(stored) => {
                      onRestored(stored);
                      onClose();
                    }}
                  />
                ) : null}
              </li>
            ))}
          </ul>
        )}
      </Loaded>
      <ShowMore pages={query} />
    </Stack>
  );
}

interface RowProps {
  version: Schemas["Version"];
  isNewest: boolean;
  isOpen: boolean;
  onToggle: () => void;
}

function VersionRow({ version, isNewest, isOpen, onToggle }: RowProps) {
  return (
    <button type="button" className={classes.version} aria-expanded={isOpen} onClick={onToggle}>
      <span>
        <Text component="span" fw={600}>
          Version {version.version}
        </Text>
        {isNewest ? " · stored now" : ""}
        <Text component="span" size="sm" c="dimmed" display="block">
          {version.nodeCount} {version.nodeCount === 1 ? "node" : "nodes"}, at most{" "}
          <Credits value={version.worstCaseCredits} unit />
          {version.valid ? "" : ", cannot run"}
        </Text>
      </span>
      <Text component="span" size="sm" c="dimmed" className={classes.when ?? ""}>
        <When version={version} />
      </Text>
    </button>
  );
}

/** When it was saved; a version that stands for several saves of an editor has a first and a last one. */
function When({ version: { firstSavedAt, createdAt } }: Pick<RowProps, "version">) {
  return (
    <>
      <Time value={createdAt} />
      {firstSavedAt === createdAt ? null : (
        <span className={classes.span}>
          <TimeSpan from={firstSavedAt} to={createdAt} />
        </span>
      )}
    </>
  );
}
