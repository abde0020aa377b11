/** The `test` of all journeys: each comes from an address of its own, because sign-ups are limited by address. */
import { randomInt } from "node:crypto";

import { test as base } from "@playwright/test";

export const test = base.extend({
  extraHTTPHeaders: async ({}, provide) => {
    const address = ["10", randomInt(256), randomInt(256), randomInt(1, 255)].join(".");
    await provide({ "X-Forwarded-For": address });
  },
});

export { expect } from "@playwright/test";
