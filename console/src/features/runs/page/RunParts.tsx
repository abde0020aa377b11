/** The parts of a run's screen: steps, log, input and output, receipt. The address says which one is shown. */
import { Stack, Tabs } from "@mantine/core";
import type { UseQueryResult } from "@tanstack/react-query";
import { getRouteApi } from "@tanstack/react-router";
import { useMemo } from "react";

import type { FullRun, LogEntry } from "@/api/runs";
import { JsonView } from "@/ui/json/JsonView";
import { Section } from "@/ui/Section";
import { Empty, Loaded } from "@/ui/states";

import { LogView } from "./LogView";
import { ReceiptView } from "./ReceiptView";
import { RunGraph } from "./RunGraph";
import classes from "./RunPage.module.css";
import { isTab, type RunSearch, type Tab, TABS } from "./search";
import { StepDrawer } from "./StepDrawer";
import { Timeline } from "./Timeline";

const route = getRouteApi("/shell/runs/$runId");
const NAMES: Record<Tab, string> = { steps: "Steps", log: "Log", data: "Data", receipt: "Receipt" };

export function RunParts({ run, log }: { run: FullRun; log: UseQueryResult<LogEntry[]> }) {
  const { tab = "steps", step, path } = route.useSearch();
  const navigate = route.useNavigate();
  const labels = useMemo(() => new Map(run.nodes.map(({ nodeId, label }) => [nodeId, label])), [run.nodes]);
  const show = (search: RunSearch) => void navigate({ search, replace: true, resetScroll: false });
  const open = (nodeId: string | null) => show({ tab, ...(nodeId ? { step: nodeId } : {}) });
  return (
    <>
      <Tabs
        value={tab}
        keepMounted={false}
        onChange={(value) => {
          if (isTab(value)) show({ tab: value });
        }}
      >
        <Tabs.List className={classes.tabs}>
          {TABS.map((name) => (
            <Tabs.Tab key={name} value={name}>
              {NAMES[name]}
            </Tabs.Tab>
          ))}
        </Tabs.List>
        <Tabs.Panel value="steps" pt="md">
          <Stack gap="md">
            <RunGraph run={run} selectedId={step} onSelect={open} />
            <Section title="Timeline">
              <Timeline run={run} onOpen={open} />
            </Section>
          </Stack>
        </Tabs.Panel>
        <Tabs.Panel value="log" pt="md">
          <Loaded query={log}>
            {(entries) => <LogView entries={entries} labels={labels} fileName={`${run.id}.log`} />}
          </Loaded>
        </Tabs.Panel>
        <Tabs.Panel value="data" pt="md">
          <Data run={run} />
        </Tabs.Panel>
        <Tabs.Panel value="receipt" pt="md">
          <Section title="Receipt">
            <ReceiptView run={run} />
          </Section>
        </Tabs.Panel>
      </Tabs>
      <StepDrawer
        run={run}
        nodeId={step}
        path={path}
        onSelect={(iteration) => show({ tab, ...(step ? { step } : {}), path: iteration })}
        onClose={() => open(null)}
      />
    </>
  );
}

function Data({ run }: { run: FullRun }) {
  return (
    <Stack gap="md">
      <Section title="Input">
        {run.input === null ? (
          <Empty title="This run was started without input" />
        ) : (
          <JsonView value={run.input} label="Input of the run" fileName={`${run.id}-input.json`} open={3} />
        )}
      </Section>
      <Section title="Output">
        {run.output === null ? (
          <Empty title={run.endTime ? "This run has no output" : "There is no output yet"} />
        ) : (
          <JsonView
            value={run.output}
            label="Output of the run"
            fileName={`${run.id}-output.json`}
            open={3}
          />
        )}
      </Section>
    </Stack>
  );
}
