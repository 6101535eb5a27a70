// The display over a bay: at rest a calm page; a hand at the shelf brings up what it reaches for.

import { clockText, listen } from "./live.js";

const DOWN_SHOWN_AFTER_MS = 10_000;
const ORPHAN_PANEL_MS = 30_000; // a panel whose stream is gone does not stay for ever

const root = document.getElementById("display");
const panels = document.getElementById("panels");
const linkState = document.getElementById("link-state");
const products = new Map(
  [...document.querySelectorAll("template[data-product]")].map((one) => [one.dataset.product, one]),
);

let shown = []; // [{slot, gtin}], left to right
let heardAt = new Date();
let downSince = null;

function makePanel(gtin) {
  const template = products.get(gtin) ?? products.get("unknown");
  const panel = template.content.firstElementChild.cloneNode(true);
  hidePriceWhenOver(panel);
  return panel;
}

function hidePriceWhenOver(panel) {
  const until = panel.dataset.priceUntil;
  if (!until || new Date(until) > new Date()) return;
  panel.querySelector(".price")?.remove();
  panel.querySelector(".price-gone").hidden = false;
}

function show(content) {
  const wanted = content.panels.map(({ slot, gtin, side }) => ({ slot, gtin, side }));
  const kept = new Map(shown.map((one) => [`${one.slot} ${one.gtin}`, one.element]));
  for (const one of wanted) one.element = kept.get(`${one.slot} ${one.gtin}`) ?? makePanel(one.gtin);
  shown = wanted;
  root.dataset.panels = String(wanted.length);
  root.dataset.capturedAt = content.captured_at ?? "";
  root.dataset.revision = String(content.revision);
  // A single panel stands on the side of the hand; two and three share the width in the shelf's own order.
  root.style.setProperty("--side", wanted.length === 1 ? String(wanted[0].side) : "0.5");
  panels.replaceChildren(...wanted.map((one) => one.element));
  fit();
  document.getElementById("rest").toggleAttribute("inert", wanted.length > 0);
}

// -- fitting: the largest letters with which everything can be read ------------------------------------------------

// The key line (the product's name) keeps the size that is read from where people stand for as long as it can; the
// other text gives way first, then what is left out: 0 nothing, 1 the ingredients' wording, 2 packaging too, 3 the
// smaller rows of the nutrition table too. What is left out is on the pack, and the panel says so.
const STEPS = [];
for (const key of [1, 0.86, 0.74, 0.62, 0.5, 0.4, 0.32]) {
  for (const density of [0, 1, 2, 3]) {
    for (const text of [1, 0.9, 0.8, 0.72, 0.64, 0.58]) STEPS.push({ key, text, density });
  }
}
for (const text of [0.5, 0.43, 0.36]) STEPS.push({ key: 0.28, text, density: 3 });
const WIDE_EM = 30; // from here on facts stand in two columns

const fitted = new Map(); // "width x height | gtins" -> index of the step

function apply(step) {
  panels.style.setProperty("--key-share", step.key);
  panels.style.setProperty("--text-share", step.text);
  panels.dataset.density = step.density;
  for (const panel of panels.children) {
    panel.classList.toggle("is-wide", panel.clientWidth / parseFloat(getComputedStyle(panel).fontSize) >= WIDE_EM);
  }
}

function overflows() {
  return [...panels.children].some(
    (panel) =>
      panel.scrollHeight > panel.clientHeight + 1 ||
      panel.scrollWidth > panel.clientWidth + 1 ||
      (panel.querySelector(".facts")?.scrollHeight ?? 0) > (panel.querySelector(".facts")?.clientHeight ?? 0) + 1 ||
      [...panel.querySelectorAll(".facts, .facts-side, .key, .price, table")].some((part) => part.scrollWidth > part.clientWidth + 1),
  );
}

/** Within a key size and density smaller text always fits better, so a group is skipped when its last step fails. */
function firstThatFits() {
  let index = 0;
  while (index < STEPS.length - 1) {
    const { key, density } = STEPS[index];
    let last = index;
    while (STEPS[last + 1]?.key === key && STEPS[last + 1].density === density) last++;
    apply(STEPS[last]);
    if (!overflows()) {
      while (index < last) {
        apply(STEPS[index]);
        if (!overflows()) return index;
        index++;
      }
      return last;
    }
    index = last + 1;
  }
  return STEPS.length - 1;
}

function fit() {
  if (!panels.children.length) return;
  const key = `${innerWidth}x${innerHeight}|${shown.map((one) => one.gtin).join(" ")}`;
  if (!fitted.has(key)) {
    fitted.set(key, firstThatFits());
  }
  apply(STEPS[fitted.get(key)]);
}

addEventListener("resize", fit);
document.fonts?.ready.then(() => fitted.clear());

// -- the stream ---------------------------------------------------------------------------------------------------

listen(
  [`display/${root.dataset.display}`],
  { display: show },
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

function everySecond() {
  const now = new Date();
  document.getElementById("clock").textContent = clockText(now);
  const isDown = downSince !== null && Date.now() - downSince > DOWN_SHOWN_AFTER_MS;
  if (linkState.hidden === isDown) {
    document.getElementById("data-time").textContent = clockText(heardAt);
    linkState.hidden = !isDown;
  }
  if (downSince !== null && Date.now() - downSince > ORPHAN_PANEL_MS && shown.length) {
    show({ panels: [], revision: root.dataset.revision });
  }
  if (now.getSeconds() === 0) {
    // A pixel or two a minute, so that nothing burns in.
    root.style.setProperty("--shift-x", `${(now.getMinutes() % 5) - 2}px`);
    root.style.setProperty("--shift-y", `${(now.getMinutes() % 3) - 1}px`);
    for (const panel of panels.children) hidePriceWhenOver(panel);
  }
}
setInterval(everySecond, 1000);
everySecond();
