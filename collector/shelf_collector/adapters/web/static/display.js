// The display over a bay: at rest a calm page; a hand at the shelf brings up what it reaches for.
// Every product's card is in the page already: a reach only chooses, and its letters were fitted beforehand.

import { carryOver, chosenFilters, isSecondTap, pressChips, showAnswers, verdictOf } from "./filter.js";
import { makeFitter } from "./fit.js";
import { clockText, dayText, listen } from "./live.js";
import { plainText } from "./names.js";
import { hideOldPrices } from "./prices.js";
import { fitFilterList, fitOffers } from "./rest.js";

const DOWN_SHOWN_AFTER_MS = 10_000;
const ORPHAN_PANEL_MS = 30_000; // a panel whose stream is gone does not stay for ever
const TOUCHED_PANEL_MS = 25_000;
const READING_MS = 60_000; // everything about a product stays so long after the last touch, whoever else reaches
const MOST_PANELS = 3;
const VISIT_MS = 90_000; // a filter is forgotten when nobody touched the display for so long
const RENEW_MS = 10 * 60_000; // prices begin and end: the cards are fetched anew
const RENEW_WITHIN_MS = 2000; // not all displays of a store in one moment, when products changed
const ASK_SHOWN_MS = 120_000;

const root = document.getElementById("display");
const panels = document.getElementById("panels");
const rest = document.getElementById("rest");
const said = document.getElementById("said");
const linkState = document.getElementById("link-state");
const ask = document.getElementById("ask");
const chips = [...document.querySelectorAll(".chip")];
const calm = matchMedia("(prefers-reduced-motion: reduce)");
let products = readProducts();

let shown = []; // [{slot, gtin, element}], left to right
let told = null; // the newest content the collector sent
let touched = null; // {panel, until, over}: what somebody opened by touch, and the panel it stands for
let reading = null; // {gtin, until, from}: what somebody reads everything about, and where the keyboard was before
let opener = null; // the slot of the drawing that a key or a tap opened
let heardAt = new Date(root.dataset.madeAt); // a page kept by the service worker is as old as it was made
let downSince = null;
let isHeard = false; // whether the collector said anything since the page was opened
let visitUntil = 0;

function readProducts() {
  return new Map([...document.querySelectorAll("template[data-product]")].map((one) => [one.dataset.product, one]));
}

const wantedFilters = () => chosenFilters(chips);

/** Short words stand in large letters; the words of the law stand where everything about a product does. */
function shortenAllergens(panel) {
  for (const one of panel.querySelectorAll(".allergen[data-afar]")) one.textContent = one.dataset.afar;
}

function makePanel(one, isWhole = false) {
  const { gtin, candidates = [], is_out: isOut = false, in_stock: inStock = [] } = one;
  if (candidates.length > 1) return makeChoice(one);
  const template = products.get(gtin) ?? products.get("unknown");
  const panel = template.content.firstElementChild.cloneNode(true);
  if (!products.has(gtin)) nameUnknown(panel, one);
  if (!isWhole) shortenAllergens(panel);
  hideOldPrices(panel);
  showAnswers(panel, wantedFilters());
  const instead = panel.querySelector(".instead");
  if (isOut && instead) {
    for (const line of instead.querySelectorAll("li")) line.hidden = !inStock.includes(line.dataset.gtin);
    instead.hidden = !instead.querySelector("li:not([hidden])");
  }
  return panel;
}

const nameOn = (card) => ({ lang: card.querySelector(".key").lang, text: card.querySelector(".key").textContent });

/** The name of a product from another bay, as the collector told it: in our language, else in English, else in any. */
function nameFrom(names = {}, gtin) {
  const lang = [document.body.dataset.lang, "en", ...Object.keys(names)].find((one) => names[one]?.trim());
  return { lang: lang ?? "", text: lang ? names[lang] : gtin };
}

/** Of a product from another bay its name is told; nothing else of it is in this page. */
function nameUnknown(panel, { gtin, names }) {
  if (!names?.[gtin]) return;
  const { lang, text } = nameFrom(names[gtin], gtin);
  const key = panel.querySelector(".key");
  const said = document.createElement("p");
  said.className = "unknown-text";
  said.textContent = key.textContent;
  key.after(said);
  key.lang = lang;
  key.dir = "auto";
  key.textContent = text;
}

