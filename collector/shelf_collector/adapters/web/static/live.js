// One event stream per page: comes back by itself, notices a connection that is dead but not closed.

const SILENT_AFTER_MS = 40_000; // the server says something every 15 s
const ANSWERS_WITHIN_MS = 1800;
const ASK_AGAIN_MS = 3000;

/**
 * Listen to topics. `handlers` maps an event's name to a function of its data; `onState` hears "up" and "down".
 *
 * An open stream hears nothing of a dead spot: no packet says that none comes any more. With `asksEveryMs` the page asks
 * as often whether anybody answers while it is looked at, and at once when it is taken up, touched, or told by the phone.
 */
export function listen(topics, handlers, onState = () => {}, { asksEveryMs = 0 } = {}) {
  let source = null;
  let heardAt = 0;
  let answeredAt = 0;
  let asking = false;
  let openedAt = 0;
  let again = 0;

  const open = () => {
    clearTimeout(again);
    source?.close();
    openedAt = Date.now();
    source = new EventSource(`/stream?topics=${encodeURIComponent(topics.join(","))}`);
    source.onopen = () => heard();
    source.onerror = () => {
      onState("down");
      // A browser gives up for good when the server answered with an error: then we try again ourselves.
      if (source.readyState === EventSource.CLOSED) {
        goWhereLoginIs(source.url);
        again = setTimeout(open, ASK_AGAIN_MS);
      }
    };
    source.addEventListener("ping", () => heard());
    for (const [name, handle] of Object.entries(handlers)) {
      source.addEventListener(name, (event) => {
        heard();
        handle(JSON.parse(event.data));
      });
    }
  };

  const heard = () => {
    heardAt = answeredAt = Date.now();
    onState("up");
  };

  const ask = async () => {
    if (asking) return;
    asking = true;
    try {
      await fetch("/livez", { cache: "no-store", signal: AbortSignal.timeout(ANSWERS_WITHIN_MS) });
      answeredAt = Date.now();
      // Out of the dead spot: a stream that was asked for inside it may hang for a minute.
      if (source.readyState !== EventSource.OPEN && Date.now() - openedAt > ASK_AGAIN_MS) open();
    } catch {
      if (source.readyState === EventSource.OPEN) {
        source.close();
        onState("down");
        again = setTimeout(open, ASK_AGAIN_MS);
      }
    } finally {
      asking = false;
    }
  };

  if (asksEveryMs) {
    const askIfLong = (ms) => { if (!document.hidden && Date.now() - answeredAt >= ms) ask(); };
    setInterval(() => askIfLong(asksEveryMs), asksEveryMs / 2);
    addEventListener("offline", ask);
    addEventListener("online", () => (source.readyState === EventSource.OPEN ? ask() : open()));
    document.addEventListener("visibilitychange", () => askIfLong(0));
    addEventListener("pointerdown", () => askIfLong(ANSWERS_WITHIN_MS), { passive: true });
  }

  setInterval(() => {
    if (heardAt && Date.now() - heardAt > SILENT_AFTER_MS) {
      onState("down");
      heardAt = Date.now();
      open();
    }
  }, 5000);
  open();
}

/** A stream that was refused because the session is over: the page loads again, and the server leads to the login. */
async function goWhereLoginIs(url) {
  const asking = new AbortController();
  try {
    const answer = await fetch(url, { signal: asking.signal });
    if (answer.status === 401) location.reload();
  } catch {
    // Nobody answers: that is no refusal.
  } finally {
    asking.abort();
  }
}

/** Hours and minutes as this place writes them. */
export function clockText(moment, seconds = false) {
  return moment.toLocaleTimeString(document.documentElement.lang, {
    hour: "2-digit", minute: "2-digit", hour12: false, ...(seconds ? { second: "2-digit" } : {}),
  });
}

/** A day as this place writes it, with the month in letters: 1/11 is November to some and January to others. */
export function dayText(moment) {
  const { lang } = document.documentElement;
  return moment.toLocaleDateString(lang === "en" ? "en-GB" : lang, { day: "numeric", month: "short", year: "numeric" });
}

/** Write the times inside an element in the local time zone. */
export function localTimes(root) {
  for (const time of root.querySelectorAll("time[data-clock]")) {
    time.textContent = clockText(new Date(time.dateTime), time.dataset.clock === "s");
  }
}

/** Show the connection's state in words, shape and colour. */
export function showConnection(element, state) {
  const name = { up: "connected", down: "disconnected" }[state] ?? state;
  if (element.dataset.state === name) return;
  element.dataset.state = name;
  element.querySelector(".text").textContent = element.getAttribute(`data-${name}`);
}

/** Fetch a fragment at most once at a time, and once more when asked meanwhile. */
export function refresher(url, apply, pauseMs) {
  let running = false;
  let again = false;
  return async function refresh() {
    if (running) {
      again = true;
      return;
    }
    running = true;
    do {
      again = false;
      try {
        const answer = await fetch(url, { signal: AbortSignal.timeout(5000) });
        if (answer.ok) apply(await answer.text());
        else if (answer.status === 401) location.reload(); // the session is over: the server leads to the login
      } catch {
        // The stream says that we are offline; what is shown stays.
      }
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    } while (again);
    running = false;
  };
}

if ("serviceWorker" in navigator) navigator.serviceWorker.register("/sw.js").catch(() => {});
