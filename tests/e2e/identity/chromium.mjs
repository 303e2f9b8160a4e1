#!/usr/bin/env node
// The hands of a real browser: `node chromium.mjs EXECUTABLE` takes one command per line from stdin and answers each with
// one line, in order: { "tab": 0, "do": "goto", "with": ["https://…"] } -> { "ok": … } or { "error": "…" }.
// A tab that does not exist yet is opened. The commands are the functions below. It ends when stdin does.
import { createInterface } from 'node:readline';
import { load } from './modules.mjs';

const { chromium } = (await load('playwright-core')).default;
const PATIENCE = 15_000;

const browser = await chromium.launch({
  executablePath: process.argv[2],
  args: [
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
    '--host-resolver-rules=MAP *.localhost 127.0.0.1',
  ],
});
const context = await browser.newContext({ ignoreHTTPSErrors: true, locale: 'en-GB' });
const tabs = new Map();
const said = new Map();

async function tab(name) {
  if (!tabs.has(name)) {
    const page = await context.newPage();
    page.setDefaultTimeout(PATIENCE);
    said.set(name, []);
    page.on('console', (message) => said.get(name).push(`${message.type()}: ${message.text()}`));
    page.on('pageerror', (error) => said.get(name).push(`error: ${error.message}`));
    tabs.set(name, page);
  }
  return tabs.get(name);
}

const commands = {
  /** Types a URL: the last answer's status. */
  goto: async (page, url) => (await page.goto(url))?.status() ?? 0,
  /** Goes back as the button does, also to a page that the browser kept. */
  back: async (page) => (await page.goBack())?.status() ?? 0,
  reload: async (page) => (await page.reload())?.status() ?? 0,
  /** Clicks what people would call a button, and waits for where it leads. */
  click: async (page, words) => {
    await page.locator('a, button', { hasText: words }).first().click();
    await page.waitForLoadState();
    return null;
  },
  fill: (page, label, text) => page.getByLabel(label).fill(text),
  url: (page) => page.url(),
  title: (page) => page.title(),
  text: (page) => page.locator('body').innerText(),
  heading: (page) => page.locator('h1').innerText(),
  /** Waits until it is at a URL that begins so. */
  arrive: async (page, begin) => {
    await page.waitForURL((url) => url.href.startsWith(begin));
    return page.url();
  },
  /** Runs a function's text in the page. */
  run: (page, script, given) => page.evaluate(`(${script})(${JSON.stringify(given ?? null)})`),
  window: (page, width, height) => page.setViewportSize({ width, height }),
  colours: (page, colorScheme) => page.emulateMedia({ colorScheme }),
  screenshot: async (page, path) => { await page.screenshot({ path }); return null; },
  close: async (page, name) => { await page.close(); tabs.delete(name); return null; },
  cookies: () => context.cookies(),
  set_cookies: (_, cookies) => context.addCookies(cookies),
  forget_cookies: () => context.clearCookies(),
  /** What the tab has said on its console so far, and forgets it. */
  said: (page, name) => said.get(name).splice(0),
  look: (page) => page.evaluate(look),
};

/** How the page looks: what a person needs on it, whether it fits, and the contrast of its texts (WCAG 2.1). */
function look() {
  const channels = (colour) => colour.match(/[\d.]+/g).map(Number);
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((c) => c / 255).map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const over = (front, back) => front.slice(0, 3).map((c, at) => c * (front[3] ?? 1) + back[at] * (1 - (front[3] ?? 1)));
  const behind = (element) => {
    const own = channels(getComputedStyle(element).backgroundColor);
    if ((own[3] ?? 1) === 1) return own;
    const base = element.parentElement
      ? behind(element.parentElement)
      : matchMedia('(prefers-color-scheme: dark)').matches ? [18, 18, 18] : [255, 255, 255];
    return over(own, base);
  };
  const faded = (element) => (element ? Number(getComputedStyle(element).opacity) * faded(element.parentElement) : 1);
  const contrasts = [...document.querySelectorAll('body *')]
    .filter((element) => [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim()))
    .map((element) => {
      const back = behind(element);
      const front = channels(getComputedStyle(element).color);
      const seen = over([...front.slice(0, 3), (front[3] ?? 1) * faded(element)], back);
      const [a, b] = [light(seen), light(back)].sort((x, y) => y - x);
      return { what: `<${element.localName}> ${element.textContent.trim().slice(0, 40)}`, contrast: (a + 0.05) / (b + 0.05) };
    });
  return {
    title: document.title,
    language: document.documentElement.lang,
    headings: [...document.querySelectorAll('h1')].map((heading) => heading.innerText),
    buttons: [...document.querySelectorAll('a, button')].map((button) => button.innerText),
    too_wide: document.documentElement.scrollWidth > innerWidth,
    dark: light(behind(document.body)) < 0.2,
    faint: contrasts.filter(({ contrast }) => contrast < 4.5),
  };
}

for await (const line of createInterface({ input: process.stdin })) {
  const { tab: name, do: command, with: given } = JSON.parse(line);
  try {
    const ok = await commands[command](await tab(name), ...given);
    console.log(JSON.stringify({ ok: ok ?? null }));
  } catch (error) {
    console.log(JSON.stringify({ error: error.message }));
  }
}
await browser.close();
