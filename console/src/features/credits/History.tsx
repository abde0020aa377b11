/** Every change of the balance, newest first. */
import { api, body, type Schemas } from "@/api/client";
import { keys } from "@/api/keys";
import { TextLink } from "@/ui/ButtonLink";
import type { Column } from "@/ui/DataList";
import { PagedList } from "@/ui/PagedList";
import { Section } from "@/ui/Section";
import { usePages } from "@/ui/usePages";
import { Credits, Time } from "@/ui/values";

const PAGE = 20;

const COLUMNS: Column<Schemas["Transaction"]>[] = [
  { key: "reason", header: "Reason", heading: true, cell: (change) => <Reason change={change} /> },
  { key: "time", header: "When", cell: (change) => <Time value={change.createdAt} /> },
  {
    key: "amount",
    header: "Amount",
    numeric: true,
    cell: (change) => (
      <>
        {change.type === "credit" ? "+" : "−"}
        <Credits value={change.amount} />
      </>
    ),
  },
  {
    key: "balance",
    header: "Balance",
    numeric: true,
    cell: (change) => <Credits value={change.balanceAfter} />,
  },
];

export function History() {
  const pages = usePages(
    keys.credits.history(),
    (page, signal) => body(api.GET("/credits/history", { params: { query: page }, signal })),
    (page) => page.transactions,
    PAGE,
  );
  return (
    <Section title="History">
      <PagedList
        label="History"
        pages={pages}
        columns={COLUMNS}
        rowKey={(change) => change.id}
        empty="Nothing has happened yet"
      />
    </Section>
  );
}

/** The reason leads to the run that it is about. */
function Reason({ change }: { change: Schemas["Transaction"] }) {
  if (!change.executionId) return <>{change.reason}</>;
  return (
    <TextLink to="/runs/$runId" params={{ runId: change.executionId }}>
      {change.reason}
    </TextLink>
  );
}
