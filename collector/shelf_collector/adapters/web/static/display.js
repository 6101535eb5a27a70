// The display over a bay: at rest a calm page; a hand at the shelf brings up what it reaches for.
// Every product's card is in the page already: a reach only chooses, and its letters were fitted beforehand.

import { isSecondTap, showAnswers, verdictOf } from "./filter.js";
import { makeFitter } from "./fit.js";
import { clockText, listen } from "./live.js";

const DOWN_SHOWN_AFTER_MS = 10_000;
const ORPHAN_PANEL_MS = 30_000; // a panel whose stream is gone does not stay for ever
const TOUCHED_PANEL_MS = 25_000;
const VISIT_MS = 90_000; // a filter is forgotten when nobody touched the display for so long
const RENEW_MS = 10 * 60_000; // prices begin and end: the cards are fetched anew
const ASK_SHOWN_MS = 120_000;

const root = document.getElementById("display");
const panels = document.getElementById("panels");
const rest = document.getElementById("rest");
const linkState = document.getElementById("link-state");
const ask = document.getElementById("ask");
const chips = [...document.querySelectorAll(".chip")];
const calm = matchMedia("(prefers-reduced-motion: reduce)");
let products = readProducts();

let shown = []; // [{slot, gtin, element}], left to right
let told = null; // the newest content the collector sent
let touched = null; // {panel, until}: what somebody opened by touch
let heardAt = new Date(root.dataset.madeAt); // a page kept by the service worker is as old as it was made
let downSince = null;
let visitUntil = 0;

function readProducts() {
  return new Map([...document.querySelectorAll("template[data-product]")].map((one) => [one.dataset.product, one]));
}

function wantedFilters() {
  return chips.filter((chip) => chip.getAttribute("aria-pressed") === "true").map((chip) => chip.dataset.filter);
}

function makePanel({ gtin, candidates = [], is_out: isOut = false, in_stock: inStock = [] }) {
  if (candidates.length > 1) return makeChoice(candidates);
  const template = products.get(gtin) ?? products.get("unknown");
  const panel = template.content.firstElementChild.cloneNode(true);
  hidePriceWhenOver(panel);
  showAnswers(panel, wantedFilters());
  const instead = panel.querySelector(".instead");
  if (isOut && instead) {
    for (const line of instead.querySelectorAll("li")) line.hidden = !inStock.includes(line.dataset.gtin);
    instead.hidden = !instead.querySelector("li:not([hidden])");
  }
  return panel;
}

/** Nobody can say which product it is: both names, and no fact of either. */
function makeChoice(candidates) {
  const panel = products.get("either").content.firstElementChild.cloneNode(true);
  const place = panel.querySelector(".choices-either");
  for (const gtin of candidates) {
    const card = products.get(gtin)?.content;
    if (!card) continue;
    const button = document.createElement("button");
    button.type = "button";
    const name = card.querySelector(".key");
    button.lang = name.lang;
    button.textContent = name.textContent;
    const small = document.createElement("small");
    small.textContent = card.querySelector(".brand").textContent;
    button.append(small);
    button.addEventListener("click", () => open({ slot: `choice-${gtin}`, gtin, side: 0.5 }));
    place.append(button);
  }
  return panel;
}

function hidePriceWhenOver(panel) {
  const until = panel.dataset.priceUntil;
  if (!until || new Date(until) > new Date()) return;
  panel.querySelector(".price")?.remove();
  panel.querySelector(".price-gone").hidden = false;
}

const nameOf = (one) => `${one.slot} ${one.gtin} ${one.is_out ?? false} ${one.candidates?.join() ?? ""}`;
const fitName = (one) => (one.candidates?.length > 1 ? "either" : `${one.gtin}${one.is_out ? " out" : ""}`);

function show(content) {
  if (content.panels.length && full.open) full.close();
  if (content.panels.length) touched = null; // a hand at the shelf is newer than a tap
  told = content;
  render();
}

function render() {
  const over = touched && touched.until > Date.now() ? [touched.panel] : [];
  const wanted = (over.length ? over : told?.panels ?? []).map((one) => ({ ...one }));
  const kept = new Map(shown.map((one) => [nameOf(one), one.element]));
  const leaves = wanted.length === 0 && shown.length > 0 && !calm.matches;
  for (const one of wanted) {
    one.element = kept.get(nameOf(one)) ?? makePanel(one);
    const inHand = one.element.querySelector(".in-hand");
    if (inHand && inHand.hidden === Boolean(one.is_held)) inHand.hidden = !one.is_held; // told once by a reader
  }
  root.dataset.capturedAt = told?.captured_at ?? "";
  root.dataset.revision = String(told?.revision ?? "");
  if (leaves) {
    leave();
    return;
  }
  cancelLeave();
  shown = wanted;
  root.dataset.panels = String(wanted.length);
  // A single panel stands on the side of the hand; two and three share the width in the shelf's own order.
  root.style.setProperty("--side", wanted.length === 1 ? String(wanted[0].side) : "0.5");
  panels.dataset.panels = String(wanted.length);
  panels.replaceChildren(...wanted.map((one) => one.element));
  fitter.fit(wanted, fitName);
  rest.toggleAttribute("inert", wanted.length > 0);
  if (wanted.length && told?.captured_at) markPaint(told);
}