/** Nobody can say which product it is: both names, and no fact of either. */
function makeChoice(one) {
  const panel = products.get("either").content.firstElementChild.cloneNode(true);
  const place = panel.querySelector(".choices-either");
  for (const gtin of one.candidates) {
    const card = products.get(gtin)?.content;
    const button = document.createElement("button");
    button.type = "button";
    const { lang, text } = card ? nameOn(card) : nameFrom(one.names?.[gtin], gtin);
    button.lang = lang;
    button.dir = "auto";
    button.textContent = text;
    if (card) {
      const small = document.createElement("small");
      small.append(...card.querySelector(".brand").cloneNode(true).childNodes); // each of its parts keeps its direction
      button.append(small);
    }
    button.addEventListener("click", () => open({ ...one, gtin, candidates: [] }, nameOf(one)));
    place.append(button);
  }
  return panel;
}

const nameOf = (one) => `${one.slot} ${one.gtin} ${one.is_out ?? false} ${one.candidates?.join() ?? ""}`;
const fitName = (one) =>
  one.candidates?.length > 1 ? `either ${one.candidates.join()}` : `${one.gtin} ${one.is_out ? (one.in_stock ?? []).join() : "in"}`;

function show(content) {
  told = content;
  const same = touched && content.panels.find((one) => one.slot === touched.panel.slot);
  if (same && nameOf(same) !== touched.over) touched = null; // the shelf knows more of it than the tap
  render();
}

/** What a hand reaches for and what somebody opened by touch, side by side; nobody's panel is taken by another's. */
function wantedPanels() {
  let panels = told?.panels ?? [];
  if (touched && touched.until > Date.now()) {
    const { panel } = touched;
    const others = panels.filter((one) => one.slot !== panel.slot && one.gtin !== panel.gtin).slice(-MOST_PANELS + 1);
    panels = [...others, panel].sort((one, other) => one.side - other.side);
  }
  // Who reads everything about a product does not need its panel beside it, when there is another to show.
  let others = reading ? panels.filter((one) => one.gtin !== reading.gtin) : panels;
  if (others.length === MOST_PANELS && reading) {
    // What is read is the third: more has no room in letters that can be read.
    const extra = others.findLastIndex((one) => one.slot !== touched?.panel.slot);
    others = others.filter((_, at) => at !== extra);
  }
  return (others.length ? others : panels).map((one) => ({ ...one }));
}

function render() {
  const wanted = wantedPanels();
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
  stand(wanted.map((one) => one.element));
  fitShown();
  restOrPanels();
  tell();
  if (wanted.length && told?.captured_at) markPaint(told);
}

/** Let these panels stand there. Those that stand there already are not touched: nothing of them is laid out again. */
function stand(wanted) {
  for (const one of [...panels.children]) if (!wanted.includes(one)) one.remove();
  wanted.forEach((one, at) => {
    if (panels.children[at] !== one) panels.insertBefore(one, panels.children[at] ?? null);
  });
}

/** What a reader says when the panels change: names, prices and warnings; the rest is there to be read. */
function tell() {
  const line = ({ element: panel }) => {
    const parts = [...panel.querySelectorAll(".key, .price strong, .price-gone:not([hidden]), .fact-allergens :is(.lead, .unknown), .choices-either button")];
    return parts.map(plainText).join(". ");
  };
  const text = shown.map(line).join(" – ");
  if (said.textContent !== text) said.textContent = text;
}

