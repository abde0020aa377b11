/** The caller's workflows: what they did last, and what can be done with them. */
import { Button, FileButton, Menu, Stack, TextInput } from "@mantine/core";
import { useDebouncedCallback } from "@mantine/hooks";
import {
  IconChevronDown,
  IconFilePlus,
  IconFileUpload,
  IconLayoutGrid,
  IconSearch,
} from "@tabler/icons-react";
import { useInfiniteQuery } from "@tanstack/react-query";
import { getRouteApi, Link, useNavigate } from "@tanstack/react-router";
import { lazy, Suspense, useState } from "react";

import { useLiveRuns } from "@/api/live/useLiveRuns";
import { ButtonLink } from "@/ui/ButtonLink";
import { type Column, DataList } from "@/ui/DataList";
import { PageHeader } from "@/ui/PageHeader";
import { RunDialog } from "@/ui/run/RunDialog";
import { ShowMore } from "@/ui/ShowMore";
import { Empty, ErrorState, Loaded } from "@/ui/states";
import { Time } from "@/ui/values";

import { CreateDialog } from "./CreateDialog";
import { type Workflow, workflowsQuery } from "./queries";
import { LastRun, RecentRuns } from "./RecentRuns";
import type { Schedule } from "./schedules/queries";
import { ScheduleCell } from "./schedules/ScheduleCell";
import { useSchedulesByWorkflow } from "./schedules/useSchedules";
import { useImport } from "./useWorkflowActions";
import { WorkflowActions } from "./WorkflowActions";
import { WorkflowName } from "./WorkflowName";
import classes from "./Workflows.module.css";

const route = getRouteApi("/shell/workflows");
const TYPING_MS = 300;
const SchedulesDialog = lazy(async () => ({
  default: (await import("./schedules/SchedulesDialog")).SchedulesDialog,
}));

export function WorkflowsPage() {
  const { q = "" } = route.useSearch();
  const navigate = useNavigate();
  const [creates, setCreates] = useState(false);
  const [starts, setStarts] = useState<Workflow | null>(null);
  const [plans, setPlans] = useState<Workflow | null>(null);
  const importFile = useImport();
  const workflows = useInfiniteQuery(workflowsQuery(q));
  const schedules = useSchedulesByWorkflow(workflows.data?.pages.map((page) => page.workflows) ?? []);
  useLiveRuns();
  return (
    <>
      <PageHeader
        title="Workflows"
        actions={<NewMenu onCreate={() => setCreates(true)} onImport={(file) => importFile.mutate(file)} />}
      />
      {importFile.isError ? <ErrorState error={importFile.error} /> : null}
      <Search key={q} q={q} />
      <Loaded
        query={workflows}
        isEmpty={({ pages }) => pages.every((page) => page.workflows.length === 0)}
        empty={<NoWorkflows q={q} onCreate={() => setCreates(true)} />}
      >
        {({ pages }) => (
          <Stack>
            <DataList
              label="Workflows"
              rows={pages.flatMap((page) => page.workflows)}
              columns={columnsFor(schedules, setStarts, setPlans)}
              rowKey={(workflow) => workflow.id}
            />
            <ShowMore pages={workflows} />
          </Stack>
        )}
      </Loaded>
      {creates ? <CreateDialog onClose={() => setCreates(false)} /> : null}
      {plans ? (
        <Suspense>
          <SchedulesDialog workflow={plans} onClose={() => setPlans(null)} />
        </Suspense>
      ) : null}
      {starts ? (
        <RunDialog
          workflow={starts}
          onStarted={(runId) => void navigate({ to: "/runs/$runId", params: { runId } })}
          onClose={() => setStarts(null)}
        />
      ) : null}
    </>
  );
}

function columnsFor(
  schedules: ReadonlyMap<string, readonly Schedule[]>,
  onRun: (workflow: Workflow) => void,
  onSchedule: (workflow: Workflow) => void,
): Column<Workflow>[] {
  return [
    { key: "name", header: "Name", heading: true, cell: (workflow) => <WorkflowName workflow={workflow} /> },
    { key: "last", header: "Last run", cell: (workflow) => <LastRun workflowId={workflow.id} /> },
    { key: "recent", header: "Recent runs", cell: (workflow) => <RecentRuns workflowId={workflow.id} /> },
    {
      key: "schedule",
      header: "Schedule",
      cell: (workflow) => (
        <ScheduleCell
          name={workflow.name}
          schedules={schedules.get(workflow.id)}
          onOpen={() => onSchedule(workflow)}
        />
      ),
    },
    { key: "updated", header: "Changed", cell: (workflow) => <Time value={workflow.updatedAt} /> },
    {
      key: "actions",
      header: "Actions",
      buttons: true,
      cell: (workflow) => (
        <WorkflowActions
          workflow={workflow}
          onRun={() => onRun(workflow)}
          onSchedule={() => onSchedule(workflow)}
        />
      ),
    },
  ];
}

function NewMenu({ onCreate, onImport }: { onCreate: () => void; onImport: (file: File) => void }) {
  return (
    <FileButton
      accept="application/json,.json"
      inputProps={{ "aria-label": "Workflow file" }}
      onChange={(file) => {
        if (file) onImport(file);
      }}
    >
      {({ onClick: chooseFile }) => (
        <Menu position="bottom-end">
          <Menu.Target>
            <Button rightSection={<IconChevronDown size={18} aria-hidden />}>New workflow</Button>
          </Menu.Target>
          <Menu.Dropdown>
            <Menu.Item leftSection={<IconFilePlus size={18} aria-hidden />} onClick={onCreate}>
              Begin with an empty one
            </Menu.Item>
            <Menu.Item
              leftSection={<IconLayoutGrid size={18} aria-hidden />}
              renderRoot={(props) => <Link to="/templates" {...props} />}
            >
              Start from a template
            </Menu.Item>
            <Menu.Item leftSection={<IconFileUpload size={18} aria-hidden />} onClick={chooseFile}>
              Import a file
            </Menu.Item>
          </Menu.Dropdown>
        </Menu>
      )}
    </FileButton>
  );
}

function Search({ q }: { q: string }) {
  const navigate = route.useNavigate();
  const [text, setText] = useState(q);
  const search = useDebouncedCallback((words: string) => {
    void navigate({ search: words.trim() ? { q: words.trim() } : {}, replace: true });
  }, TYPING_MS);
  return (
    <TextInput
      type="search"
      aria-label="Find a workflow"
      placeholder="Find a workflow"
      leftSection={<IconSearch size={18} aria-hidden />}
      mb="md"
      className={classes.search ?? ""}
      value={text}
      onChange={(event) => {
        setText(event.currentTarget.value);
        search(event.currentTarget.value);
      }}
    />
  );
}

function NoWorkflows({ q, onCreate }: { q: string; onCreate: () => void }) {
  if (q) return <Empty title={`No workflow is called “${q}”`} />;
  return (
    <Empty
      title="No workflows yet"
      action={
        <>
          <ButtonLink to="/templates">Start from a template</ButtonLink>
          <Button variant="default" onClick={onCreate}>
            Begin with an empty one
          </Button>
        </>
      }
    >
      A workflow says what is to be done, step by step. A template is the quickest start.
    </Empty>
  );
}
