/** What waits for the person: questions of runs, runs without credits, payments that failed. */
import type { Schemas } from "@/api/client";
import type { Run } from "@/api/runs";

export interface Task {
  id: string;
  kind: "approval" | "budget" | "api_calls" | "payment" | "subscription";
  title: string;
  /** Why it waits, in a sentence. */
  text: string;
  since: string | null;
}

const FOR_PEOPLE = new Set(["approval", "budget", "api_calls"]);

/** Runs that go on when their owner does something, the oldest first. */
export function runTasks(runs: readonly Run[]): Task[] {
  return runs
    .filter(({ waitingFor }) => FOR_PEOPLE.has(String(waitingFor?.type)))
    .map((run) => ({
      id: run.id,
      kind: run.waitingFor?.type as "approval" | "budget" | "api_calls",
      title: run.workflowName,
      text: typeof run.waitingFor?.message === "string" ? run.waitingFor.message : "It waits for you.",
      since: run.startTime,
    }))
    .toReversed();
}

const SENTENCES: Partial<Record<Schemas["Purchase"]["status"], string>> = {
  requires_action: "Your bank asks you to confirm this payment.",
  failed: "This payment failed. It can still be paid.",
};

export function purchaseTasks(purchases: readonly Schemas["Purchase"][]): Task[] {
  return purchases.flatMap(({ id, status, credits, createdAt }) => {
    const text = SENTENCES[status];
    return text ? [{ id, kind: "payment", title: `${credits} credits`, text, since: createdAt }] : [];
  });
}

export function subscriptionTasks({ pastDueSince, tier }: Schemas["Current"]): Task[] {
  if (!pastDueSince) return [];
  const title = `Subscription ${tier}`;
  const text = "The last payment failed. Choose another payment method, or your plan ends.";
  return [{ id: "subscription", kind: "subscription", title, text, since: pastDueSince }];
}
