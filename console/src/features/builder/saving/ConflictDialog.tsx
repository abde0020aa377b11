/** Two people, or two tabs, changed one workflow: shows both versions, and asks which one stays. */
import { Button, Group, Modal, SimpleGrid, Stack, Text } from "@mantine/core";
import { useState } from "react";

import { api, body } from "@/api/client";
import { messageOf } from "@/api/problem";
import { useIsDesk } from "@/ui/useIsDesk";
import { ErrorState } from "@/ui/states";
import { Time } from "@/ui/values";

import { apiGraph } from "../model/api-graph";
import { differenceOf } from "../model/diff";
import { type Draft, draftOf } from "../state/editor";
import type { Stored } from "../state/queries";
import { DiffList } from "./DiffList";
import { VersionPicture } from "./VersionPicture";

interface ConflictDialogProps {
  stored: Stored | null;
  draft: Draft;
  onKeepMine: (tag: string) => Promise<boolean>;
  onTakeTheirs: (stored: Stored) => void;
}

export function ConflictDialog({ stored, draft, onKeepMine, onTakeTheirs }: ConflictDialogProps) {
  const isDesk = useIsDesk();
  return (
    <Modal
      opened={stored !== null}
      onClose={() => undefined}
      withCloseButton={false}
      closeOnClickOutside={false}
      closeOnEscape={false}
      title="This workflow was changed elsewhere"
      size="xl"
      fullScreen={!isDesk}
    >
      {stored ? (
        <Conflict stored={stored} draft={draft} onKeepMine={onKeepMine} onTakeTheirs={onTakeTheirs} />
      ) : null}
    </Modal>
  );
}

function Conflict({ stored, draft, onKeepMine, onTakeTheirs }: ConflictDialogProps & { stored: Stored }) {
  const [busy, setBusy] = useState<"mine" | "copy" | null>(null);
  const [failure, setFailure] = useState<string | null>(null);
  const theirs = draftOf(stored.workflow);

  async function saveCopy() {
    setBusy("copy");
    try {
      const { description, graph } = draft;
      const copy = {
        name: `${draft.name} (mine)`.slice(0, 200),
        description,
        status: "draft" as const,
        ...apiGraph(graph),
      };
      await body(api.POST("/workflows", { body: { timeout: null, maxQueueSeconds: null, ...copy } }));
      onTakeTheirs(stored);
    } catch (error) {
      setFailure(messageOf(error));
      setBusy(null);
    }
  }

  return (
    <Stack>
      <Text>
        Another tab or device saved version {stored.workflow.version}{" "}
        <Time value={stored.workflow.updatedAt} />, while you were editing. Nothing of either is lost:
        versions stay in the history.
      </Text>
      <SimpleGrid cols={{ base: 1, xs: 2 }}>
        <VersionPicture title="Yours" name={draft.name} graph={draft.graph} />
        <VersionPicture title="Stored" name={theirs.name} graph={theirs.graph} />
      </SimpleGrid>
      <DiffList
        difference={differenceOf(theirs, draft)}
        graphs={[theirs.graph, draft.graph]}
        title="What yours has differently"
      />
      {failure ? <ErrorState error={new Error(failure)} /> : null}
      <Group justify="flex-end">
        <Button variant="default" loading={busy === "copy"} onClick={() => void saveCopy()}>
          Save mine as a copy
        </Button>
        <Button variant="default" onClick={() => onTakeTheirs(stored)}>
          Take the stored one
        </Button>
        <Button
          loading={busy === "mine"}
          onClick={() => {
            setBusy("mine");
            void onKeepMine(stored.tag).then(() => setBusy(null));
          }}
        >
          Keep mine
        </Button>
      </Group>
    </Stack>
  );
}
