/** What a run cost, by step, and each of its charges. */
import { Button, Group, Stack, Table, Text } from "@mantine/core";
import { useInfiniteQuery } from "@tanstack/react-query";
import { useState } from "react";

import { api, body, type Schemas } from "@/api/client";
import { keys } from "@/api/keys";
import type { FullRun } from "@/api/runs";
import { type Column, DataList } from "@/ui/DataList";
import { formatCount } from "@/ui/format";
import { ShowMore } from "@/ui/ShowMore";
import { Empty, Loaded } from "@/ui/states";
import { StatusBadge } from "@/ui/StatusBadge";
import { Credits, Time } from "@/ui/values";

import { iterationName } from "./waiting";

type Charge = Schemas["ReceiptLine"];

const COLUMNS: Column<Charge>[] = [
  {
    key: "label",
    header: "Step",
    heading: true,
    cell: (line) => [line.label, iterationName(line.path)].filter(Boolean).join(" · "),
  },
  { key: "status", header: "State", cell: (line) => <StatusBadge status={line.status} /> },
  { key: "reason", header: "Reason", cell: (line) => line.reason },
  { key: "at", header: "Charged", cell: (line) => <Time value={line.chargedAt} exact /> },
  { key: "price", header: "Credits", numeric: true, cell: (line) => <Credits value={line.price} /> },
];

export function ReceiptView({ run }: { run: FullRun }) {
  const { receipt } = run;
  return (
    <Stack gap="lg">
      <Table.ScrollContainer minWidth={0}>
        <Table verticalSpacing="xs" aria-label="Receipt">
          <Table.Thead>
            <Table.Tr>
              <Table.Th scope="col">Step</Table.Th>
              <Table.Th scope="col" ta="right">
                Charges
              </Table.Th>
              <Table.Th scope="col" ta="right">
                Credits
              </Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {receipt.items.map((item) => (
              <Table.Tr key={item.nodeId}>
                <Table.Td>{item.label}</Table.Td>
                <Table.Td ta="right" className="tabular">
                  {formatCount(item.runs)} × <Credits value={item.unitPrice} />
                </Table.Td>
                <Table.Td ta="right">
                  <Credits value={item.amount} />
                </Table.Td>
              </Table.Tr>
            ))}
            <Table.Tr>
              <Table.Td>The run itself</Table.Td>
              <Table.Td />
              <Table.Td ta="right">
                <Credits value={receipt.runFee} />
              </Table.Td>
            </Table.Tr>
          </Table.Tbody>
          <Table.Tfoot>
            <Table.Tr>
              <Table.Th scope="row">{receipt.final ? "Total" : "Total so far"}</Table.Th>
              <Table.Td />
              <Table.Th ta="right">
                <Credits value={receipt.total} />
              </Table.Th>
            </Table.Tr>
          </Table.Tfoot>
        </Table>
      </Table.ScrollContainer>
      <Text size="sm" c="dimmed">
        <Credits value={receipt.held} /> credits were held for this run, and{" "}
        <Credits value={receipt.released} />{" "}
        {receipt.final ? "were given back at its end" : "are given back so far"}. Prices are those of the list{" "}
        {receipt.priceList}.
        {receipt.children.runs > 0 ? (
          <>
            {" "}
            The {formatCount(receipt.children.runs)} runs that it started cost{" "}
            <Credits value={receipt.children.amount} /> more.
          </>
        ) : null}
      </Text>
      <Charges runId={run.id} seq={run.seq} />
    </Stack>
  );
}

function Charges({ runId, seq }: { runId: string; seq: number }) {
  const [shown, setShown] = useState(false);
  if (!shown) {
    return (
      <Group>
        <Button variant="default" size="sm" onClick={() => setShown(true)}>
          Show each charge
        </Button>
      </Group>
    );
  }
  return <ChargeList runId={runId} seq={seq} />;
}

function ChargeList({ runId, seq }: { runId: string; seq: number }) {
  const query = useInfiniteQuery({
    queryKey: [...keys.runs.one(runId), "charges", seq],
    initialPageParam: undefined as string | undefined,
    queryFn: ({ signal, pageParam }) => {
      const params = { path: { executionId: runId }, query: pageParam ? { cursor: pageParam } : {} };
      return body(api.GET("/executions/{executionId}/receipt", { params, signal }));
    },
    getNextPageParam: (page) => page.nextCursor ?? undefined,
  });
  return (
    <Loaded
      query={query}
      isEmpty={({ pages }) => pages.every(({ lines }) => lines.length === 0)}
      empty={<Empty title="Nothing was charged" />}
    >
      {({ pages }) => (
        <Stack gap="sm">
          <DataList
            label="Charges"
            rows={pages.flatMap(({ lines }) => lines)}
            columns={COLUMNS}
            rowKey={(line) => `${line.nodeId} ${line.path} ${line.chargedAt}`}
          />
          <ShowMore pages={query} />
        </Stack>
      )}
    </Loaded>
  );
}
