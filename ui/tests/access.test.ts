// Whoever uses it: by keyboard alone, with a screen reader, in the dark, on a narrow screen, in
// Chinese. axe-core looks at each view; what it cannot see is walked through by hand.

import { after, test } from "node:test";
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import type { Page } from "playwright-core";
import { becomes, close, misdeeds, say, until, visit, type Visit } from "./browser.ts";
import { type Mock, words } from "./mock.ts";

after(close);

const AXE = readFileSync("node_modules/axe-core/axe.min.js", "utf8");

interface Axe {
  run: (where: Document, options: object) => Promise<{ violations: { id: string; nodes: { html: string; failureSummary?: string }[] }[] }>;
}

/** What axe finds wrong with a view. */
async function complaints(page: Page): Promise<string[]> {
  await page.waitForTimeout(250);
  await page.evaluate(AXE);
  return page.evaluate(async () => {
    const { axe } = window as unknown as { axe: Axe };
    const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
    const { violations } = await axe.run(document, { runOnly: tags });
    return violations.flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.html.slice(0, 160)} ${node.failureSummary ?? ""}`));
  });
}

const MUCH = "# Title\n\nSome **text** with [a link](https://x.example) and `code`.\n\n```js\nlet x = 1;\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n- [x] done\n- [ ] open\n\n![p](https://x.example/p.png)\n\n> quoted";

function much(mock: Mock): void {
  mock.keep([{ role: "user", content: "An older one" }, { role: "assistant", content: "Yes" }]);
  mock.answer = () => [...words(MUCH), { event: "call", data: { id: "c", name: "torch", arguments: { on: true } } }];
}

async function walk(own: Visit, talk: (page: Page) => Promise<void>): Promise<[string, string[]][]> {
  const { page } = own;
  const found: [string, string[]][] = [["new", await complaints(page)]];
  await talk(page);
  await page.locator(".cost").waitFor();
  found.push(["chat", await complaints(page)]);
  for (const where of ["models", "dashboard"]) {
    await page.evaluate((hash) => (location.hash = hash), `#/${where}`);
    await page.locator(where === "models" ? "[data-model]" : ".plot svg").first().waitFor();
    found.push([where, await complaints(page)]);
  }
  return found;
}

for (const colorScheme of ["light", "dark"] as const) {
  test(`axe finds nothing wrong, ${colorScheme}`, { timeout: 120_000 }, async () => {
    const door = await visit({ at: "/", colorScheme });
    assert.deepEqual(await complaints(door.page), []);
    await door.end();
    const own = await visit({ colorScheme, prepare: much });
    for (const [where, found] of await walk(own, (page) => say(page, "Much"))) assert.deepEqual(found, [], where);
    await own.page.getByRole("button", { name: "Delete smollm2" }).or(own.page.locator(".sessions button").first()).first().focus();
    await own.page.keyboard.press("Enter");
    await own.page.getByRole("dialog").waitFor();
    assert.deepEqual(await complaints(own.page), [], "dialog");
    await own.end();
  });
}

test("everything is done by keyboard, and the focus is always seen", { timeout: 120_000 }, async () => {
  const own = await visit({ at: "/", prepare: (mock) => (mock.answer = () => words("word ".repeat(300), 20)) });
  const { page, mock } = own;
  const focus = () => page.evaluate(() => {
    const element = document.activeElement as HTMLElement | null;
    return (element?.getAttribute("aria-label") || element?.id || element?.textContent || "").trim();
  });
  /** Tab until `name` has the focus; everything on the way must show it. */
  const tab = async (name: RegExp, back = false) => {
    for (let n = 0; n < 60; n += 1) {
      await page.keyboard.press(back ? "Shift+Tab" : "Tab");
      const seen = await page.evaluate(() => {
        const element = document.activeElement;
        if (!element || element === document.body) return true;
        const shows = (own: Element | null) => own !== null && (getComputedStyle(own).outlineStyle !== "none" || getComputedStyle(own).boxShadow !== "none");
        return shows(element) || shows(element.closest("label")) || shows(element.closest(".field"));
      });
      assert.ok(seen, `the focus on «${await focus()}» is not seen`);
      if (name.test(await focus())) return;
    }
    throw new Error(`no way by Tab to ${name}`);
  };
  // The door: the field has the focus already.
  await page.keyboard.type("token-of-the-page");
  await page.keyboard.press("Enter");
  await page.getByText("What shall it be?").waitFor();
  await becomes(() => focus(), "Message");
  // The first stop of the page leads past the side.
  await page.evaluate(() => (document.activeElement as HTMLElement).blur());
  await page.keyboard.press("Tab");
  await tab(/Skip to the content/, true).catch(() => tab(/Skip to the content/));
  await page.keyboard.press("Enter");
  await becomes(() => page.evaluate(() => document.activeElement?.id), "main");
  await tab(/^Message$/);
  // Say, stop, say again.
  await page.keyboard.type("Go on");
  await page.keyboard.press("Enter");
  await until(async () => /word/.test((await page.locator(".prose").textContent()) ?? ""), "words");
  await page.keyboard.press("Escape");
  await page.getByRole("button", { name: "Send", exact: true }).waitFor();
  await becomes(() => focus(), "Message", "the focus stays where one types");
  mock.answer = () => words("Short.");
  await page.keyboard.type("Shorter");
  await page.keyboard.press("Enter");
  await page.getByText("tokens/s").waitFor();
  // Fork from the last answer, and delete the fork.
  await tab(/^Fork from here$/, true);
  await page.keyboard.press("Enter");
  await until(() => mock.sessions.length === 2, "the fork");
  await tab(/^Delete /, true);
  await page.keyboard.press("Enter");
  await page.getByRole("dialog").waitFor();
  await becomes(() => focus(), "Cancel", "the harmless answer comes first");
  await tab(/^Delete$/);
  await page.keyboard.press("Enter");
  await until(() => mock.sessions.length === 1, "the deletion");
  // The other views.
  await tab(/^Models$/, true);
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Models", level: 1 }).waitFor();
  await until(async () => (await focus()) === "Models", "the heading to have the focus");
  await tab(/^source$/);
  await page.keyboard.type("some-model");
  await page.keyboard.press("Enter");
  await page.getByText("It is here.").waitFor();
  await tab(/^Dashboard$/, true);
  await page.keyboard.press("Enter");
  await page.locator(".plot svg").first().waitFor();
  assert.deepEqual(misdeeds(own), []);
  await own.end();
});

test("a screen reader hears sentences as they are complete, and the end", async () => {
  const own = await visit();
  const { page, mock } = own;
  mock.answer = () => words("The first **sentence** is here. The second one follows! Version 1.5 is the third. 中文也好。最后一句", 15);
  await page.evaluate(() => {
    const heard: string[] = [];
    (window as unknown as { heard: string[] }).heard = heard;
    new MutationObserver(() => {
      const text = document.querySelector(".chat [role=status]")?.textContent;
      if (text && heard.at(-1) !== text) heard.push(text);
    }).observe(document.body, { subtree: true, childList: true, characterData: true });
  });
  await becomes(() => page.locator(".chat [role=status]").getAttribute("aria-live"), "polite");
  await say(page, "Speak");
  await page.getByText("tokens/s").waitFor();
  const heard = await page.evaluate(() => (window as unknown as { heard: string[] }).heard);
  const all = heard.join(" ");
  for (const sentence of ["The first sentence is here.", "The second one follows!", "Version 1.5 is the third.", "中文也好。", "最后一句 The answer is complete"]) {
    assert.equal(all.split(sentence).length - 1, 1, `«${sentence}» once in ${JSON.stringify(heard)}`);
  }
  assert.ok(heard.length < 9, "sentences, not words");
  await own.end();
});

test("dark as the system is, and by the switch", async () => {
  const own = await visit({ colorScheme: "dark" });
  const { page } = own;
  const light = () => page.evaluate(() => {
    const [r = 0, g = 0, b = 0] = getComputedStyle(document.body).backgroundColor.match(/\d+/g)?.map(Number) ?? [];
    return r + g + b > 380;
  });
  await page.getByText("What shall it be?").waitFor();
  await becomes(() => light(), false);
  await page.getByLabel("Light").check({ force: true });
  await becomes(() => light(), true);
  await page.reload();
  await page.getByText("What shall it be?").waitFor();
  await becomes(() => light(), true, "the choice is kept");
  await page.getByLabel("As the system").check({ force: true });
  await becomes(() => light(), false);
  await own.end();
});

test("on a phone nothing hangs over, and the side is a drawer", { timeout: 120_000 }, async () => {
  const own = await visit({ viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true, prepare: much });
  const { page, mock } = own;
  const fits = async (where: string) => {
    const widths = await page.evaluate(() => [document.documentElement.scrollWidth, document.querySelector(".scroll, .page")?.scrollWidth ?? 0]);
    assert.ok(widths.every((width) => width <= 360), `${where}: ${widths.join()}`);
  };
  await fits("new");
  mock.answer = () => words(`${MUCH}\n\n${"unbroken".repeat(60)}\n\n\`${"code".repeat(90)}\`\n\n| ${"wide | ".repeat(20)}\n|${"---|".repeat(20)}\n| ${"cell | ".repeat(20)}`);
  await say(page, "Much");
  await page.locator(".cost").waitFor();
  await fits("chat");
  const side = page.locator("#side");
  await becomes(() => side.evaluate((element) => (element as HTMLElement).inert), true, "out of sight, out of reach");
  await page.getByRole("button", { name: "Menu" }).click();
  await until(() => side.evaluate((element) => !(element as HTMLElement).inert), "the drawer");
  await page.keyboard.press("Escape");
  await until(() => side.evaluate((element) => (element as HTMLElement).inert), "the drawer to close");
  for (const name of ["Models", "Dashboard"]) {
    await page.getByRole("button", { name: "Menu" }).click();
    await side.getByRole("link", { name }).click();
    await page.getByRole("heading", { name, level: 1 }).waitFor();
    await page.waitForTimeout(200);
    await fits(name);
  }
  assert.deepEqual(await complaints(page), []);
  const small = await page.locator("button:visible, select:visible").evaluateAll((all) => all.filter((one) => one.getBoundingClientRect().height < 24).length);
  assert.equal(small, 0, "nothing is too small for a finger");
  await own.end();
});

test("in Chinese by the browser's wish, and by the switch in both directions", async () => {
  const own = await visit({ locale: "zh-CN" });
  const { page, mock } = own;
  await page.getByText("想聊些什么？").waitFor();
  await becomes(() => page.evaluate(() => document.documentElement.lang), "zh-CN");
  await page.getByLabel("消息", { exact: true }).fill("你好");
  await page.keyboard.press("Enter");
  await page.getByText("词元/秒").waitFor();
  await page.getByRole("link", { name: "仪表盘" }).click();
  await page.getByRole("heading", { name: "每秒词元" }).waitFor();
  await page.getByRole("link", { name: "模型" }).click();
  await page.getByRole("button", { name: "从内存释放 droplet" }).waitFor();
  const english = await page.evaluate(() => document.body.innerText.match(/\b(Models|Dashboard|Chat|Load|Delete|memory|Conversations)\b/g));
  assert.equal(english, null);
  // The language changes in the middle of an answer, which goes on.
  mock.answer = () => words("word ".repeat(30), 30);
  await page.getByRole("link", { name: /你好/ }).click();
  await page.getByLabel("消息", { exact: true }).fill("再来");
  await page.keyboard.press("Enter");
  await page.locator(".turn[data-open]").waitFor();
  await page.getByLabel("语言").selectOption("en");
  await page.getByRole("link", { name: "Dashboard" }).waitFor();
  await page.getByText("tokens/s").first().waitFor();
  await until(async () => (await page.locator(".turn[data-open]").count()) === 0, "the end of the answer");
  assert.equal(mock.left, 0);
  await page.reload();
  await page.getByRole("link", { name: "Dashboard" }).waitFor();
  assert.deepEqual(misdeeds(own), []);
  await own.end();
});
