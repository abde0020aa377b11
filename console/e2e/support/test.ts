/** The `test` of all journeys: each comes from an address of its own, because sign-ups are limited by address. */
import { randomInt } from "node:crypto";

import { type BrowserContext, expect, test as base } from "@playwright/test";

import { enter } from "./accounts";

type State = Awaited<ReturnType<BrowserContext["storageState"]>>;

function anyAddress(): Record<string, string> {
  return { "X-Forwarded-For": ["10", randomInt(256), randomInt(256), randomInt(1, 255)].join(".") };
}

const test = base.extend<object, { sharedSession: State }>({
  extraHTTPHeaders: async ({}, provide) => {
    await provide(anyAddress());
  },
  sharedSession: [
    async ({ browser }, provide, { project }) => {
      const { baseURL } = project.use;
      const context = await browser.newContext({
        extraHTTPHeaders: anyAddress(),
        ...(baseURL ? { baseURL } : {}),
      });
      await enter(await context.newPage());
      await provide(await context.storageState());
      await context.close();
    },
    { scope: "worker" },
  ],
});

/** For journeys that only look: signed in as a verified user whom all of them share. */
const asSharedUser = test.extend({
  storageState: async ({ sharedSession }, provide) => {
    await provide(sharedSession);
  },
});

export { asSharedUser, expect, test };
