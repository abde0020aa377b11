/** Every screen passes axe and fits a phone; its pictures lie in build/screenshots. */
import { enter } from "./support/accounts";
import { look } from "./support/looks";
import { test } from "./support/test";

const FOR_STRANGERS = ["sign-in", "sign-up", "forgotten-password", "reset-password", "verify"];
const FOR_USERS = ["workflows", "runs", "templates", "credits", "subscription", "keys", "settings"];

for (const screen of FOR_STRANGERS) {
  test(`screen ${screen}`, async ({ page }) => {
    await page.goto(screen);
    await page.getByRole("heading", { level: 1 }).waitFor();
    await look(page, screen);
  });
}

test("screen home", async ({ page }) => {
  await enter(page);
  await page.getByRole("heading", { level: 1 }).waitFor();
  await look(page, "home");
});

for (const screen of FOR_USERS) {
  test(`screen ${screen}`, async ({ page }) => {
    await enter(page);
    await page.goto(screen);
    await page.getByRole("heading", { level: 1 }).waitFor();
    await look(page, screen);
  });
}
