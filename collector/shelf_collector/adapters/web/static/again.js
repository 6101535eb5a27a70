// A page that came instead of another in a dead spot: it tries again by itself.

async function again() {
  try {
    await fetch("/livez", { cache: "no-store", signal: AbortSignal.timeout(3000) });
    location.reload();
  } catch {
    // Still nobody there.
  }
}

addEventListener("online", again);
setInterval(again, 4000);
