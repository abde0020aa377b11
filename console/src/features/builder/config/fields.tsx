/** The fields of a form, one component for each kind. */
import {
  ActionIcon,
  Button,
  Input,
  NumberInput,
  SegmentedControl,
  Select,
  Stack,
  Switch,
  TextInput,
} from "@mantine/core";
import { IconPlus, IconTrash } from "@tabler/icons-react";
import { useState } from "react";

import { type Field, isTemplate, wordsOf } from "../model/schema-form";
import type { Scope } from "../model/scope";
import classes from "./config.module.css";
import { ExpressionField } from "./ExpressionField";
import { Words } from "./Words";
import { WorkflowSelect } from "./WorkflowSelect";

export interface FieldProps {
  field: Field;
  value: unknown;
  /** undefined removes the value. */
  onChange: (value: unknown) => void;
  scope: Scope;
  error?: string | undefined;
  isReadOnly: boolean;
}

const textOf = (value: unknown): string =>
  value === undefined || value === null
    ? ""
    : typeof value === "string"
      ? value
      : JSON.stringify(value, null, 2);

function hintOf({ example, defaultValue }: Field): string {
  if (defaultValue !== undefined && defaultValue !== null) return textOf(defaultValue);
  return example === undefined ? "" : textOf(example);
}

const common = ({ field, error }: FieldProps) => ({
  label: field.title,
  description: field.help ? <Words text={field.help} /> : null,
  required: field.required,
  error,
});

function TextField({ field, value, onChange, scope, error, isReadOnly }: FieldProps) {
  const mode = field.kind === "code" ? "body" : (field.mode ?? "template");
  const isLong = field.format === "multiline" || field.kind === "code" || field.kind === "expression";
  return (
    <ExpressionField
      title={field.title}
      help={field.help}
      hint={hintOf(field)}
      required={field.required}
      mode={mode}
      value={textOf(value)}
      onChange={(text) => onChange(text === "" ? undefined : text)}
      scope={scope}
      error={error}
      isSingleLine={!isLong && field.kind !== "condition"}
      isReadOnly={isReadOnly}
    />
  );
}

function ChoiceField(props: FieldProps) {
  const { field, value, onChange, isReadOnly } = props;
  const chosen = typeof value === "string" ? value : null;
  return (
    <Select
      {...common(props)}
      data={field.options.map((option) => ({
        value: option,
        label: /^[A-Z]+$/.test(option) ? option : wordsOf(option),
      }))}
      value={chosen ?? (typeof field.defaultValue === "string" ? field.defaultValue : null)}
      placeholder="None"
      clearable={!field.required && field.defaultValue === undefined}
      readOnly={isReadOnly}
      comboboxProps={{ withinPortal: true }}
      onChange={(option) =>
        onChange(option === null || (option === field.defaultValue && chosen === null) ? undefined : option)
      }
    />
  );
}

/** A number, or with a tap on "fx" an expression that computes it. */
function NumberField(props: FieldProps) {
  const { field, value, onChange, isReadOnly } = props;
  const [asExpression, setAsExpression] = useState(isTemplate(value));
  if (asExpression || isTemplate(value)) {
    return (
      <Stack gap={4}>
        <TextField {...props} field={{ ...field, mode: "template" }} />
        <Button
          variant="subtle"
          size="compact-xs"
          style={{ alignSelf: "end" }}
          onClick={() => {
            setAsExpression(false);
            onChange(undefined);
          }}
        >
          Write a number instead
        </Button>
      </Stack>
    );
  }
  const canCompute = field.mode !== null && !isReadOnly;
  return (
    <NumberInput
      {...common(props)}
      value={typeof value === "number" || typeof value === "string" ? value : ""}
      placeholder={hintOf(field)}
      suffix={field.unit ? ` ${field.unit}` : ""}
      readOnly={isReadOnly}
      hideControls
      rightSection={
        canCompute ? (
          <ActionIcon
            aria-label={`Compute ${field.title}`}
            title="Compute it by an expression"
            size="md"
            onClick={() => setAsExpression(true)}
          >
            <em>fx</em>
          </ActionIcon>
        ) : null
      }
      onChange={(number) =>
        onChange(number === "" ? undefined : typeof number === "number" ? number : Number(number))
      }
    />
  );
}

