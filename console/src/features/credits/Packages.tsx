/** The packages of credits, and the dialog that buys one. */
import { Button, Paper, Text, Title } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { queryOptions, useQuery } from "@tanstack/react-query";
import { useRef, useState } from "react";

import { api, body, type Schemas } from "@/api/client";
import { keys } from "@/api/keys";
import { PayDialog } from "@/payments/PayDialog";
import { paymentOfPurchase } from "@/payments/payment";
import { formatCents, formatCount } from "@/ui/format";
import { Section } from "@/ui/Section";
import { Loaded } from "@/ui/states";

import classes from "./credits.module.css";

type Package = Schemas["Package"];

const packagesQuery = queryOptions({
  queryKey: keys.credits.packages,
  queryFn: ({ signal }) => body(api.GET("/credits/packages", { signal })),
  staleTime: Infinity,
});

export function Packages() {
  const query = useQuery(packagesQuery);
  const [buying, setBuying] = useState<Package | null>(null);
  return (
    <Section title="Buy credits">
      <Loaded query={query} rows={3}>
        {({ packages }) => (
          <ul className={classes.packages}>
            {packages.map((one) => (
              <PackageCard key={one.id} package={one} onBuy={() => setBuying(one)} />
            ))}
          </ul>
        )}
      </Loaded>
      {buying ? <BuyDialog package={buying} onClose={() => setBuying(null)} /> : null}
    </Section>
  );
}

function PackageCard({ package: one, onBuy }: { package: Package; onBuy: () => void }) {
  const price = formatCents(one.priceCents, one.currency);
  return (
    <Paper component="li" className={classes.package} p="md">
      <Title order={3}>{formatCount(one.credits)} credits</Title>
      <Text c="dimmed" size="sm">
        {one.bonus > 0 ? `and ${formatCount(one.bonus)} as a bonus` : "no bonus"}
      </Text>
      <Button mt="sm" fullWidth onClick={onBuy} aria-label={`Buy ${one.credits} credits for ${price}`}>
        {price}
      </Button>
    </Paper>
  );
}

function BuyDialog({ package: one, onClose }: { package: Package; onClose: () => void }) {
  const purchaseId = useRef<string | null>(null);
  const price = formatCents(one.priceCents, one.currency);
  const credits = formatCount(one.credits + one.bonus);

  const pay = async (paymentMethodId: string, key: string) => {
    const purchase = await body(
      api.POST("/credits/purchase", {
        params: { header: { "Idempotency-Key": key } },
        body: { packageId: one.id, paymentMethodId },
      }),
    );
    purchaseId.current = purchase.id;
    return paymentOfPurchase(purchase);
  };
  const read = async () => {
    const path = { purchaseId: purchaseId.current ?? "" };
    return paymentOfPurchase(await body(api.GET("/credits/purchases/{purchaseId}", { params: { path } })));
  };
  const paid = () => {
    notifications.show({ color: "petrol", title: "Paid", message: `${credits} credits are yours.` });
    onClose();
  };

  return (
    <PayDialog
      title={`Buy ${credits} credits`}
      action={`Pay ${price}`}
      amountCents={one.priceCents}
      pay={pay}
      read={read}
      onPaid={paid}
      onClose={onClose}
    >
      <Text c="dimmed" size="sm">
        {price}, once. The credits arrive when your bank has paid.
      </Text>
    </PayDialog>
  );
}
