/** What went into a step and what came out of it. Large values come in parts. */
import { Stack } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useState } from "react";

import type { Schemas } from "@/api/client";
import { messageOf } from "@/api/problem";
import { JsonView } from "@/ui/json/JsonView";
import { type Parts, partsOf, withPart } from "@/ui/json/parts";
import { Loaded } from "@/ui/states";

import classes from "./StepDrawer.module.css";
import { readPart, stateOf, type StepPart, stepQuery } from "./steps";
import type { Step } from "./timeline";

interface StepDataProps {
  runId: string;
  step: Step;
  path: string;
}

export function StepData({ runId, step, path }: StepDataProps) {
  const query = useQuery({
    ...stepQuery(runId, step.nodeId, path, stateOf(step)),
    placeholderData: keepPreviousData,
  });
  const about = { executionId: runId, nodeId: step.nodeId, path };
  return (
    <Loaded query={query} rows={3}>
      {({ input, output, status }) => (
        <Stack gap="md" key={`${path} ${status}`}>
          <Value title="Input" label={step.label} excerpt={input} part={{ ...about, data: "input" }} />
          {status === "success" || output.value !== null ? (
            <Value title="Output" label={step.label} excerpt={output} part={{ ...about, data: "output" }} />
          ) : null}
        </Stack>
      )}
    </Loaded>
  );
}

interface ValueProps {
  title: string;
  label: string;
  excerpt: Schemas["Excerpt"];
  part: StepPart;
}

function Value({ title, label, excerpt, part }: ValueProps) {
  const [{ from, parts }, setParts] = useState<{ from: Schemas["Excerpt"]; parts: Parts }>(() => ({
    from: excerpt,
    parts: partsOf(excerpt),
  }));
  if (from !== excerpt) setParts({ from: excerpt, parts: partsOf(excerpt) });

  async function more(pointer: string, have: number) {
    try {
      const next = await readPart(part, pointer, have);
      setParts((known) => ({ ...known, parts: withPart(known.parts, next) }));
    } catch (error) {
      notifications.show({ color: "red", message: messageOf(error) });
    }
  }

  return (
    <section aria-label={title}>
      <h3 className={classes.heading}>{title}</h3>
      <JsonView
        value={parts.value}
        cut={parts.cut}
        onMore={more}
        label={`${title} of ${label}`}
        fileName={`${part.nodeId}-${part.data}.json`}
      />
    </section>
  );
}
