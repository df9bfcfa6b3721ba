// Conversations as a person has them: an answer comes, is stopped, is forked, is deleted, breaks off.

import { after, test } from "node:test";
import assert from "node:assert/strict";
import { becomes, close, misdeeds, reads, say, until, visit } from "./browser.ts";
import { type Piece, TOKEN, words } from "./mock.ts";

after(close);

const field = "textarea#message";

test("an answer streams in as Markdown and is kept", async () => {
  const own = await visit();
  const { page, mock } = own;
  mock.answer = () => [{ event: "comment" }, ...words("Some **bold** ", 150), ...words("words\n\n- one\n- two", 150)];
  await say(page, "Hello there");
  await page.locator(".turn.user", { hasText: "Hello there" }).waitFor();
  await page.locator(".turn.assistant[data-open]").waitFor();
  // It is seen before it is complete.
  await until(async () => /Some/.test((await page.locator(".prose").textContent()) ?? "") && (await page.locator(".turn[data-open]").count()) === 1, "the first words");
  await page.getByText("tokens/s").waitFor();
  await becomes(() => page.locator(".prose strong").textContent(), "bold");
  await becomes(() => page.locator(".prose li").count(), 2);
  await reads(() => page.locator(".cost").textContent(), /20 tokens · 40 tokens\/s · first after 120 ms · 4 known from before/);
  const asked = mock.bodies.filter(({ path }) => path.endsWith("/answers"));
  assert.deepEqual(asked[0]?.body, { messages: [{ role: "user", content: "Hello there" }], stream: true });
  assert.match(page.url(), /#\/chat\/s1-/);
  // What the service keeps is what a reload shows.
  await page.reload();
  await page.locator(".turn.assistant strong", { hasText: "bold" }).waitFor();
  await page.locator(".sessions .title", { hasText: "Hello there" }).waitFor();
  assert.deepEqual(misdeeds(own), []);
  await own.end();
});

test("Enter sends, Shift+Enter begins a line, and composing a word sends nothing", async () => {
  const own = await visit();
  const { page, mock } = own;
  const box = page.locator(field);
  await box.fill("one");
  await page.keyboard.press("Shift+Enter");
  await page.keyboard.type("two");
  await becomes(() => box.inputValue(), "one\ntwo");
  await box.evaluate((element) => element.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", isComposing: true, bubbles: true, cancelable: true })));
  await becomes(() => box.inputValue(), "one\ntwo");
  assert.equal(mock.sessions.length, 0);
  await page.keyboard.press("Enter");
  await page.locator(".said", { hasText: "one\ntwo" }).waitFor();
  await becomes(() => box.inputValue(), "");
  // Nothing but blanks is no message.
  await page.getByText("tokens/s").waitFor();
  await box.fill("   \n ");
  await page.keyboard.press("Enter");
  await page.waitForTimeout(100);
  await becomes(() => page.locator(".turn.user").count(), 1);
  await own.end();
});

test("Esc and the button stop an answer, and the service notices", async () => {
  const own = await visit();
  const { page, mock } = own;
  mock.answer = () => words("word ".repeat(400), 25);
  for (const [n, stop] of [() => page.keyboard.press("Escape"), () => page.getByRole("button", { name: "Stop", exact: true }).click()].entries()) {
    await say(page, `go on ${n}`);
    await until(async () => /word word/.test((await page.locator(".turn").last().textContent()) ?? ""), "some words");
    await stop();
    await page.getByRole("button", { name: "Send", exact: true }).waitFor();
    await until(() => mock.left === n + 1, "the service to notice");
    // The mock keeps nothing of an answer that was left: the page says so.
    await page.getByText("You stopped here. The service did not keep this part.").nth(n === 0 ? 0 : -1).waitFor();
    await reads(() => page.locator(".turn").last().textContent(), /word word/);
  }
  await becomes(() => page.locator(".notice").count(), 0);
  assert.deepEqual(misdeeds(own), []);
  await own.end();
});

test("a stop that the service kept is shown as it was kept", async () => {
  const own = await visit();
  const { page, mock } = own;
  mock.answer = (_, session) => {
    setTimeout(() => session.messages.push({ role: "assistant", content: "the kept part" }), 400);
    return words("word ".repeat(200), 20);
  };
  await say(page, "go on");
  await page.locator(".prose", { hasText: "word" }).waitFor();
  await page.keyboard.press("Escape");
  await page.locator(".turn.assistant", { hasText: "the kept part" }).waitFor();
  await becomes(() => page.getByText("did not keep").count(), 0);
  await own.end();
});

test("who goes on at once after a stop loses nothing, and forks where it is said", async () => {
  const own = await visit();
  const { page, mock } = own;
  mock.answer = () => words("word ".repeat(300), 20);
  await say(page, "Long");
  await page.locator(".prose", { hasText: "word" }).waitFor();
  await page.keyboard.press("Escape");
  mock.answer = () => words("Short answer.");
  await say(page, "Next");
  await page.locator(".prose", { hasText: "Short answer." }).waitFor();
  await page.getByText("tokens/s").waitFor();
  await page.waitForTimeout(800);
  await page.locator(".prose", { hasText: "Short answer." }).waitFor();
  const next = page.locator(".turn.user", { hasText: "Next" });
  await next.hover();
  await next.getByRole("button", { name: "Fork from here" }).click();
  await until(() => mock.sessions.length === 2, "the fork");
  assert.deepEqual(mock.sessions[0]?.messages.map((message) => message["content"]), ["Long", "Next"]);
  await own.end();
});

test("a stop before the first word, and before the service has said that it took the message", async () => {
  for (const heard of [true, false]) {
    const own = await visit();
    const { page, mock } = own;
    mock.answer = () => [{ event: "text", data: { text: "late" }, after: 60_000 }];
    mock.silent = !heard;
    await say(page, "Wait for it");
    await until(() => mock.asked.some((path) => path.endsWith("/answers")), "the request");
    await page.getByText("Waiting for the first word").waitFor();
    await page.keyboard.press("Escape");
    await page.getByRole("button", { name: "Send", exact: true }).waitFor();
    // The service has it, so the page shows it, and the field does not offer it again.
    await page.locator(".turn.user", { hasText: "Wait for it" }).waitFor();
    await becomes(() => page.locator(field).inputValue(), "");
    await own.end();
  }
});

test("a message that arrived though nobody said so is not sent twice", async () => {
  const own = await visit();
  const { page, mock } = own;
  await say(page, "First");
  await page.getByText("tokens/s").waitFor();
  // The request arrives; its answer and everything after it do not.
  mock.silent = true;
  await page.route("**/messages", (route) => route.abort());
  await page.route("**/answers", async (route) => {
    const request = route.request();
    const sent = fetch(request.url(), { method: "POST", headers: { authorization: `Bearer ${TOKEN}` }, body: request.postData() });
    sent.catch(() => {});
    await until(() => mock.sessions[0]?.messages.length === 3, "the message to arrive");
    await route.abort();
  });
  await say(page, "Second");
  await page.getByText("Not sent. Your text is in the field below.").waitFor();
  await becomes(() => page.locator(field).inputValue(), "Second");
  mock.silent = false;
  await page.unroute("**/messages");
  await page.unroute("**/answers");
  await page.getByRole("button", { name: "Try again" }).click();
  await page.locator(".prose", { hasText: "You said: Second" }).waitFor();
  await until(() => mock.sessions.length === 1, "one session is left");
  assert.deepEqual(mock.sessions[0]?.messages.map((message) => message["content"]), ["First", "You said: First", "Second", "You said: Second"]);
  await becomes(() => page.locator(field).inputValue(), "");
  await own.end();
});

test("conversations are listed, opened, forked from a message and deleted", async () => {
  const own = await visit({
    prepare: (mock) => {
      mock.keep([{ role: "user", content: "First question" }, { role: "assistant", content: "First answer" }, { role: "user", content: "Second question" }, { role: "assistant", content: "Second answer" }]);
      mock.keep([{ role: "system", content: "Be brief" }, { role: "user", content: "Named" }, { role: "assistant", content: "" , tool_calls: [{ id: "c", type: "function", function: { name: "torch", arguments: '{"on":true}' } }] }, { role: "tool", content: "done", tool_call_id: "c" }], { name: "notes" });
    },
  });
  const { page, mock } = own;
  const rows = page.locator(".sessions li");
  await page.getByText("First question").waitFor();
  await becomes(() => rows.count(), 2);
  await page.getByRole("link", { name: /notes/ }).click();
  await page.locator(".call", { hasText: "torch" }).waitFor();
  await page.locator(".turn.system", { hasText: "Be brief" }).waitFor();
  await page.locator(".turn.tool", { hasText: "done" }).waitFor();

  await page.getByRole("link", { name: /First question/ }).click();
  await page.locator(".prose", { hasText: "Second answer" }).waitFor();
  const answer = page.locator(".turn", { hasText: "First answer" });
  await answer.hover();
  await answer.getByRole("button", { name: "Fork from here" }).click();
  await until(async () => (await rows.count()) === 3, "the fork");
  await until(async () => (await page.locator(".turn").count()) === 2, "its two messages");
  assert.deepEqual(mock.sessions[0]?.forked_from, ["s1-0123456789abcdef", 2]);

  await say(page, "Another way");
  await page.locator(".prose", { hasText: "You said: Another way" }).waitFor();
  await page.getByText("tokens/s").waitFor();
  assert.equal(mock.sessions.find((session) => session.id.startsWith("s1"))?.messages.length, 4, "the first one is as it was");

  const here = page.locator(".sessions li.here");
  await here.getByRole("button", { name: /^Delete/ }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Cancel" }).click();
  assert.equal(mock.sessions.length, 3);
  await here.getByRole("button", { name: /^Delete/ }).click();
  await page.keyboard.press("Escape");
  assert.equal(mock.sessions.length, 3);
  await here.getByRole("button", { name: /^Delete/ }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await until(() => mock.sessions.length === 2, "the service's part");
  await until(async () => (await rows.count()) === 2, "the list's part");
  await page.getByText("What shall it be?").waitFor();
  assert.deepEqual(misdeeds(own), []);
  await own.end();
});

test("a conversation begins with the chosen model, rules and instructions", async () => {
  const own = await visit();
  const { page, mock } = own;
  const models = page.getByLabel("Model", { exact: true });
  await models.waitFor();
  await becomes(() => models.locator("option").allTextContents(), ["smollm2", "droplet"], "what embeds does not chat");
  await models.selectOption("droplet");
  await page.getByText("Turn on the flashlight").waitFor();
  await page.getByText("Options").click();
  await page.getByLabel("Instructions to the model").fill("Answer in rhymes");
  await page.getByLabel("When the conversation outgrows the model").selectOption("anchored");
  await say(page, "Hi");
  await page.getByText("tokens/s").waitFor();
  assert.deepEqual(mock.bodies[0]?.body, { model: "droplet", overflow: "anchored", messages: [{ role: "system", content: "Answer in rhymes" }] });
  await becomes(() => page.locator(".turn").evaluateAll((all) => all.map((turn) => turn.className)), ["turn system", "turn user", "turn assistant"]);
  await page.locator(".rules", { hasText: "droplet" }).waitFor();
  await own.end();
});

test("calls are cards with a name, arguments and a way to copy", async () => {
  const own = await visit({ permissions: ["clipboard-read", "clipboard-write"] });
  const { page, mock } = own;
  const call = { id: "c1", name: "set_alarm", arguments: { time: "06:45", days: ["mon", "tue"], loud: true } };
  mock.answer = () => [{ event: "call", data: call }];
  await say(page, "Wake me");
  const card = page.getByRole("region", { name: "Function call: set_alarm" });
  await card.waitFor();
  await becomes(() => card.locator("dt").allTextContents(), ["time", "days", "loud"]);
  await becomes(() => card.locator("dd").allTextContents(), ["06:45", '["mon","tue"]', "true"]);
  await card.getByText("An app would run this. Nothing was run here.").waitFor();
  await card.getByRole("button", { name: "Copy the call as JSON" }).click();
  await card.getByText("Copied").waitFor();
  const copied: unknown = JSON.parse(await page.evaluate(() => navigator.clipboard.readText()));
  assert.deepEqual(copied, { name: call.name, arguments: call.arguments });
  await own.end();
});

test("what ended an answer, and what was left out of it, is said", async () => {
  const own = await visit();
  const { page, mock } = own;
  mock.answer = () => [...words("a b c"), { event: "finished", data: { finish_reason: "length", usage: { completion_tokens: 3, dropped_tokens: 1234, decode_s: 1 } } }];
  await say(page, "Go");
  await page.getByText("The answer ended at the limit of its length.").waitFor();
  await page.getByText("1,234 tokens of earlier turns were left out.").waitFor();
  await own.end();
});

test("what cannot be sent is in the field again, and is sent by a retry", async () => {
  const own = await visit();
  const { page, mock } = own;
  await page.getByText("What shall it be?").waitFor();
  mock.refuse.set("POST /v1/sessions", { status: 507, body: { error: { message: "the disk: no space left", type: "error" } } });
  await say(page, "Precious words");
  await page.getByRole("alert").getByText("Not sent. Your text is in the field below. The disk: no space left.").waitFor();
  await becomes(() => page.locator(field).inputValue(), "Precious words");
  await becomes(() => page.locator(".turn").count(), 0);
  mock.refuse.clear();
  await page.getByRole("button", { name: "Try again" }).click();
  await page.locator(".prose", { hasText: "You said: Precious words" }).waitFor();
  await page.getByText("tokens/s").waitFor();
  await becomes(() => page.locator(field).inputValue(), "");
  await becomes(() => page.getByRole("alert").count(), 0);
  assert.equal(mock.sessions.length, 1);
  await own.end();
});

test("a busy service says when to come back", async () => {
  const own = await visit();
  const { page, mock } = own;
  await page.getByText("What shall it be?").waitFor();
  mock.refuse.set("POST /v1/sessions", { status: 429, body: { error: { message: "queue of app page is reached (32); try again in 7 s" } }, headers: { "retry-after": "7" } });
  await say(page, "Hi");
  await page.getByText("The service is busy; try again in 7 s. Queue of app page is reached (32)").waitFor();
  await own.end();
});

test("an answer that breaks off is asked again, and nothing is said twice", async () => {
  const own = await visit();
  const { page, mock } = own;
  let times = 0;
  const endings: Piece[] = [{ event: "break", after: 100 }, { event: "failed", after: 100, data: { error: { message: "internal error: worker" } } }];
  mock.answer = (text) => {
    const ending = endings[times];
    times += 1;
    return ending ? [...words("Half of an "), ending] : words(`Whole answer to ${text}`);
  };
  await say(page, "Question");
  await page.getByText("The answer broke off. The service does not answer.").waitFor();
  await reads(() => page.locator(".turn.assistant").textContent(), /Half of an/);
  // The connection is there: only this answer broke.
  await page.getByRole("button", { name: "Try again" }).click();
  await page.getByText("The answer broke off. Internal error: worker.").waitFor();
  await page.getByRole("button", { name: "Try again" }).click();
  await page.locator(".prose", { hasText: "Whole answer to Question" }).waitFor();
  await page.getByText("tokens/s").waitFor();
  await becomes(() => page.locator(".turn").count(), 2);
  await until(() => mock.sessions.length === 1, "one session is left");
  assert.deepEqual(mock.sessions[0]?.messages.map((message) => message["role"]), ["user", "assistant"]);
  assert.ok(page.url().endsWith(mock.sessions[0]?.id ?? "?"));
  await own.end();
});

test("drafts outlive a reload, each in its own conversation", async () => {
  const own = await visit({ prepare: (mock) => void mock.keep([{ role: "user", content: "Old one" }, { role: "assistant", content: "Yes" }]) });
  const { page } = own;
  await page.locator(field).fill("a new thought");
  await page.getByRole("link", { name: /Old one/ }).click();
  await page.locator(".prose", { hasText: "Yes" }).waitFor();
  await becomes(() => page.locator(field).inputValue(), "");
  await page.locator(field).fill("an answer to it");
  await page.reload();
  await page.locator(".prose", { hasText: "Yes" }).waitFor();
  await becomes(() => page.locator(field).inputValue(), "an answer to it");
  await page.getByRole("link", { name: "New conversation" }).first().click();
  await becomes(() => page.locator(field).inputValue(), "a new thought");
  await own.end();
});

test("what was sent and not taken outlives a reload", async () => {
  const own = await visit();
  const { page } = own;
  await page.getByText("What shall it be?").waitFor();
  // A service that takes the request and says nothing.
  await page.route("**/v1/sessions", (route) => (route.request().method() === "POST" ? undefined : route.continue()));
  await say(page, "Do not lose me");
  await page.locator(".turn.user").waitFor();
  await page.reload();
  await page.getByText("What shall it be?").waitFor();
  await becomes(() => page.locator(field).inputValue(), "Do not lose me");
  await own.end();
});

test("an answer goes on while something else is shown", async () => {
  const own = await visit();
  const { page, mock } = own;
  mock.answer = () => words("word ".repeat(20), 40);
  await say(page, "Go on");
  await page.locator(".turn.assistant[data-open]").waitFor();
  await page.getByRole("link", { name: "Dashboard" }).click();
  await page.getByRole("heading", { name: "Dashboard", level: 1 }).waitFor();
  await page.getByRole("link", { name: /Go on/ }).click();
  await page.getByText("tokens/s").waitFor();
  await becomes(async () => ((await page.locator(".prose").textContent()) ?? "").match(/word/g)?.length, 20);
  assert.equal(mock.left, 0);
  await own.end();
});

test("a conversation that is gone says so", async () => {
  const own = await visit();
  const { page } = own;
  await page.evaluate(() => (location.hash = "#/chat/none"));
  await page.getByRole("alert").getByText("This conversation is not there any more. There is no such session.").waitFor();
  await own.end();
});