function FlagField(props: FieldProps) {
  const { field, value, onChange, isReadOnly } = props;
  return (
    <Switch
      {...common(props)}
      checked={
        value === undefined || value === null
          ? field.defaultValue === true
          : value === true || value === "true"
      }
      disabled={isReadOnly}
      onChange={(event) => onChange(event.currentTarget.checked)}
    />
  );
}

/** Any value: a text, or JSON with expressions in its texts. */
function ValueField(props: FieldProps) {
  const { field, value, onChange, scope, error, isReadOnly } = props;
  const isTextual = typeof value === "string" || value === undefined || value === null;
  const [asJson, setAsJson] = useState(field.kind === "object" || !isTextual);
  const [draft, setDraft] = useState<string | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  const shown = draft ?? (asJson && value !== undefined ? JSON.stringify(value, null, 2) : textOf(value));

  function changeJson(text: string) {
    setDraft(text);
    try {
      onChange(text.trim() === "" ? undefined : (JSON.parse(text) as unknown));
      setProblem(null);
    } catch {
      setProblem("This is not JSON yet; the last whole value is kept.");
    }
  }

  return (
    <ExpressionField
      title={field.title}
      help={field.help}
      hint={field.example === undefined ? "" : textOf(field.example)}
      required={field.required}
      mode={asJson ? "json" : "template"}
      value={shown}
      onChange={asJson ? changeJson : (text) => onChange(text === "" ? undefined : text)}
      scope={scope}
      error={problem ?? error}
      isReadOnly={isReadOnly}
      aside={
        <SegmentedControl
          size="xs"
          mb={4}
          aria-label={`How ${field.title} is written`}
          value={asJson ? "json" : "text"}
          data={[
            { value: "text", label: field.kind === "value" ? "Text" : "Expression" },
            { value: "json", label: "JSON" },
          ]}
          onChange={(as) => {
            setAsJson(as === "json");
            setDraft(null);
            setProblem(null);
          }}
        />
      }
    />
  );
}

interface Case {
  name?: string;
  condition?: string;
}

function CasesField({ field, value, onChange, scope, error, isReadOnly }: FieldProps) {
  const cases = Array.isArray(value) ? (value as Case[]) : [];
  const set = (index: number, patch: Case) =>
    onChange(cases.map((found, at) => (at === index ? { ...found, ...patch } : found)));
  return (
    <Stack gap="xs" role="group" aria-label={field.title}>
      <Input.Label>{field.title}</Input.Label>
      <Input.Description>
        <Words text={field.help} />
      </Input.Description>
      {cases.map((found, index) => (
        <div key={index} className={classes.case}>
          <TextInput
            size="sm"
            label={`Port ${index + 1}`}
            value={found.name ?? ""}
            readOnly={isReadOnly}
            onChange={(event) => set(index, { name: event.currentTarget.value })}
            rightSection={
              <ActionIcon
                aria-label={`Remove case ${index + 1}`}
                disabled={isReadOnly}
                onClick={() => onChange(cases.length > 1 ? cases.filter((_, at) => at !== index) : undefined)}
              >
                <IconTrash size={16} aria-hidden />
              </ActionIcon>
            }
          />
          <ExpressionField
            title={`Condition ${index + 1}`}
            mode="expression"
            value={found.condition ?? ""}
            onChange={(condition) => set(index, { condition })}
            scope={scope}
            isReadOnly={isReadOnly}
          />
        </div>
      ))}
      {error ? <Input.Error>{error}</Input.Error> : null}
      {isReadOnly ? null : (
        <Button
          variant="default"
          size="sm"
          leftSection={<IconPlus size={16} aria-hidden />}
          onClick={() => onChange([...cases, { name: `case ${cases.length + 1}`, condition: "" }])}
        >
          Add a case
        </Button>
      )}
    </Stack>
  );
}

const COMPONENTS = {
  text: TextField,
  expression: TextField,
  condition: TextField,
  code: TextField,
  choice: ChoiceField,
  number: NumberField,
  flag: FlagField,
  value: ValueField,
  list: ValueField,
  object: ValueField,
  cases: CasesField,
} as const;

export function FormField(props: FieldProps) {
  if (props.field.format === "workflow") return <WorkflowSelect {...props} />;
  const Component = COMPONENTS[props.field.kind];
  return <Component {...props} />;
}