/** What can be touched and read out: the panels, or the page at rest beneath them. */
function restOrPanels() {
  rest.toggleAttribute("inert", shown.length > 0 || reading !== null);
  if (!rest.inert && opener) {
    if (document.activeElement === document.body) opener.focus({ preventScroll: true });
    opener = null;
  }
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
    restOrPanels();
    tell();
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

const fitter = makeFitter(document.getElementById("measure"), makePanel, fitShown);

function fitShown() {
  panels.toggleAttribute("data-hasty", !fitter.fit(shown, fitName, room()));
}

/** What decides about the letters besides the product: who reads leaves less room, and answers take some. */
const room = () => `${reading ? "beside" : ""} ${wantedFilters().join()}`;

function fitPanels() {
  fitShown();
  const all = [...products.keys()].filter((gtin) => gtin !== "either" && gtin !== "unknown");
  fitter.prepare(all.map((gtin) => ({ gtin })), fitName, room());
}

function fitAgain() {
  fitter.forget();
  fitPanels();
  fitOffers(document.getElementById("offers"));
  fitFilterList(document.getElementById("fit-list"));
}

addEventListener("resize", fitAgain);
document.fonts.ready.then(fitAgain);

// -- touch and keys ---------------------------------------------------------------------------------------------------

function open(panel, over = "") {
  touched = { panel, until: Date.now() + TOUCHED_PANEL_MS, over };
  render();
}

function close() {
  touched = null;
  if (told) told = { ...told, panels: [] };
  render();
}

for (const slot of document.querySelectorAll(".slot")) {
  const choose = () => {
    opener = slot;
    open({ slot: slot.dataset.slot, gtin: slot.dataset.gtin, side: Number(slot.dataset.side) });
  };
  slot.addEventListener("click", choose);
  slot.addEventListener("keydown", (event) => {
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      choose();
    }
  });
}
addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  if (reading) stopReading();
  else close();
});

// Everything about a product, for who touches its panel: nothing is left out there. It stands beside the panels, not over
// them: others go on reaching, and what they reach for is shown without taking this away.
const full = document.getElementById("whole");

function read(gtin, side) {
  const from = reading?.from ?? document.activeElement;
  reading = { gtin, until: Date.now() + READING_MS, from };
  const whole = makePanel({ gtin }, true);
  whole.querySelector(".more").remove();
  full.querySelector("div").replaceChildren(whole);
  full.scrollTop = 0;
  if (!full.open) root.dataset.reading = side < 0.5 ? "left" : "right";
  full.show();
  full.querySelector(".close").focus();
  render();
}

function stopReading() {
  if (!reading) return;
  const { from, gtin } = reading;
  reading = null;
  full.close();
  delete root.dataset.reading;
  render();
  const back = from?.isConnected && from !== document.body ? from : panels.querySelector(`[data-gtin="${gtin}"] .more`);
  back?.focus({ preventScroll: true });
}

panels.addEventListener("click", (event) => {
  if (isSecondTap(event)) return;
  const one = shown.find(({ element }) => element.contains(event.target) && element.dataset.gtin);
  if (one) read(one.element.dataset.gtin, one.side);
});
full.addEventListener("close", stopReading);
full.addEventListener("scroll", () => {
  if (reading) reading.until = Date.now() + READING_MS;
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
  for (const whole of full.querySelectorAll(".panel")) showAnswers(whole, filters);
  fitPanels();
  fitOffers(document.getElementById("offers"));
  fitFilterList(document.getElementById("fit-list"));
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
    if (reading) reading.until = Date.now() + READING_MS;
  });
}

function endVisit() {
  wantLanguage(null);
  pressChips(chips, "");
  applyFilter();
}

// Another language is another page: the filter and what is open come along, and after the visit the display speaks again
// as it did before.
let homeLanguage = document.body.dataset.lang;

function carriedToAnotherLanguage() {
  const carried = { home: homeLanguage, filter: wantedFilters().join(), open: touched?.panel.slot ?? "", read: reading?.gtin ?? "" };
  return Object.fromEntries(Object.entries(carried).filter(([, value]) => value));
}

function takeOver({ home, filter, open: slot, read: gtin }) {
  if (!home) return;
  homeLanguage = home;
  visitUntil = Date.now() + VISIT_MS;
  pressChips(chips, filter);
  if (filter) applyFilter();
  [...document.querySelectorAll(".slot")].find((one) => one.dataset.slot === slot)?.dispatchEvent(new Event("click"));
  if (products.has(gtin)) read(gtin, Number(document.querySelector(`.slot[data-gtin="${gtin}"]`)?.dataset.side ?? 0.5));
}

async function goHome() {
  const isStill = () => !shown.length && !reading && !visitUntil && root.dataset.stream === "up";
  if (homeLanguage === document.body.dataset.lang || !isStill()) return;
  const address = `?lang=${encodeURIComponent(homeLanguage)}`;
  if ((await isThere(address)) && isStill()) location.replace(address);
}

// A kiosk that leaves for a page which nobody serves ends on the browser's own error page: we ask first, and stay.
const languageState = document.getElementById("language-state");
let languageWanted = null; // the link somebody tapped while the collector was away
let isAsking = false;

