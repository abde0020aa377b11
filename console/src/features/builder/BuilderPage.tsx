/** The builder of one workflow; fills the window. */
import { useDocumentTitle } from "@mantine/hooks";
import { useQuery } from "@tanstack/react-query";
import { getRouteApi } from "@tanstack/react-router";
import { ReactFlowProvider } from "@xyflow/react";

import { ErrorState, Loading } from "@/ui/states";

import { Builder } from "./Builder";
import classes from "./Builder.module.css";
import { catalogQuery, storedQuery } from "./state/queries";

const route = getRouteApi("/shell/workflows/$workflowId");

export function BuilderPage() {
  const { workflowId } = route.useParams();
  const stored = useQuery(storedQuery(workflowId));
  const catalog = useQuery(catalogQuery);
  useDocumentTitle(`${stored.data?.workflow.name ?? "Workflow"} · AgentForge`);
  const error = stored.error ?? catalog.error;
  return (
    <div data-fills className={classes.builder}>
      {stored.data && catalog.data ? (
        <ReactFlowProvider key={workflowId}>
          <Builder stored={stored.data} catalog={catalog.data} />
        </ReactFlowProvider>
      ) : (
        <div className={classes.center}>
          {error ? (
            <ErrorState
              error={error}
              onRetry={() => {
                void stored.refetch();
                void catalog.refetch();
              }}
            />
          ) : (
            <Loading />
          )}
        </div>
      )}
    </div>
  );
}
