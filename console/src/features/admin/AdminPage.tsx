/** The business and the machinery, for administrators. */
import { Tabs } from "@mantine/core";
import { getRouteApi } from "@tanstack/react-router";
import type { ComponentType } from "react";

import { PageHeader } from "@/ui/PageHeader";

import classes from "./admin.module.css";
import { Alerts } from "./Alerts";
import { Business } from "./Business";
import { DeadLetters } from "./DeadLetters";
import { Queues } from "./Queues";
import { Reconciliations } from "./Reconciliations";
import { Reports } from "./Reports";
import { isTab, type Tab, TABS } from "./tabs";
import { Users } from "./Users";

const route = getRouteApi("/shell/admin");

const PANELS: Record<Tab, ComponentType> = {
  business: Business,
  users: Users,
  queues: Queues,
  letters: DeadLetters,
  reconciliations: Reconciliations,
  alerts: Alerts,
  reports: Reports,
};

/** A phone is narrower than the tabs: the chosen one is in sight. */
function intoView(element: HTMLElement | null): void {
  element?.scrollIntoView({ inline: "center", block: "nearest" });
}

export function AdminPage() {
  const { tab = "business" } = route.useSearch();
  const navigate = route.useNavigate();
  const Panel = PANELS[tab];
  return (
    <>
      <PageHeader title="Admin" />
      <Tabs
        value={tab}
        keepMounted={false}
        onChange={(value) => {
          if (isTab(value)) void navigate({ search: { tab: value } });
        }}
      >
        <Tabs.List mb="lg" className={classes.tabs}>
          {Object.entries(TABS).map(([value, label]) => (
            <Tabs.Tab key={value} value={value} ref={value === tab ? intoView : undefined}>
              {label}
            </Tabs.Tab>
          ))}
        </Tabs.List>
        <Tabs.Panel value={tab}>
          <Panel />
        </Tabs.Panel>
      </Tabs>
    </>
  );
}
