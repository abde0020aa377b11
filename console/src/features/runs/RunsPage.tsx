/** The caller's runs, newest first. */
import { useQuery } from "@tanstack/react-query";

import { runsQuery } from "@/api/runs";
import { ButtonLink } from "@/ui/ButtonLink";
import { PageHeader } from "@/ui/PageHeader";
import { RunList } from "@/ui/RunList";
import { Empty, Loaded } from "@/ui/states";

export function RunsPage() {
  const runs = useQuery(runsQuery());
  return (
    <>
      <PageHeader title="Runs" description="Each time that a workflow worked." />
      <Loaded
        query={runs}
        isEmpty={({ executions }) => executions.length === 0}
        empty={
          <Empty title="No runs yet" action={<ButtonLink to="/workflows">Go to the workflows</ButtonLink>}>
            A run appears here as soon as you start a workflow.
          </Empty>
        }
      >
        {({ executions }) => <RunList runs={executions} />}
      </Loaded>
    </>
  );
}
