/** Adds a schedule, or changes one: how often, in which time zone, with which input. */
import { Button, Group, Select, Stack, Text, TextInput } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { useMutation, useQuery } from "@tanstack/react-query";
import { type SyntheticEvent, useMemo, useState } from "react";

import { useIdempotencyKey } from "@/api/idempotency";
import { formErrors } from "@/api/problem";
import { validationQuery } from "@/api/validation";
import { readGraph } from "@/ui/graph/graph";
import { CostField, InputTexts } from "@/ui/run/fields";
import { initialTexts, inputFields, inputOf, problemsOf, type Texts } from "@/ui/run/inputs";
import { ErrorState } from "@/ui/states";

import type { Workflow } from "../queries";
import { type Conflict, type Filled, saveOver } from "./conflict";
import { ConflictAlert } from "./ConflictAlert";
import { addSchedule, previewQuery, type Settings, type Stored } from "./queries";
import { cronOf, type Recurrence, recurrenceOf } from "./recurrence";
import { RecurrenceFields } from "./RecurrenceFields";
import classes from "./Schedules.module.css";
import { useRefreshSchedules } from "./useSchedules";
import { formatIn, ownZone, zones } from "./zones";

interface ScheduleFormProps {
  workflow: Workflow;
  /** The schedule to change; none to add one. */
  stored?: Stored;
  /** Fill the form with this, which somebody else stored meanwhile. */
  onShowStored?: (stored: Stored) => void;
  onDone: () => void;
  onCancel: () => void;
}

const TYPING_MS = 300;
const FIELDS = ["timeZone", "name"];

export function ScheduleForm({ workflow, stored, onShowStored, onDone, onCancel }: ScheduleFormProps) {
  const [known] = useState(stored); // what the fields began with, and its tag, whatever is read again meanwhile
  const schedule = known?.schedule;
  const fields = useMemo(() => inputFields(readGraph(workflow)), [workflow]);
  const before = useMemo(() => initialTexts(fields, schedule?.input), [fields, schedule]);
  const [recurrence, setRecurrence] = useState<Recurrence>(recurrenceOf(schedule?.cron ?? "0 7 * * *"));
  const [timeZone, setTimeZone] = useState(schedule?.timeZone ?? ownZone());
  const [name, setName] = useState(schedule?.name ?? "");
  const [most, setMost] = useState(schedule?.maxCredits ?? null);
  const check = useQuery(validationQuery(workflow));
  const [texts, setTexts] = useState<Texts>(before);
  const [problems, setProblems] = useState<Texts>({});
  const keyOf = useIdempotencyKey();
  const refresh = useRefreshSchedules();
  const cron = cronOf(recurrence);

  const save = useMutation({
    mutationFn: async (over: Stored | undefined): Promise<Conflict | null> => {
      const isSame = schedule && JSON.stringify(texts) === JSON.stringify(before); // what the form cannot show stays
      const input = isSame ? schedule.input : inputOf(fields, texts);
      const mine: Filled = { cron, timeZone, name: name.trim(), input, maxCredits: most };
      if (over) return saveOver(over, mine);
      const added: Settings = { ...mine, enabled: true };
      await addSchedule(workflow.id, added, keyOf(added));
      return null;
    },
    onSuccess: (conflict) => {
      if (!conflict) onDone();
    },
    onSettled: () => void refresh(), // after a conflict too, which the list may not show yet
  });
  const conflict = save.data ?? null;
  const refused = save.isError ? formErrors(save.error, FIELDS) : { fields: {}, general: null };
  const submit = (over: Stored | undefined) => {
    const found = problemsOf(fields, texts);
    setProblems(found);
    if (Object.keys(found).length === 0) save.mutate(over);
  };

  return (
    <form
      onSubmit={(event: SyntheticEvent) => {
        event.preventDefault();
        submit(known);
      }}
      noValidate
      aria-label={schedule ? "Change the schedule" : "New schedule"}
    >
      <Stack>
        <RecurrenceFields recurrence={recurrence} onChange={setRecurrence} />
        <ZoneField value={timeZone} error={refused.fields.timeZone} onChange={setTimeZone} />
        <NextTimes cron={cron} timeZone={timeZone} />
        {fields.length === 0 ? <Text c="dimmed">This workflow takes no input.</Text> : null}
        <InputTexts fields={fields} texts={texts} problems={problems} onChange={setTexts} />
        <TextInput
          label="Name"
          description="If there are several, to tell them apart."
          size="md"
          maxLength={200}
          value={name}
          error={refused.fields.name}
          onChange={(event) => setName(event.currentTarget.value)}
        />
        <CostField worst={check.data?.worstCaseCredits ?? null} most={most} onChange={setMost} />
        {refused.general ? <ErrorState error={save.error} /> : null}
        {conflict ? (
          <ConflictAlert
            conflict={conflict}
            onShowStored={() => onShowStored?.(conflict.stored)}
            onSaveMine={() => submit(conflict.stored)}
          />
        ) : null}
        <Group justify="flex-end">
          <Button variant="default" onClick={onCancel}>
            Back
          </Button>
          {conflict ? null : (
            <Button type="submit" loading={save.isPending}>
              {schedule ? "Save" : "Add"}
            </Button>
          )}
        </Group>
      </Stack>
    </form>
  );
}

interface ZoneFieldProps {
  value: string;
  error: string | undefined;
  onChange: (zone: string) => void;
}

function ZoneField({ value, error, onChange }: ZoneFieldProps) {
  const all = useMemo(() => zones(value), [value]);
  return (
    <Select
      label="Time zone"
      size="md"
      searchable
      allowDeselect={false}
      limit={100}
      nothingFoundMessage="No such time zone"
      data={all}
      value={value}
      error={error}
      onChange={(zone) => {
        if (zone) onChange(zone);
      }}
    />
  );
}

/** What is chosen means, and when the next runs are; the API's sentence if it would be refused. */
function NextTimes({ cron, timeZone }: { cron: string; timeZone: string }) {
  const [asked] = useDebouncedValue(cron, TYPING_MS);
  const preview = useQuery({ ...previewQuery(asked, timeZone), enabled: asked !== "" });
  return (
    <div role="status" aria-label="Next runs">
      {preview.isError ? <ErrorState error={preview.error} /> : null}
      {preview.data && !preview.isError ? (
        <>
          <div className={classes.title}>{preview.data.description}</div>
          <ul className={classes.times}>
            {preview.data.times.map((time) => (
              <li key={time}>{formatIn(timeZone, new Date(time))}</li>
            ))}
          </ul>
        </>
      ) : null}
      {preview.isPending ? <span className={classes.dim}>…</span> : null}
    </div>
  );
}
