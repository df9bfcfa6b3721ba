// Takes pictures of the page, to be looked at: `npm run shots [FOLDER]`. It judges nothing.

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { type Wishes, close, say, visit } from "./browser.ts";
import { type Mock, words } from "./mock.ts";

const folder = process.argv[2] ?? "node_modules/.shots";
mkdirSync(folder, { recursive: true });

const ANSWER = `Unified memory means that the processor and the graphics unit **share one pool**. Nothing is copied between them.

| | Separate | Unified |
|---|---|---|
| Copies | two | one |
| Largest model | what the card holds | what the machine holds |

\`\`\`rust
let mut session = ondine::connect()?.session("notes")?;
println!("{}", session.say("Good morning")?);
\`\`\`

The limit is then bandwidth: each token reads every weight once.`;

const ANSWER_ZH = `统一内存是指处理器和图形单元**共用同一块内存**，彼此之间无需复制数据。

1. 模型只需占用一份空间；
2. 能容纳的模型更大；
3. 速度取决于内存带宽。`;

function history(mock: Mock, zh = false): void {
  const now = Math.floor(Date.now() / 1000);
  const rows = zh
    ? ["给妹妹写一封生日贺信", "为什么天空是蓝色的？", "把这段话翻译成英文"]
    : ["A birthday letter for my sister", "Why is the sky blue?", "Translate this paragraph into German"];
  rows.forEach((content, at) => {
    const messages = [{ role: "user", content }, { role: "assistant", content: "…" }];
    const session = mock.keep(messages, { updated_s: now - (rows.length - at) * 4000 });
    if (at === 1) session.forked_from = ["s0", 1];
  });
  mock.answer = (text) =>
    /torch|flash|wake/i.test(text)
      ? [{ event: "call", data: { id: "c1", name: "set_alarm", arguments: { time: "06:45", day: "tomorrow" } } }]
      : words(zh ? ANSWER_ZH : ANSWER);
}

/** Figures that move as a real service's do. */
function lively(mock: Mock): void {
  let step = 0;
  const still = mock.status;
  mock.status = () => {
    const status = still() as { memory: { used: number; budget: number }; tokens_per_s: number; latency: { first_token_s: { p50: number; p99: number } }; models: Record<string, unknown>[] };
    step += 1;
    const wave = Math.sin(step / 9) + Math.sin(step / 4.3) / 2;
    status.tokens_per_s = step % 70 < 12 ? 0 : 64 + 22 * wave;
    status.latency.first_token_s = { p50: 0.14 + 0.03 * wave, p99: 0.48 + 0.12 * Math.cos(step / 11) };
    status.memory.used = 1_450_000_000 + 500_000_000 * Math.min(1, step / 100) + 80_000_000 * wave;
    status.memory.budget = 2_600_000_000;
    Object.assign(status.models[0] ?? {}, { running: { page: 1, notes: 3, mail: 2 }, waiting: { mail: 4, indexer: 2 } });
    return status;
  };
}

async function shot(name: string, wishes: Wishes, prepare: (mock: Mock) => void, act: (page: Page) => Promise<void>): Promise<void> {
  const own = await visit({ viewport: { width: 1180, height: 760 }, ...wishes, prepare });
  await act(own.page);
  await own.page.waitForTimeout(400);
  await own.page.screenshot({ path: join(folder, `${name}.png`) });
  await own.end();
}

const talk = async (page: Page) => {
  await page.getByRole("main").getByRole("button", { name: "Explain unified memory in three sentences" }).click();
  await page.getByText("tokens/s").waitFor();
};
/** Five minutes in a moment: the clock of the page runs ahead. */
const watch = async (page: Page) => {
  await page.clock.install();
  await page.evaluate(() => (location.hash = "#/dashboard"));
  for (let n = 0; n < 152; n += 1) {
    const answered = page.waitForResponse((response) => response.url().endsWith("/v1/status"));
    await page.clock.runFor(2_000);
    await answered;
  }
};

await shot("chat-light", {}, history, talk);
await shot("chat-dark", { colorScheme: "dark" }, history, talk);
await shot("new-light", {}, history, async (page) => page.getByText("What shall it be?").waitFor());
await shot("phone", { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true, deviceScaleFactor: 2 }, history, talk);
await shot("phone-side", { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true, deviceScaleFactor: 2 }, history, async (page) => {
  await page.getByRole("button", { name: "Menu" }).click();
});
await shot("chinese", { locale: "zh-CN" }, (mock) => history(mock, true), async (page) => {
  await page.getByLabel("消息", { exact: true }).fill("用三句话解释统一内存");
  await page.keyboard.press("Enter");
  await page.getByText("词元/秒").waitFor();
});
await shot("calls", { colorScheme: "dark" }, history, async (page) => {
  await page.getByLabel("Model", { exact: true }).selectOption("droplet");
  await say(page, "Wake me at 6:45 tomorrow");
  await page.getByText("set_alarm").waitFor();
});
await shot("dashboard", { viewport: { width: 1180, height: 900 } }, lively, watch);
await shot("dashboard-dark", { viewport: { width: 1180, height: 900 }, colorScheme: "dark" }, lively, watch);
await shot("dashboard-phone", { viewport: { width: 360, height: 740 }, isMobile: true, deviceScaleFactor: 2 }, lively, watch);
await shot("models", {}, (mock) => {
  mock.loaded = new Set(["smollm2"]);
  mock.pull = () => Array.from({ length: 400 }, (_, n) => ({ line: { status: "downloading", total: 1_060_000_000, completed: n * 14_000_000 }, after: 60 }));
}, async (page) => {
  await page.evaluate(() => (location.hash = "#/models"));
  await page.getByLabel("From where").fill("hf:bartowski/SmolLM2-1.7B-Instruct-GGUF/Q4_K_M.gguf");
  await page.keyboard.press("Enter");
  await page.waitForTimeout(2_500);
});
await shot("door", { at: "/" }, () => {}, async (page) => page.getByLabel("Token", { exact: true }).waitFor());
await shot("lost", {}, history, async (page) => {
  await page.getByText("What shall it be?").waitFor();
  await page.route("**/v1/**", (route) => route.abort());
  await say(page, "Is anybody there?");
  await page.getByText("Not sent").waitFor();
});
await close();
