/** The button and the menu of a workflow's row. */
import { ActionIcon, Button, Group, Menu } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import {
  IconCalendarTime,
  IconCopy,
  IconDots,
  IconFileDownload,
  IconList,
  IconPencil,
  IconPlayerPlay,
  IconTrash,
} from "@tabler/icons-react";
import { Link } from "@tanstack/react-router";

import { messageOf } from "@/api/problem";
import { saveFile } from "@/ui/json/JsonView";

import { fileNameOf, toFile } from "./files";
import type { Workflow } from "./queries";
import { useDuplicate, useRemove } from "./useWorkflowActions";

interface WorkflowActionsProps {
  workflow: Workflow;
  onRun: () => void;
  onSchedule: () => void;
}

export function WorkflowActions({ workflow, onRun, onSchedule }: WorkflowActionsProps) {
  const duplicate = useDuplicate();
  const remove = useRemove();
  const { id, name } = workflow;

  return (
    <Group gap={4} wrap="nowrap" justify="flex-end">
      <Button
        size="xs"
        variant="light"
        leftSection={<IconPlayerPlay size={16} aria-hidden />}
        disabled={workflow.problems.length > 0}
        aria-label={`Run ${name}`}
        onClick={onRun}
      >
        Run
      </Button>
      <Menu position="bottom-end">
        <Menu.Target>
          <ActionIcon aria-label={`More about ${name}`}>
            <IconDots size={20} />
          </ActionIcon>
        </Menu.Target>
        <Menu.Dropdown>
          <Menu.Item
            leftSection={<IconPencil size={18} aria-hidden />}
            renderRoot={(props) => (
              <Link to="/workflows/$workflowId" params={{ workflowId: id }} {...props} />
            )}
          >
            Edit
          </Menu.Item>
          <Menu.Item
            leftSection={<IconList size={18} aria-hidden />}
            renderRoot={(props) => <Link to="/runs" search={{ workflowId: id }} {...props} />}
          >
            Its runs
          </Menu.Item>
          <Menu.Item leftSection={<IconCalendarTime size={18} aria-hidden />} onClick={onSchedule}>
            Schedules
          </Menu.Item>
          <Menu.Item
            leftSection={<IconCopy size={18} aria-hidden />}
            onClick={() =>
              duplicate.mutate(workflow, {
                onError: (error) => notifications.show({ color: "red", message: messageOf(error) }),
              })
            }
          >
            Duplicate
          </Menu.Item>
          <Menu.Item
            leftSection={<IconFileDownload size={18} aria-hidden />}
            onClick={() => saveFile(fileNameOf(name), `${JSON.stringify(toFile(workflow), null, 2)}\n`)}
          >
            Export as JSON
          </Menu.Item>
          <Menu.Divider />
          <Menu.Item
            color="red"
            leftSection={<IconTrash size={18} aria-hidden />}
            onClick={() => remove.mutate(workflow)}
          >
            Delete
          </Menu.Item>
        </Menu.Dropdown>
      </Menu>
    </Group>
  );
}
