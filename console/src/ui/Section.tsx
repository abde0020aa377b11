/** A card with a heading, of which most screens consist. */
import { Paper, Title } from "@mantine/core";
import type { ReactNode } from "react";

import classes from "./Section.module.css";

export function Section({
  title,
  actions,
  children,
}: {
  title: string;
  actions?: ReactNode;
  children: ReactNode;
}) {
  return (
    <Paper component="section" aria-label={title}>
      <div className={classes.head}>
        <Title order={2}>{title}</Title>
        {actions}
      </div>
      {children}
    </Paper>
  );
}

/** A number with its name. */
export function Figure({ label, children, note }: { label: string; children: ReactNode; note?: ReactNode }) {
  return (
    <Paper className={classes.figure} p="md">
      <span className={classes.label}>{label}</span>
      <span className={classes.value}>{children}</span>
      {note ? <span className={classes.label}>{note}</span> : null}
    </Paper>
  );
}

/** Figures side by side, as many as fit. */
export function Figures({ children }: { children: ReactNode }) {
  return <div className={classes.figures}>{children}</div>;
}
