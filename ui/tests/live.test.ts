// The page against a real daemon, where one is named: ONDINE_URL=http://127.0.0.1:11435 and
// ONDINE_TOKEN=$(ondine app add page). It begins a conversation with droplet, and takes it away again.

import { after, test } from "node:test";
import assert from "node:assert/strict";
import { close, open, until } from "./browser.ts";

after(close);

const [url, token] = [process.env["ONDINE_URL"], process.env["ONDINE_TOKEN"]];

test("against a real daemon", { skip: !url || !token ? "no ONDINE_URL and ONDINE_TOKEN" : false, timeout: 120_000 }, async () => {
  const context = await (await open()).newContext({ locale: "en-GB" });
  const page = await context.newPage();
  page.setDefaultTimeout(60_000);
  const elsewhere: string[] = [];
  const faults: string[] = [];
  context.on("request", (request) => request.url().startsWith(`${url}/`) || elsewhere.push(request.url()));
  page.on("pageerror", (error) => faults.push(error.message));
  page.on("console", (message) => message.type() === "error" && faults.push(message.text()));
  await page.goto(`${url}/#token=${token}`);
  await page.getByLabel("Model", { exact: true }).selectOption("droplet");
  await page.getByLabel("Message", { exact: true }).fill("Set an alarm for 6:45");
  await page.keyboard.press("Enter");
  await page.locator(".call").waitFor();
  await page.locator(".cost").waitFor();
  await page.reload();
  await page.locator(".call").waitFor();
  const rows = page.locator(".sessions li[data-id]");
  const before = await rows.count();
  await page.getByRole("button", { name: "Fork from here" }).last().click();
  await until(async () => (await rows.count()) === before + 1, "the fork", 10_000);
  for (const left of [before, before - 1]) {
    await rows.first().getByRole("button").click();
    await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
    await until(async () => (await rows.count()) === left, "the deletion", 10_000);
  }
  await page.getByRole("link", { name: "Models" }).click();
  await page.locator('[data-model="droplet"]').waitFor();
  await page.getByRole("link", { name: "Dashboard" }).click();
  await page.locator(".plot svg").first().waitFor();
  await page.locator(".legend").getByText("Weights of droplet").waitFor();
  assert.deepEqual(elsewhere, []);
  assert.deepEqual(faults, []);
  await context.close();
});
