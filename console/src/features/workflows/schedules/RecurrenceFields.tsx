/** The fields that say how often a schedule runs. */
import { NumberInput, Select, TextInput } from "@mantine/core";

import { changeKind, DATES, DAYS, KINDS, type Recurrence } from "./recurrence";

interface RecurrenceFieldsProps {
  recurrence: Recurrence;
  onChange: (recurrence: Recurrence) => void;
}

export function RecurrenceFields({ recurrence, onChange }: RecurrenceFieldsProps) {
  return (
    <>
      <Select
        label="How often"
        size="md"
        data-autofocus
        allowDeselect={false}
        data={KINDS}
        value={recurrence.kind}
        onChange={(kind) => {
          if (kind) onChange(changeKind(recurrence, kind));
        }}
      />
      {recurrence.kind === "hourly" ? (
        <NumberInput
          label="Minutes past the hour"
          size="md"
          min={0}
          max={59}
          clampBehavior="strict"
          allowDecimal={false}
          value={recurrence.minute}
          onChange={(minute) => onChange({ ...recurrence, minute: Number(minute) || 0 })}
        />
      ) : null}
      {recurrence.kind === "weekly" ? (
        <Select
          label="On"
          size="md"
          allowDeselect={false}
          data={DAYS}
          value={recurrence.day}
          onChange={(day) => {
            if (day) onChange({ ...recurrence, day });
          }}
        />
      ) : null}
      {recurrence.kind === "monthly" ? (
        <Select
          label="On day"
          size="md"
          allowDeselect={false}
          data={DATES}
          value={recurrence.date}
          onChange={(date) => {
            if (date) onChange({ ...recurrence, date });
          }}
        />
      ) : null}
      {"time" in recurrence ? (
        <TextInput
          type="time"
          label="At"
          size="md"
          required
          withAsterisk={false}
          value={recurrence.time}
          onChange={(event) => onChange({ ...recurrence, time: event.currentTarget.value })}
        />
      ) : null}
      {recurrence.kind === "custom" ? (
        <TextInput
          label="Cron expression"
          description="Minute, hour, day of the month, month, day of the week: 0 7 * * 1-5"
          size="md"
          ff="monospace"
          maxLength={100}
          spellCheck={false}
          autoCapitalize="off"
          autoComplete="off"
          value={recurrence.cron}
          onChange={(event) => onChange({ kind: "custom", cron: event.currentTarget.value })}
        />
      ) : null}
    </>
  );
}
