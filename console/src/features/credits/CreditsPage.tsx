/** The balance, packages to buy, and how the balance came about. */
import { Stack } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";

import { balanceQuery } from "@/api/queries";
import { PageHeader } from "@/ui/PageHeader";
import { Figure, Figures } from "@/ui/Section";
import { Loaded } from "@/ui/states";
import { Credits } from "@/ui/values";

import { History } from "./History";
import { Packages } from "./Packages";
import { Spending } from "./Spending";

export function CreditsPage() {
  const balance = useQuery(balanceQuery);
  return (
    <>
      <PageHeader title="Credits" description="What runs are paid with. They do not expire." />
      <Stack gap="xl">
        <Loaded query={balance} rows={2}>
          {(wallet) => (
            <Figures>
              <Figure label="Available">
                <Credits value={wallet.available} />
              </Figure>
              <Figure label="Held by runs">
                <Credits value={wallet.held} />
              </Figure>
              <Figure label="Balance">
                <Credits value={wallet.balance} />
              </Figure>
            </Figures>
          )}
        </Loaded>
        <Packages />
        <Spending />
        <History />
      </Stack>
    </>
  );
}
