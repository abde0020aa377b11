/** What goes on only when the person does something. Nothing is shown while there is nothing. */
import { Title } from "@mantine/core";
import { IconCoins, IconCreditCard, IconHandStop, type IconProps, IconWorldPause } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import type { ComponentType } from "react";

import { subscriptionQuery } from "@/api/queries";
import { ButtonLink } from "@/ui/ButtonLink";
import { Time } from "@/ui/values";

import classes from "./Home.module.css";
import { openRunsQuery, recentPurchasesQuery } from "./queries";
import { purchaseTasks, runTasks, subscriptionTasks, type Task } from "./waiting";

const SHOWN = 6;

const LOOKS: Record<Task["kind"], { icon: ComponentType<IconProps>; action: string; what: string }> = {
  approval: { icon: IconHandStop, action: "Decide", what: "Waits for your decision" },
  budget: { icon: IconCoins, action: "Add credits", what: "Waits for more credits" },
  api_calls: { icon: IconWorldPause, action: "Look", what: "The calls of this month are used up" },
  payment: { icon: IconCreditCard, action: "Pay", what: "Payment" },
  subscription: { icon: IconCreditCard, action: "Pay", what: "Payment failed" },
};

export function WaitsForYou() {
  const open = useQuery(openRunsQuery);
  const purchases = useQuery(recentPurchasesQuery);
  const subscription = useQuery(subscriptionQuery);
  const tasks = [
    ...(subscription.data ? subscriptionTasks(subscription.data) : []),
    ...purchaseTasks(purchases.data?.purchases ?? []),
    ...runTasks(open.data?.runs ?? []),
  ];
  if (tasks.length === 0) return null;
  return (
    <section aria-label="Waits for you" className={classes.waits}>
      <Title order={2} mb="xs">
        Waits for you
      </Title>
      <ul className={classes.tasks}>
        {tasks.slice(0, SHOWN).map((task) => (
          <li key={task.id} className={classes.task}>
            <TaskRow task={task} />
          </li>
        ))}
      </ul>
      {tasks.length > SHOWN ? (
        <ButtonLink to="/runs" search={{ status: "waiting" }} variant="subtle" size="sm" mt="xs">
          {`${tasks.length - SHOWN} more`}
        </ButtonLink>
      ) : null}
    </section>
  );
}

function TaskRow({ task }: { task: Task }) {
  const { icon: Icon, what } = LOOKS[task.kind];
  return (
    <>
      <Icon size={22} aria-hidden className={classes.icon ?? ""} />
      <div className={classes.words}>
        <div>
          <strong>{task.title}</strong>{" "}
          <span className={classes.dim}>
            {what} · <Time value={task.since} />
          </span>
        </div>
        <div className={classes.text}>{task.text}</div>
      </div>
      <TaskLink task={task} />
    </>
  );
}

function TaskLink({ task }: { task: Task }) {
  const { action } = LOOKS[task.kind];
  const look = { size: "sm", variant: "light", "aria-label": `${action}: ${task.title}` } as const;
  if (task.kind === "payment") {
    return (
      <ButtonLink to="/credits" {...look}>
        {action}
      </ButtonLink>
    );
  }
  if (task.kind === "subscription") {
    return (
      <ButtonLink to="/subscription" {...look}>
        {action}
      </ButtonLink>
    );
  }
  return (
    <ButtonLink to="/runs/$runId" params={{ runId: task.id }} {...look}>
      {action}
    </ButtonLink>
  );
}