async function isThere(address) {
  if (isAsking) return false;
  isAsking = true;
  try {
    return (await fetch(address, { signal: AbortSignal.timeout(5000) })).ok; // also what the service worker keeps
  } catch {
    return false;
  } finally {
    isAsking = false;
  }
}

function wantLanguage(link) {
  languageWanted = link;
  languageState.hidden = true;
  languageState.textContent = "";
}

async function openLanguage() {
  const link = languageWanted;
  if (!link || isAsking) return;
  const isHere = await isThere(link.href);
  if (languageWanted !== link) return; // another one was tapped meanwhile, or the visit is over
  if (isHere) {
    languageWanted = null;
    link.hash = new URLSearchParams(carriedToAnotherLanguage()).toString();
    location.assign(link.href);
  } else if (languageState.hidden) {
    languageState.lang = link.lang;
    languageState.hidden = false;
    languageState.textContent = link.dataset.later;
  }
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
  if (["asking", "asked", "coming"].includes(ask.dataset.state)) return; // a double tap is one question
  showAsk("asking");
  try {
    const answer = await fetch(`/display/${root.dataset.display}/ask`, {
      method: "POST", headers: { "Content-Type": "application/json" }, signal: AbortSignal.timeout(5000),
      body: JSON.stringify({ slot: shown[0]?.slot ?? null }),
    });
    if (!answer.ok) showAsk("failed");
    else if (ask.dataset.state === "asking") showAsk("asked"); // unless the stream was quicker
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
  [`display/${root.dataset.display}`, `help/${root.dataset.display}`, "products"],
  { display: show, help: heardHelp, products: () => setTimeout(renewCards, Math.random() * RENEW_WITHIN_MS) },
  (state) => {
    if (state === "up") {
      heardAt = new Date();
      isHeard = true;
      if (downSince !== null && Date.now() - downSince > DOWN_SHOWN_AFTER_MS) renewCards(); // much may have changed
      downSince = null;
    } else {
      downSince ??= Date.now();
    }
    root.dataset.stream = state;
    if (!isHeard) everySecond();
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
    const cards = document.getElementById("cards");
    if (fresh.innerHTML === cards.innerHTML) return; // and what was fitted stays
    cards.replaceChildren(...fresh.childNodes);
    products = readProducts();
    const offers = document.querySelector("template[data-offers]").content.cloneNode(true);
    document.getElementById("offers").replaceChildren(offers);
    shown = []; // panels are made anew of what is true now
    render();
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
  // A page that was kept is as old as it was made, from its first moment on.
  const isDown = downSince !== null && Date.now() - (isHeard ? downSince : heardAt.getTime()) > DOWN_SHOWN_AFTER_MS;
  if (linkState.hidden === isDown) {
    const isToday = heardAt.toDateString() === now.toDateString();
    const day = isToday ? "" : `${dayText(heardAt)} `;
    document.getElementById("data-time").textContent = day + clockText(heardAt);
    linkState.hidden = !isDown;
  }
  if (reading && reading.until <= Date.now()) stopReading();
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
  openLanguage();
  goHome();
  const night = isNight(now);
  root.toggleAttribute("data-night", night);
  document.getElementById("night").hidden = !night || now.getTime() < visitUntil;
  for (const offer of document.querySelectorAll(".offer-list [data-price-until]")) {
    if (!offer.dataset.priceUntil || new Date(offer.dataset.priceUntil) > now) continue;
    offer.remove();
    fitOffers(document.getElementById("offers"));
  }
  if (Date.now() - renewedAt > RENEW_MS && !shown.length) renewCards();
  if (now.getSeconds() === 0) {
    // A pixel or two a minute, so that nothing burns in.
    root.style.setProperty("--shift-x", `${(now.getMinutes() % 5) - 2}px`);
    root.style.setProperty("--shift-y", `${(now.getMinutes() % 3) - 1}px`);
  }
  for (const panel of [...panels.children, ...full.querySelectorAll(".panel")]) hideOldPrices(panel);
}
const languageLinks = document.querySelectorAll(".languages a");
takeOver(carryOver(languageLinks, carriedToAnotherLanguage));
for (const link of languageLinks) {
  link.addEventListener("click", (event) => {
    event.preventDefault();
    wantLanguage(link.hasAttribute("aria-current") ? null : link);
    openLanguage();
  });
}
setInterval(everySecond, 1000);
everySecond();
