/** A text with expressions, with its label and what is wrong with it; shows its result as it is written. */
import { Input, Skeleton } from "@mantine/core";
import { lazy, type ReactNode, Suspense, useId } from "react";

import type { Scope } from "../model/scope";
import type { EditorMode } from "./codemirror";
import { ExpressionResult } from "./ExpressionResult";
import { Words } from "./Words";

const CodeEditor = lazy(() => import("./CodeEditor"));

interface ExpressionFieldProps {
  title: string;
  help?: string;
  hint?: string;
  required?: boolean;
  mode: EditorMode;
  value: string;
  onChange: (text: string) => void;
  scope: Scope;
  error?: ReactNode;
  isSingleLine?: boolean;
  isReadOnly?: boolean;
  /** Stands at the right of the label. */
  aside?: ReactNode;
}

export function ExpressionField(props: ExpressionFieldProps) {
  const { title, help, hint, required = false, mode, value, onChange, scope, error, aside } = props;
  const id = useId();
  return (
    <Input.Wrapper
      label={title}
      description={help ? <Words text={help} /> : null}
      error={error}
      required={required}
      labelElement="div"
      inputWrapperOrder={["label", "description", "input", "error"]}
      descriptionProps={{ id: `${id}-help` }}
      labelProps={{
        style: { display: "flex", width: "100%", alignItems: "center", justifyContent: "space-between" },
      }}
    >
      {aside}
      <Suspense fallback={<Skeleton height={38} mt={4} />}>
        <CodeEditor
          value={value}
          onChange={onChange}
          mode={mode}
          label={title}
          describedBy={help ? `${id}-help` : undefined}
          hint={hint}
          scope={scope}
          isSingleLine={props.isSingleLine ?? false}
          isReadOnly={props.isReadOnly ?? false}
          isInvalid={Boolean(error)}
        />
      </Suspense>
      <ExpressionResult text={value} mode={mode} scope={scope} />
    </Input.Wrapper>
  );
}
