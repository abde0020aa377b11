import { QueryClient } from "@tanstack/react-query";
import { afterEach, expect, it, vi } from "vitest";

import { balanceQuery, subscriptionQuery } from "@/api/queries";
import { RECENT_RUNS, runsQuery } from "@/api/runs";
import { viewersZone } from "@/ui/format";

import { monthQuery, openRunsQuery, recentPurchasesQuery } from "./queries";
import requests from "./requests.json";

afterEach(() => vi.unstubAllGlobals());

it("asks early for what the home screen reads, and for nothing else", async () => {
  const asked: string[] = [];
  vi.stubGlobal("fetch", (request: Request) => {
    const { pathname, search } = new URL(request.url);
    asked.push(`${pathname.replace(/^\/api/, "")}${search}`);
    return Promise.resolve(Response.json({ executions: [], nextCursor: null }));
  });
  const client = new QueryClient();
  await Promise.all([
    client.query(balanceQuery),
    client.query(monthQuery),
    client.query(runsQuery({ limit: RECENT_RUNS })),
    client.query(openRunsQuery),
    client.query(recentPurchasesQuery),
    client.query(subscriptionQuery),
  ]);
  const timezone = encodeURIComponent(viewersZone()); // written in by early.js
  expect(asked.toSorted()).toEqual(requests.map((one) => one.replace("{timezone}", timezone)).toSorted());
});
