/** The schedules of a workflow: what each means, pausing, changing and deleting them, and adding another. */
import { Alert, Button, Group, Modal, Stack, Switch, Text } from "@mantine/core";
import { IconCalendarPlus } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";

import { TextLink } from "@/ui/ButtonLink";
import { Empty, Loaded } from "@/ui/states";
import { Time } from "@/ui/values";

import type { Workflow } from "../queries";
import { hasGivenUp } from "./next";
import { type Schedule, scheduleQuery, schedulesQuery, type Stored } from "./queries";
import { ScheduleForm } from "./ScheduleForm";
import classes from "./Schedules.module.css";
import { useRemoveSchedule, useSwitch } from "./useSchedules";

interface SchedulesDialogProps {
  workflow: Workflow;
  onClose: () => void;
}

export function SchedulesDialog({ workflow, onClose }: SchedulesDialogProps) {
  const [edited, setEdited] = useState<Schedule | "new" | null>(null);
  const schedules = useQuery(schedulesQuery([workflow.id]));
  const back = () => setEdited(null);
  return (
    <Modal opened onClose={onClose} title={`Schedules of “${workflow.name}”`} size="lg">
      {edited === "new" ? <ScheduleForm workflow={workflow} onDone={back} onCancel={back} /> : null}
      {edited && edited !== "new" ? <EditForm workflow={workflow} schedule={edited} onDone={back} /> : null}
      {edited === null ? (
        <Loaded
          query={schedules}
          isEmpty={(found) => found.length === 0}
          empty={
            <Empty title="No schedule yet" action={<AddButton onClick={() => setEdited("new")} />}>
              It starts a run at the times that you choose, also while you are away.
            </Empty>
          }
        >
          {(found) => (
            <Stack>
              <ul className={classes.list} aria-label="Schedules">
                {found.map((schedule) => (
                  <Item key={schedule.id} schedule={schedule} onEdit={() => setEdited(schedule)} />
                ))}
              </ul>
              <Group>
                <AddButton onClick={() => setEdited("new")} />
              </Group>
            </Stack>
          )}
        </Loaded>
      ) : null}
    </Modal>
  );
}

function AddButton({ onClick }: { onClick: () => void }) {
  return (
    <Button leftSection={<IconCalendarPlus size={18} aria-hidden />} data-autofocus onClick={onClick}>
      Add a schedule
    </Button>
  );
}

function EditForm(props: { workflow: Workflow; schedule: Schedule; onDone: () => void }) {
  const { workflow, schedule, onDone } = props;
  const read = useQuery(scheduleQuery(schedule));
  const [shown, setShown] = useState<Stored | null>(null); // what the form is filled with instead of what was read
  return (
    <Loaded query={read}>
      {(found) => (
        <ScheduleForm
          key={shown?.tag}
          workflow={workflow}
          stored={shown ?? found}
          onShowStored={setShown}
          onDone={onDone}
          onCancel={onDone}
        />
      )}
    </Loaded>
  );
}

function Item({ schedule, onEdit }: { schedule: Schedule; onEdit: () => void }) {
  const change = useSwitch();
  const remove = useRemoveSchedule();
  const called = schedule.name || schedule.description;
  return (
    <li className={classes.item}>
      <div className={classes.head}>
        <div>
          <div className={classes.title}>{called}</div>
          <Text size="sm" c="dimmed">
            {schedule.name ? `${schedule.description}, ` : ""}
            {schedule.timeZone}
          </Text>
        </div>
        <Switch
          size="md"
          aria-label={`“${called}” is on`}
          checked={schedule.enabled}
          disabled={change.isPending}
          onChange={() => change.mutate(schedule)}
        />
      </div>
      <Times schedule={schedule} />
      <Refusal schedule={schedule} />
      <Group gap="xs">
        <Button size="xs" variant="default" aria-label={`Change “${called}”`} onClick={onEdit}>
          Change
        </Button>
        <Button
          size="xs"
          variant="subtle"
          color="red"
          aria-label={`Delete “${called}”`}
          loading={remove.isPending}
          onClick={() => remove.mutate({ ...schedule, name: called })}
        >
          Delete
        </Button>
      </Group>
    </li>
  );
}

function Times({ schedule }: { schedule: Schedule }) {
  const { nextRunAt, lastRunAt, lastExecutionId } = schedule;
  return (
    <Text size="sm">
      {nextRunAt ? (
        <>
          Next run <Time value={nextRunAt} />.{" "}
        </>
      ) : (
        "Paused. "
      )}
      {lastRunAt && lastExecutionId ? (
        <>
          Last run{" "}
          <TextLink to="/runs/$runId" params={{ runId: lastExecutionId }} size="sm">
            <Time value={lastRunAt} />
          </TextLink>
          .
        </>
      ) : null}
    </Text>
  );
}

function Refusal({ schedule }: { schedule: Schedule }) {
  const { lastError, refusals } = schedule;
  if (!lastError) return null;
  const title = hasGivenUp(schedule)
    ? `Switched off, after ${refusals} times without a run`
    : "The last time started no run";
  return (
    <Alert color="red" title={title}>
      <Text size="sm">
        {lastError.message} (<Time value={lastError.at} />)
      </Text>
    </Alert>
  );
}
