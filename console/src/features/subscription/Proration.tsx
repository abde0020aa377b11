/** What a change of the plan costs now or with the next invoice, before it is made. */
import { Table, Text } from "@mantine/core";
import { queryOptions, useQuery } from "@tanstack/react-query";

import { api, body, type Schemas } from "@/api/client";
import { keys } from "@/api/keys";
import { formatCents, formatDecimal } from "@/ui/format";
import { Loaded } from "@/ui/states";
import { Time } from "@/ui/values";

const previewQuery = (priceId: string) =>
  queryOptions({
    queryKey: [...keys.billing.all, "preview", priceId],
    queryFn: ({ signal }) => body(api.POST("/subscriptions/preview", { body: { priceId }, signal })),
  });

export function Proration({ priceId }: { priceId: string }) {
  const query = useQuery(previewQuery(priceId));
  return (
    <Loaded query={query} rows={2}>
      {(preview) =>
        "lines" in preview ? (
          <Preview preview={preview} />
        ) : (
          <Text size="sm">What is left of this period counts toward the new plan.</Text>
        )
      }
    </Loaded>
  );
}

function Preview({ preview }: { preview: Schemas["PlanPreview"] }) {
  const { amountCents, chargedAt, chargedNow, currency, lines } = preview;
  return (
    <Table aria-label="What the change costs" verticalSpacing={4}>
      <Table.Tbody>
        {lines.map((line, index) => (
          <Table.Tr key={index}>
            <Table.Td>{line.description}</Table.Td>
            <Table.Td ta="right">{formatDecimal(line.amount)}</Table.Td>
          </Table.Tr>
        ))}
        <Table.Tr>
          <Table.Th scope="row">
            {chargedNow ? (
              "Due now"
            ) : (
              <>
                Due on <Time value={chargedAt} exact="date" />
              </>
            )}
          </Table.Th>
          <Table.Td ta="right" fw={650}>
            {formatCents(amountCents, currency)}
          </Table.Td>
        </Table.Tr>
      </Table.Tbody>
    </Table>
  );
}
