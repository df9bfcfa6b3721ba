// The token, and a service that goes away and comes back.

import { after, test } from "node:test";
import assert from "node:assert/strict";
import { becomes, close, misdeeds, say, until, visit } from "./browser.ts";
import { TOKEN } from "./mock.ts";

after(close);

test("a token in the address is taken out of it at once and sent in a header alone", async () => {
  const own = await visit();
  const { page, requests } = own;
  await page.getByText("What shall it be?").waitFor();
  assert.ok(!page.url().includes(TOKEN), page.url());
  await page.goBack().catch(() => null);
  assert.ok(!page.url().includes(TOKEN), "not in the history either");
  assert.deepEqual(requests.filter((url) => url.includes(TOKEN)), []);
  assert.deepEqual(misdeeds(own), []);
  await own.end();
});

test("a token is asked for, kept in the tab, and forgotten when told", async () => {
  const own = await visit({ at: "/" });
  const { page, mock } = own;
  const field = page.getByLabel("Token", { exact: true });
  await page.getByText("ondine app add page").waitFor();
  assert.ok(!mock.asked.some((path) => path.includes("/v1/")), "nobody is asked without a token");
  await page.keyboard.press("Enter");
  await page.getByText("Paste the token first.").waitFor();
  await field.fill("two words");
  await page.keyboard.press("Enter");
  await page.getByText("A token has no spaces").waitFor();
  await field.fill("töken");
  await page.keyboard.press("Enter");
  await page.getByText("A token has no spaces").waitFor();
  await field.fill("wrong-token");
  await page.keyboard.press("Enter");
  await page.getByText("The service does not know this token. A new one is printed by: ondine app add page").waitFor();
  await field.fill(` ${TOKEN}\n`);
  await page.keyboard.press("Enter");
  await page.getByText("What shall it be?").waitFor();
  assert.equal(await page.evaluate(() => localStorage.getItem("ondine.token")), null, "not in the browser unless asked");
  await page.reload();
  await page.getByText("What shall it be?").waitFor();
  await page.getByRole("button", { name: "Forget the token" }).click();
  await field.waitFor();
  assert.equal(await page.evaluate(() => JSON.stringify([{ ...sessionStorage }, { ...localStorage }]).includes("token-of")), false);
  assert.deepEqual(misdeeds(own), []);
  await own.end();
});

test("a remembered token outlives the tab", async () => {
  const own = await visit({ at: "/" });
  const { page, mock } = own;
  await page.getByLabel("Token", { exact: true }).fill(TOKEN);
  await page.getByLabel("Remember it in this browser").check();
  await page.getByRole("button", { name: "Open" }).click();
  await page.getByText("What shall it be?").waitFor();
  const other = await page.context().newPage();
  await other.goto(mock.origin);
  await other.getByText("What shall it be?").waitFor();
  await own.end();
});

test("a token that is taken away in the middle is asked for again, and the text is kept", async () => {
  const own = await visit();
  const { page, mock } = own;
  await page.getByText("What shall it be?").waitFor();
  mock.tokens.clear();
  await say(page, "Half a thought");
  await page.getByText("The service does not know this token.").waitFor();
  mock.tokens.add("another-token");
  await page.getByLabel("Token", { exact: true }).fill("another-token");
  await page.keyboard.press("Enter");
  await page.getByText("What shall it be?").waitFor();
  await until(async () => (await page.locator("textarea#message").inputValue()) === "Half a thought", "the text");
  await own.end();
});

test("a lost connection is said, and mends itself", async () => {
  const own = await visit();
  const { page, mock } = own;
  await page.getByText("What shall it be?").waitFor();
  await mock.close();
  await say(page, "Is anybody there?");
  await page.getByText("Not sent. Your text is in the field below. The service does not answer.").waitFor();
  await page.getByText("Trying again by itself.").waitFor();
  await page.getByText("Not connected").waitFor();
  await mock.listen();
  await page.getByText("Connected again.").waitFor({ timeout: 12_000 });
  await page.getByText("Connected", { exact: true }).waitFor();
  await page.getByRole("button", { name: "Try again" }).click();
  await page.locator(".prose", { hasText: "You said: Is anybody there?" }).waitFor();
  await until(async () => (await page.locator(".lost").textContent()) === "", "the sentence to go");
  await own.end();
});

test("a page that is opened while nobody answers fills itself later", async () => {
  const own = await visit({ prepare: (mock) => void mock.keep([{ role: "user", content: "Kept one" }, { role: "assistant", content: "Yes" }]) });
  const { page, mock } = own;
  await page.getByText("Kept one").waitFor();
  // The page itself is in the browser's memory; the service is not there.
  await page.route("**/v1/**", (route) => route.abort());
  await page.route("**/health", (route) => route.abort());
  await page.evaluate((id) => (location.hash = `#/chat/${id}`), mock.sessions[0]?.id);
  await page.locator(".trouble").getByText("The service does not answer.").waitFor();
  await page.unroute("**/v1/**");
  await page.unroute("**/health");
  await page.getByRole("button", { name: "Try now" }).click();
  await page.locator(".prose", { hasText: "Yes" }).waitFor();
  await becomes(() => page.locator(".trouble .notice").count(), 0);
  await own.end();
});
