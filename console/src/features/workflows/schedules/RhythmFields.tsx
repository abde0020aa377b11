/** The fields that say how often a schedule runs. */
import { NumberInput, Select, TextInput } from "@mantine/core";

import { changeKind, DATES, DAYS, KINDS, type Rhythm } from "./rhythm";

interface RhythmFieldsProps {
  rhythm: Rhythm;
  onChange: (rhythm: Rhythm) => void;
}

export function RhythmFields({ rhythm, onChange }: RhythmFieldsProps) {
  return (
    <>
      <Select
        label="How often"
        size="md"
        data-autofocus
        allowDeselect={false}
        data={KINDS}
        value={rhythm.kind}
        onChange={(kind) => {
          if (kind) onChange(changeKind(rhythm, kind));
        }}
      />
      {rhythm.kind === "hourly" ? (
        <NumberInput
          label="Minutes past the hour"
          size="md"
          min={0}
          max={59}
          clampBehavior="strict"
          allowDecimal={false}
          value={rhythm.minute}
          onChange={(minute) => onChange({ ...rhythm, minute: Number(minute) || 0 })}
        />
      ) : null}
      {rhythm.kind === "weekly" ? (
        <Select
          label="On"
          size="md"
          allowDeselect={false}
          data={DAYS}
          value={rhythm.day}
          onChange={(day) => {
            if (day) onChange({ ...rhythm, day });
          }}
        />
      ) : null}
      {rhythm.kind === "monthly" ? (
        <Select
          label="On day"
          size="md"
          allowDeselect={false}
          data={DATES}
          value={rhythm.date}
          onChange={(date) => {
            if (date) onChange({ ...rhythm, date });
          }}
        />
      ) : null}
      {"time" in rhythm ? (
        <TextInput
          type="time"
          label="At"
          size="md"
          required
          withAsterisk={false}
          value={rhythm.time}
          onChange={(event) => onChange({ ...rhythm, time: event.currentTarget.value })}
        />
      ) : null}
      {rhythm.kind === "custom" ? (
        <TextInput
          label="Cron expression"
          description="Minute, hour, day of the month, month, day of the week: 0 7 * * 1-5"
          size="md"
          ff="monospace"
          maxLength={100}
          spellCheck={false}
          autoCapitalize="off"
          autoComplete="off"
          value={rhythm.cron}
          onChange={(event) => onChange({ kind: "custom", cron: event.currentTarget.value })}
        />
      ) : null}
    </>
  );
}