// -- leaving: put back, the panel fades ---------------------------------------------------------------------------

let leaving = 0;
function leave() {
  if (leaving) return;
  for (const one of shown) one.element.classList.add("is-leaving");
  leaving = setTimeout(() => {
    leaving = 0;
    shown = [];
    root.dataset.panels = "0";
    panels.dataset.panels = "0";
    panels.replaceChildren();
    rest.removeAttribute("inert");
  }, 350);
}

function cancelLeave() {
  clearTimeout(leaving);
  leaving = 0;
  for (const one of shown) one.element.classList.remove("is-leaving");
}

// -- how fast: from the frame's capture to the painted pixel, for `smartshelf bench display` --------------------------

const receivedAt = () => performance.timeOrigin + performance.now();
function markPaint(content) {
  const got = receivedAt();
  // The frame that holds this change is produced after this callback; a message posted in it runs after its paint.
  requestAnimationFrame(() => {
    const channel = new MessageChannel();
    channel.port1.onmessage = () => {
      window.smartshelfPaints?.push({
        revision: content.revision, captured_at: content.captured_at, decided_at: content.at,
        received_ms: got, painted_ms: receivedAt(),
      });
    };
    channel.port2.postMessage(0);
  });
}

// -- letters --------------------------------------------------------------------------------------------------------

const fitter = makeFitter(document.getElementById("measure"), makePanel);

function fitAgain() {
  fitter.forget();
  fitter.fit(shown, fitName);
  fitter.prepare([...products.keys()].filter((gtin) => gtin !== "either" && gtin !== "unknown").map((gtin) => ({ gtin })), fitName);
}

addEventListener("resize", fitAgain);
document.fonts.ready.then(fitAgain);

// -- touch and keys ---------------------------------------------------------------------------------------------------

function open(panel) {
  touched = { panel, until: Date.now() + TOUCHED_PANEL_MS };
  render();
}

function close() {
  touched = null;
  if (told) told = { ...told, panels: [] };
  render();
}

for (const slot of document.querySelectorAll(".slot")) {
  const choose = () => open({ slot: slot.dataset.slot, gtin: slot.dataset.gtin, side: Number(slot.dataset.side) });
  slot.addEventListener("click", choose);
  slot.addEventListener("keydown", (event) => {
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      choose();
    }
  });
}
addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !full.open) close();
});

// Everything about a product, for who touches its panel: nothing is left out there.
const full = document.getElementById("whole");
panels.addEventListener("click", (event) => {
  if (isSecondTap(event)) return;
  const panel = event.target.closest(".panel[data-gtin]");
  const card = panel && products.get(panel.dataset.gtin);
  if (!card) return;
  const whole = makePanel({ gtin: panel.dataset.gtin });
  whole.querySelector(".more").remove();
  full.querySelector("div").replaceChildren(whole);
  full.showModal();
});
full.addEventListener("click", (event) => {
  if (event.target === full && !isSecondTap(event)) full.close(); // beside it
});

// -- my filter: kept in this page only, for one visit -------------------------------------------------------------------

function applyFilter() {
  const filters = wantedFilters();
  let fitting = 0;
  const lines = new Map();
  for (const slot of document.querySelectorAll(".slot")) {
    const card = products.get(slot.dataset.gtin)?.content;
    const answer = card ? verdictOf(card, filters) : { verdict: "unknown", why: [] };
    const verdict = filters.length ? answer.verdict : "";
    if (verdict) lines.set(slot.dataset.gtin, { name: slot.getAttribute("aria-label"), ...answer });
    if (verdict) slot.dataset.verdict = verdict;
    else delete slot.dataset.verdict;
    if (verdict === "fits") fitting++;
  }
  rest.toggleAttribute("data-filtered", filters.length > 0);
  listFits([...lines.values()]);
  const count = document.getElementById("fit-count");
  count.hidden = !filters.length;
  count.textContent = filters.length ? `${fitting} ${count.dataset.words}` : "";
  for (const one of shown) showAnswers(one.element, filters);
  fitAgain();
}

function listFits(lines) {
  const order = ["fits", "unknown", "no"];
  lines.sort((one, other) => order.indexOf(one.verdict) - order.indexOf(other.verdict));
  const items = lines.map(({ name, verdict, why }) => {
    const item = document.createElement("li");
    item.dataset.verdict = verdict;
    for (const [kind, text] of [["name", name], ["why", why.join(", ")]]) {
      const part = document.createElement("span");
      part.className = kind;
      part.dir = "auto";
      part.textContent = text;
      item.append(part);
    }
    return item;
  });
  document.getElementById("fit-list").replaceChildren(...items);
}

