// Keeps the last display and its parts, so that a display stays useful while the collector is away. Of the pages behind
// the login only the staff's list is kept, for dead spots, and only until somebody logs out or the session is over.

const CACHE = "shelf-v6";
const STAFF = "staff-v1";
const WAIT_MS = 3000;
const STAFF_WAIT_MS = 2500;
const STAYS_DOWN_MS = 8000; // once nobody has answered, the parts of the page are not waited for one by one
const OFFLINE = "/offline";
const PARTS = ["style.css", "display.css", "live.js", "display.js", "filter.js", "fit.js", "columns.js", "look.js", "names.js", "trials.js", "rest.js", "prices.js", "my.js", "staff.js", "steps.js", "again.js", "icon.svg"].map((name) => `/static/${name}`);

let downUntil = 0;

// A new worker takes over only with all parts in its hands: the older cache goes with the older worker.
self.addEventListener("install", (event) => event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll([...PARTS, OFFLINE])).then(() => self.skipWaiting())));
self.addEventListener("activate", (event) => event.waitUntil(forgetOlder().then(() => self.clients.claim()).then(keepOpenPages)));

async function forgetOlder() {
  const old = (await caches.keys()).filter((name) => ![CACHE, STAFF].includes(name));
  await Promise.all(old.map((name) => caches.delete(name)));
}

// The page that installed us was loaded before us: fetch it once more, to have it.
async function keepOpenPages() {
  const cache = await caches.open(CACHE);
  const pages = (await self.clients.matchAll({ type: "window" })).map((client) => new URL(client.url));
  await Promise.allSettled(pages.filter(isKept).map((url) => cache.add(url.href)));
  await Promise.allSettled(pages.filter((url) => url.pathname === "/staff").map(async (url) => {
    await keepOffline(url);
    await keepStaff(url, await fetch(url.href));
  }));
}

function isKept(url) {
  if (url.origin !== self.location.origin) return false;
  return ["/static/", "/display/"].some((start) => url.pathname.startsWith(start));
}

function isBehindLogin(url) {
  return !["/my/", "/01/", "/welcome/", "/livez", "/readyz"].some((start) => url.pathname.startsWith(start));
}

self.addEventListener("fetch", (event) => {
  const url = new URL(event.request.url);
  if (url.origin !== self.location.origin) return;
  if (url.pathname === "/logout") event.waitUntil(caches.delete(STAFF));
  else if (event.request.method !== "GET") return;
  else if (event.request.mode === "navigate" && url.pathname === "/staff") event.respondWith(staffPage(event, url));
  else if (isKept(url)) event.respondWith(newestOrKept(event.request));
  else if (event.request.mode === "navigate" && isBehindLogin(url)) event.respondWith(fetch(event.request).catch((error) => offlinePage(url, error)));
});

async function newestOrKept(request) {
  const cache = await caches.open(CACHE);
  const kept = await cache.match(request);
  if (kept && Date.now() < downUntil && PARTS.includes(new URL(request.url).pathname)) return kept;
  try {
    const answer = await fetch(request, kept ? { signal: AbortSignal.timeout(WAIT_MS) } : {});
    if (answer.ok) await cache.put(request, answer.clone());
    return answer;
  } catch (error) {
    if (kept) return kept;
    // A display in another language is better than the browser's error page, which nobody at a shelf can leave.
    const other = request.mode === "navigate" && (await cache.match(request, { ignoreSearch: true }));
    if (other) return other;
    throw error;
  }
}

// -- the staff's list ---------------------------------------------------------------------------------------------------

// Newest first; the kept list only when nobody answers. An answer that leads elsewhere says that the session is over.
async function staffPage(event, url) {
  try {
    const answer = await fetch(event.request, { signal: AbortSignal.timeout(STAFF_WAIT_MS) });
    downUntil = 0;
    await keepStaff(url, answer);
    event.waitUntil(keepOffline(url).catch(() => {}));
    return answer;
  } catch (error) {
    downUntil = Date.now() + STAYS_DOWN_MS;
    return (await keptStaff(url)) ?? offlinePage(url, error);
  }
}

// The other pages of staff are nothing without the collector; whoever opens one in a dead spot is told so, in words.
const offlineKey = (url) => `${OFFLINE}?lang=${url.searchParams.get("lang") ?? ""}`;

async function keepOffline(url) {
  const cache = await caches.open(CACHE);
  if (url.searchParams.has("lang") && !(await cache.match(offlineKey(url)))) await cache.add(offlineKey(url));
}

async function offlinePage(url, error) {
  const cache = await caches.open(CACHE);
  const page = (await cache.match(offlineKey(url))) ?? (await cache.match(OFFLINE));
  if (!page) throw error;
  return page;
}

async function keepStaff(url, answer) {
  if (answer.ok && !answer.redirected) {
    const headers = new Headers(answer.headers);
    headers.set("X-Kept-At", String(Date.now()));
    await (await caches.open(STAFF)).put(staffKey(url), new Response(await answer.clone().blob(), { headers }));
  } else if (answer.type === "opaqueredirect" || answer.status === 401 || answer.redirected) await caches.delete(STAFF);
}

const staffKey = (url) => (url.searchParams.get("view") === "rounds" ? "/staff?view=rounds" : "/staff");

/** The page as it was opened, with the cards as they were seen last (staff.js keeps them), and when that was. */
async function keptStaff(url) {
  const cache = await caches.open(STAFF);
  const page = (await cache.match(staffKey(url))) ?? (await cache.match("/staff")) ?? (await cache.match("/staff?view=rounds"));
  if (!page) return undefined;
  let html = await page.text();
  const main = html.match(/<main id="cards"[^>]*data-view="([a-z]*)"[^>]*>/);
  const language = html.match(/data-lang="([a-z-]*)"/)?.[1];
  const cards = main && (await cache.match(`/staff/cards?lang=${language}&view=${main[1]}`));
  const isNewer = cards && Number(cards.headers.get("X-Kept-At")) > Number(page.headers.get("X-Kept-At"));
  const keptAt = (isNewer ? cards : page).headers.get("X-Kept-At");
  if (main) {
    const begin = main.index + main[0].length;
    const inside = isNewer ? await cards.text() : html.slice(begin, html.indexOf("</main>", begin));
    html = `${html.slice(0, begin - 1)} data-kept-at="${keptAt}">${inside}${html.slice(html.indexOf("</main>", begin))}`;
  }
  return new Response(html, { headers: page.headers });
}
