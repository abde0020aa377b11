/** The fields of dialogs that start runs, now or at times. */
import { Button, FileButton, NumberInput, Stack, Textarea } from "@mantine/core";
import { IconFileUpload } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";

import { balanceQuery } from "@/api/queries";
import { Credits } from "@/ui/values";

import { type InputField, nameOf, type Texts } from "./inputs";

interface InputTextsProps {
  fields: readonly InputField[];
  texts: Texts;
  problems: Texts;
  onChange: (change: (texts: Texts) => Texts) => void;
}

/** A text for each field of the input. */
export function InputTexts({ fields, texts, problems, onChange }: InputTextsProps) {
  return fields.map((field, index) => (
    <InputText
      key={nameOf(field)}
      field={field}
      isFirst={index === 0}
      value={texts[nameOf(field)] ?? ""}
      error={problems[nameOf(field)]}
      onChange={(text) => onChange((now) => ({ ...now, [nameOf(field)]: text }))}
    />
  ));
}

interface InputTextProps {
  field: InputField;
  isFirst: boolean;
  value: string;
  error: string | undefined;
  onChange: (text: string) => void;
}

const HINTS: Readonly<Record<InputField["type"], string>> = {
  text: "",
  json: 'JSON, such as {"name": "value"}',
  number: "A number",
  csv: "CSV with a header line",
  file: "The text of a file",
  any: "Text or JSON",
};
const SHOWN = 80; // characters of a default

function InputText({ field, isFirst, value, error, onChange }: InputTextProps) {
  const { type, fallback } = field;
  const isNumber = type === "number";
  const hints = [HINTS[type], fallback === null ? "" : `Left empty: ${fallback.slice(0, SHOWN)}`];
  return (
    <Stack gap="xs">
      <Textarea
        label={field.label}
        description={hints.filter(Boolean).join(". ") || undefined}
        size="md"
        data-autofocus={isFirst || undefined}
        required={field.required}
        withAsterisk={field.required}
        autosize
        minRows={isNumber ? 1 : 3}
        maxRows={isNumber ? 1 : 12}
        inputMode={isNumber ? "decimal" : undefined}
        {...(type === "json" || type === "csv" ? { ff: "monospace" } : {})}
        value={value}
        error={error}
        onChange={(event) => onChange(event.currentTarget.value)}
      />
      {type === "file" || type === "csv" ? (
        <FileButton
          onChange={(file) => void file?.text().then(onChange)}
          inputProps={{ "aria-label": `File for ${field.label}` }}
        >
          {(button) => (
            <Button
              {...button}
              variant="default"
              size="xs"
              leftSection={<IconFileUpload size={16} aria-hidden />}
              style={{ alignSelf: "start" }}
            >
              Choose a file
            </Button>
          )}
        </FileButton>
      ) : null}
    </Stack>
  );
}

interface CostFieldProps {
  /** The most that a run can cost, in credits; null while that is not known. */
  worst: number | null;
  most: number | null;
  onChange: (most: number | null) => void;
}

export function CostField({ worst, most, onChange }: CostFieldProps) {
  const balance = useQuery(balanceQuery);
  return (
    <NumberInput
      label="The most that it may cost"
      description={
        <>
          {worst === null ? null : (
            <>
              Without a limit this run holds <Credits value={worst} unit />, its worst case. With one it waits
              for you when that is used up.{" "}
            </>
          )}
          {balance.data ? (
            <>
              You have <Credits value={balance.data.available} unit />.
            </>
          ) : null}
        </>
      }
      size="md"
      min={0}
      decimalScale={2}
      allowNegative={false}
      hideControls
      placeholder="Its worst case"
      value={most ?? ""}
      onChange={(value) => onChange(value === "" ? null : Number(value))}
    />
  );
}