for (const chip of chips) {
  chip.addEventListener("click", (event) => {
    if (isSecondTap(event)) return;
    chip.setAttribute("aria-pressed", String(chip.getAttribute("aria-pressed") !== "true"));
    applyFilter();
  });
}
for (const kind of ["pointerdown", "keydown"]) {
  addEventListener(kind, () => {
    visitUntil = Date.now() + VISIT_MS;
    if (touched) touched.until = Date.now() + TOUCHED_PANEL_MS;
  });
}

function endVisit() {
  for (const chip of chips) chip.setAttribute("aria-pressed", "false");
  applyFilter();
}

// -- ask a colleague ------------------------------------------------------------------------------------------------------

let askReset = 0;
function showAsk(state) {
  clearTimeout(askReset);
  ask.dataset.state = state;
  ask.querySelector("span").textContent = ask.dataset[state || "ask"];
  if (state) askReset = setTimeout(() => showAsk(""), ASK_SHOWN_MS);
}

ask.addEventListener("click", async () => {
  if (ask.dataset.state === "asked" || ask.dataset.state === "coming") return; // a double tap is one question
  showAsk("asked");
  try {
    const answer = await fetch(`/display/${root.dataset.display}/ask`, {
      method: "POST", headers: { "Content-Type": "application/json" }, signal: AbortSignal.timeout(5000),
      body: JSON.stringify({ slot: shown[0]?.slot ?? null }),
    });
    if (!answer.ok) showAsk("failed");
  } catch {
    showAsk("failed");
  }
});

function heardHelp(view) {
  if (view.state === "claimed") showAsk("coming");
  else if (view.state === "open") showAsk("asked");
  else if (ask.dataset.state) showAsk("");
}

// -- the stream ---------------------------------------------------------------------------------------------------

listen(
  [`display/${root.dataset.display}`, `help/${root.dataset.display}`],
  { display: show, help: heardHelp },
  (state) => {
    if (state === "up") {
      heardAt = new Date();
      downSince = null;
    } else {
      downSince ??= Date.now();
    }
    root.dataset.stream = state;
  },
);

let renewedAt = Date.now();
async function renewCards() {
  renewedAt = Date.now();
  try {
    const answer = await fetch(`/display/${root.dataset.display}/cards?lang=${document.body.dataset.lang}`, { signal: AbortSignal.timeout(8000) });
    if (!answer.ok) return;
    const fresh = document.createElement("div");
    fresh.innerHTML = await answer.text(); // our own server's, escaped there
    document.getElementById("cards").replaceChildren(...fresh.childNodes);
    products = readProducts();
    const offers = document.querySelector("template[data-offers]").content.cloneNode(true);
    document.getElementById("offers").replaceChildren(offers);
    fitAgain();
  } catch {
    // What is shown stays; prices past their time disappear by themselves.
  }
}

function isNight(now) {
  const { opens, closes } = root.dataset;
  if (!opens) return false;
  const time = `${String(now.getHours()).padStart(2, "0")}:${String(now.getMinutes()).padStart(2, "0")}`;
  return opens < closes ? time < opens || time >= closes : time < opens && time >= closes;
}

function everySecond() {
  const now = new Date();
  document.getElementById("clock").textContent = clockText(now);
  const isDown = downSince !== null && Date.now() - downSince > DOWN_SHOWN_AFTER_MS;
  if (linkState.hidden === isDown) {
    const isToday = heardAt.toDateString() === now.toDateString();
    const day = isToday ? "" : `${heardAt.toLocaleDateString(document.documentElement.lang)} `;
    document.getElementById("data-time").textContent = day + clockText(heardAt);
    linkState.hidden = !isDown;
  }
  if (full.open && visitUntil <= Date.now() + VISIT_MS - TOUCHED_PANEL_MS) full.close();
  if (touched && touched.until <= Date.now()) {
    touched = null;
    render();
  }
  if (downSince !== null && Date.now() - downSince > ORPHAN_PANEL_MS && shown.length) {
    show({ panels: [], revision: root.dataset.revision });
  }
  if (visitUntil && visitUntil <= Date.now()) {
    visitUntil = 0;
    endVisit();
  }
  const night = isNight(now);
  root.toggleAttribute("data-night", night);
  document.getElementById("night").hidden = !night || now.getTime() < visitUntil;
  for (const offer of document.querySelectorAll(".offer-list [data-price-until]")) {
    if (offer.dataset.priceUntil && new Date(offer.dataset.priceUntil) <= now) offer.remove();
  }
  if (Date.now() - renewedAt > RENEW_MS && !shown.length) renewCards();
  if (now.getSeconds() === 0) {
    // A pixel or two a minute, so that nothing burns in.
    root.style.setProperty("--shift-x", `${(now.getMinutes() % 5) - 2}px`);
    root.style.setProperty("--shift-y", `${(now.getMinutes() % 3) - 1}px`);
    for (const panel of panels.children) hidePriceWhenOver(panel);
  }
}
setInterval(everySecond, 1000);
everySecond();
