// Models and the dashboard: what is in memory, how a download goes on, what the plots say.

import { after, test } from "node:test";
import assert from "node:assert/strict";
import { becomes, close, misdeeds, reads, until, visit } from "./browser.ts";

after(close);



test("models say what they are, are loaded, unloaded and deleted", async () => {
  const own = await visit();
  const { page, mock } = own;
  await page.getByRole("link", { name: "Models" }).click();
  const row = (name: string) => page.locator(`[data-model="${name}"]`);
  await row("droplet").getByText("In memory").waitFor();
  await reads(() => row("smollm2").textContent(), /Answering.*0\.99 GiB · 8,192 positions · chats · calls functions · 200 MiB of conversations/);
  await reads(() => row("minilm").textContent(), /On disk.*embeds/);
  await page.getByText("1.4 GiB of 8 GiB in use").waitFor();

  await page.getByRole("button", { name: "Load minilm into memory" }).click();
  await row("minilm").getByText("In memory").waitFor();
  await page.getByRole("button", { name: "Unload minilm from memory" }).click();
  await row("minilm").getByText("On disk").waitFor();

  mock.refuse.set("POST /v1/models/load", { status: 503, body: { error: { message: "weights needs 9 bytes; 1 are left of a budget of 8" } } });
  await page.getByRole("button", { name: "Load minilm into memory" }).click();
  await row("minilm").getByText("Weights needs 9 bytes; 1 are left of a budget of 8.").waitFor();

  await page.getByRole("button", { name: "Delete minilm" }).click();
  await page.getByRole("dialog", { name: "Delete the model minilm?" }).getByRole("button", { name: "Delete" }).click();
  await until(async () => (await page.locator("[data-model]").count()) === 2 || mock.models.length === 2, "the model to go");
  assert.ok(mock.asked.includes("DELETE /api/delete"));
  assert.deepEqual(misdeeds(own), []);
  await own.end();
});

test("a download shows how far it is, goes on elsewhere, and brings a model", async () => {
  const own = await visit();
  const { page, mock } = own;
  const total = 1_060_000_000;
  mock.pull = () => [
    { line: { status: "pulling manifest" } },
    ...Array.from({ length: 40 }, (_, n) => ({ line: { status: "downloading", digest: "sha256:aa", total, completed: (n * total) / 40 }, after: 40 })),
    { line: { status: "success" }, after: 20 },
  ];
  await page.getByRole("link", { name: "Models" }).click();
  await page.getByLabel("From where").fill("hf.co/owner/repo:Q4_K_M");
  await page.keyboard.press("Enter");
  const bar = page.getByRole("progressbar", { name: "Fetching hf.co/owner/repo:Q4_K_M" });
  await bar.waitFor();
  const seen = new Set<number>();
  await until(async () => {
    seen.add(Number(await bar.getAttribute("value")));
    return seen.size > 4;
  }, "the bar to move");
  await page.getByText(/MiB of 0\.99 GiB/).waitFor();
  await page.getByRole("link", { name: "Chat" }).click();
  await page.getByRole("link", { name: "Models" }).click();
  await page.getByText("It is here.").waitFor();
  await page.locator('[data-model="hf.co/owner/repo:Q4_K_M"]').waitFor();
  assert.deepEqual(mock.bodies.at(-1)?.body, { model: "hf.co/owner/repo:Q4_K_M", stream: true });
  await page.getByRole("button", { name: "Dismiss" }).click();
  await becomes(() => page.locator(".pull").count(), 0);
  assert.deepEqual(misdeeds(own), []);
  await own.end();
});

test("a download that fails says why, and one that is stopped is left", async () => {
  const own = await visit();
  const { page, mock } = own;
  mock.pull = (model) =>
    model === "bad"
      ? [{ line: { status: "pulling" } }, { line: { error: "the digest is not the one that was given" } }]
      : model === "cut"
        ? [{ line: { status: "downloading", total: 10, completed: 5 } }]
        : Array.from({ length: 100 }, (_, n) => ({ line: { status: "downloading", total: 100, completed: n }, after: 30 }));
  await page.getByRole("link", { name: "Models" }).click();
  const fetch = async (name: string) => {
    await page.getByLabel("From where").fill(name);
    await page.getByRole("button", { name: "Fetch", exact: true }).click();
  };
  await fetch("bad");
  await page.getByText("The digest is not the one that was given.").waitFor();
  await fetch("cut");
  await page.locator(".pull", { hasText: "cut" }).getByText("The service does not answer.").waitFor();
  await fetch("slow");
  await page.getByRole("progressbar").waitFor();
  await page.locator(".pull", { hasText: "slow" }).getByRole("button", { name: "Stop" }).click();
  await page.getByText("Stopped. What has arrived is kept for the next try.").waitFor();
  await until(() => mock.left === 1, "the service to notice");
  await own.end();
});

