// Keeps the last display and its parts, so that a display stays useful while the collector is away. Pages behind the
// login are never kept: they must be gone when somebody has logged out.

const CACHE = "shelf-v3";
const WAIT_MS = 3000;

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(forgetOlder().then(() => self.clients.claim()).then(keepOpenPages)));

async function forgetOlder() {
  const old = (await caches.keys()).filter((name) => name !== CACHE);
  await Promise.all(old.map((name) => caches.delete(name)));
}

// The page that installed us was loaded before us: fetch it and its parts once more, to have them.
async function keepOpenPages() {
  const cache = await caches.open(CACHE);
  const pages = (await self.clients.matchAll({ type: "window" })).map((client) => client.url).filter((url) => isKept(new URL(url)));
  const parts = ["style.css", "display.css", "live.js", "display.js", "filter.js", "fit.js", "my.js", "icon.svg"].map((name) => `/static/${name}`);
  await Promise.allSettled([...pages, ...parts].map((url) => cache.add(url)));
}

function isKept(url) {
  if (url.origin !== self.location.origin) return false;
  return ["/static/", "/display/"].some((start) => url.pathname.startsWith(start));
}

self.addEventListener("fetch", (event) => {
  if (event.request.method === "GET" && isKept(new URL(event.request.url))) event.respondWith(newestOrKept(event.request));
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
    throw error;
  }
}
