// Keeps the last display and its parts, so that a display stays useful while the collector is away. Of the pages behind
// the login only the staff's list is kept, for dead spots, and only until somebody logs out or the session is over.

const CACHE = "shelf-v5";
const STAFF = "staff-v1";
const WAIT_MS = 3000;

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(forgetOlder().then(() => self.clients.claim()).then(keepOpenPages)));

async function forgetOlder() {
  const old = (await caches.keys()).filter((name) => ![CACHE, STAFF].includes(name));
  await Promise.all(old.map((name) => caches.delete(name)));
}

// The page that installed us was loaded before us: fetch it and its parts once more, to have them.
async function keepOpenPages() {
  const cache = await caches.open(CACHE);
  const pages = (await self.clients.matchAll({ type: "window" })).map((client) => client.url).filter((url) => isKept(new URL(url)));
  const parts = ["style.css", "display.css", "live.js", "display.js", "filter.js", "fit.js", "columns.js", "look.js", "names.js", "trials.js", "rest.js", "prices.js", "my.js", "staff.js", "steps.js", "icon.svg"].map((name) => `/static/${name}`);
  await Promise.allSettled([...pages, ...parts].map((url) => cache.add(url)));
}

function isKept(url) {
  if (url.origin !== self.location.origin) return false;
  return ["/static/", "/display/"].some((start) => url.pathname.startsWith(start));
}

self.addEventListener("fetch", (event) => {
  const { pathname } = new URL(event.request.url);
  if (pathname === "/logout") event.waitUntil(caches.delete(STAFF));
  else if (event.request.mode === "navigate" && pathname === "/staff") event.respondWith(staffPage(event));
  else if (event.request.method === "GET" && isKept(new URL(event.request.url))) event.respondWith(newestOrKept(event.request));
});

async function newestOrKept(request) {
  const cache = await caches.open(CACHE);
  const kept = await cache.match(request);
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

// Newest first; the kept list only when nobody answers. An answer that leads elsewhere says that the session is over.
async function staffPage(event) {
  try {
    const answer = await fetch(event.request, { signal: AbortSignal.timeout(5000) });
    const cache = await caches.open(STAFF);
    if (answer.ok && !answer.redirected) await cache.put("/staff", answer.clone());
    else if (answer.type === "opaqueredirect" || answer.status === 401 || answer.redirected) await caches.delete(STAFF);
    return answer;
  } catch (error) {
    const kept = await caches.match("/staff", { cacheName: STAFF });
    if (kept) return kept;
    throw error;
  }
}