test("the dashboard draws what the service tells, and gaps where it told nothing", async () => {
  const own = await visit();
  const { page, mock } = own;
  const still = mock.status;
  let n = 0;
  mock.status = () => {
    n += 1;
    const status = still();
    return { ...status, tokens_per_s: n * 10, models: (status["models"] as object[]).map((model, at) => (at === 0 ? { ...model, running: { page: 1, mail: 2 }, waiting: { mail: 3 } } : model)) };
  };
  await page.clock.install();
  await page.evaluate(() => (location.hash = "#/dashboard"));
  const figures = page.locator(".figure");
  await until(async () => (await figures.first().textContent()) === "10", "the first look");
  const step = async () => {
    const before = mock.asked.length;
    await page.clock.runFor(2_000);
    await until(() => mock.asked.length > before, "another look");
  };
  for (let at = 0; at < 4; at += 1) await step();
  await until(async () => (await figures.first().textContent()) === "50", "the fifth look");
  await becomes(() => figures.allTextContents(), ["50", "120 ms", "17%", "6"]);
  const rate = page.getByRole("img", { name: "Tokens per second: 50" });
  const line = async () => (await rate.locator(".line").getAttribute("d")) ?? "";
  await becomes(async () => (await line()).match(/L/g)?.length, 4, "five looks are a line of four parts");
  await page.getByRole("img", { name: "Time to first token: half within 120 ms, 99 in 100 within 610 ms" }).waitFor();
  await page.getByRole("img", { name: /Memory against the budget: 1\.4 GiB of 8 GiB in use \(17% of the budget\)/ }).waitFor();
  await page.getByRole("img", { name: "mail: 2 answering, 3 waiting" }).waitFor();
  await page.locator(".legend").getByText("Weights of smollm2 · 0.99 GiB").waitFor();

  mock.refuse.set("GET /v1/status", { status: 500, body: { error: { message: "internal error: x" } } });
  await step();
  await page.getByRole("alert").getByText("Internal error: x.").waitFor();
  mock.refuse.clear();
  await step();
  await until(async () => (await figures.first().textContent()) === "60", "the look after the gap");
  const after = page.getByRole("img", { name: "Tokens per second: 60" });
  await becomes(async () => ((await after.locator(".line").getAttribute("d")) ?? "").match(/M/g)?.length, 2, "a gap parts the line");
  await becomes(() => page.getByRole("alert").count(), 0);

  await page.getByText("As a table").click();
  await becomes(() => page.locator("details tbody tr").count(), 7);
  assert.deepEqual(misdeeds(own), []);
  await own.end();
});

test("a service that tells little breaks nothing", async () => {
  const own = await visit({ prepare: (mock) => (mock.status = () => ({ version: "x", models: [{ name: "m" }, null, 3], latency: { queue_s: null }, memory: "?" })) });
  const { page } = own;
  await page.getByRole("link", { name: "Dashboard" }).click();
  await page.getByText("Nobody is asking now.").waitFor();
  await reads(() => page.locator(".board").textContent(), /no measurement yet/);
  await page.getByRole("link", { name: "Models" }).click();
  await page.locator('[data-model="smollm2"]').waitFor();
  assert.deepEqual(misdeeds(own), []);
  await own.end();
});

test("nobody is asked while nobody looks", async () => {
  const own = await visit();
  const { page, mock } = own;
  await page.getByRole("link", { name: "Dashboard" }).click();
  await page.locator(".plot svg").first().waitFor();
  await page.getByRole("link", { name: "Chat" }).click();
  await page.getByText("What shall it be?").waitFor();
  const before = mock.asked.filter((path) => path.endsWith("status")).length;
  await page.waitForTimeout(2_600);
  assert.equal(mock.asked.filter((path) => path.endsWith("status")).length, before);
  await own.end();
});
