/** What this month and the tier's limits leave. */
import { Progress, Stack, Text } from "@mantine/core";

import type { Schemas } from "@/api/client";
import { formatCount } from "@/ui/format";
import { Section } from "@/ui/Section";
import { Time } from "@/ui/values";

import classes from "./subscription.module.css";

export function Usage({ current }: { current: Schemas["Current"] }) {
  const { usage } = current;
  return (
    <Section title="This month">
      <Stack gap="md">
        <Meter label="AI and API calls" used={usage.apiCallsUsed} limit={usage.apiCallsLimit} unit="calls">
          They count anew <Time value={usage.apiCallsResetAt} />.
        </Meter>
        <Meter label="Storage" used={usage.storageUsedMB} limit={usage.storageLimitMB} unit="MB">
          Runs are kept for {current.historyDays} days.
        </Meter>
      </Stack>
    </Section>
  );
}

interface MeterProps {
  label: string;
  used: number;
  limit: number;
  unit: string;
  children: React.ReactNode;
}

function Meter({ label, used, limit, unit, children }: MeterProps) {
  const unlimited = limit < 0;
  const share = unlimited || limit === 0 ? 0 : Math.min(100, (used / limit) * 100);
  const of = unlimited ? "no limit" : `${formatCount(limit)} ${unit}`;
  return (
    <div>
      <div className={classes.meter}>
        <Text fw={600}>{label}</Text>
        <Text>
          {formatCount(used)} of {of}
        </Text>
      </div>
      <Progress.Root size="lg" mt={4}>
        <Progress.Section value={share} color={share >= 90 ? "red" : "petrol"} aria-label={label} />
      </Progress.Root>
      <Text size="sm" c="dimmed" mt={4}>
        {children}
      </Text>
    </div>
  );
}
