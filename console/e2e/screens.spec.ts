/** Every screen passes axe and fits a phone; its pictures lie in build/screenshots. */
import { look } from "./support/looks";
import { asSharedUser, test } from "./support/test";

const FOR_STRANGERS = ["sign-in", "sign-up", "forgotten-password", "reset-password", "verify", "unsubscribe"];
const FOR_USERS = ["", "workflows", "runs", "templates", "credits", "subscription", "keys", "settings"];

for (const screen of FOR_STRANGERS) {
  test(`screen ${screen}`, async ({ page }) => {
    await page.goto(screen);
    await page.getByRole("heading", { level: 1 }).waitFor();
    await look(page, screen);
  });
}

for (const screen of FOR_USERS) {
  asSharedUser(`screen ${screen || "home"}`, async ({ page }) => {
    await page.goto(`./${screen}`);
    await page.getByRole("heading", { level: 1 }).waitFor();
    await look(page, screen || "home");
  });
}
