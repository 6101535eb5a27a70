// The display over a bay: at rest a calm page; a hand at the shelf brings up what it reaches for.

import { makeFitter } from "./fit.js";
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
  panels.dataset.panels = String(wanted.length);
  panels.replaceChildren(...wanted.map((one) => one.element));
  fitter.fit(wanted.map((one) => one.gtin));
  document.getElementById("rest").toggleAttribute("inert", wanted.length > 0);
}

const fitter = makeFitter(panels, document.getElementById("measure"), makePanel);

function fitAgain() {
  fitter.forget();
  fitter.fit(shown.map((one) => one.gtin));
  fitter.prepare([...products.keys()]);
}

addEventListener("resize", fitAgain);
document.fonts.ready.then(fitAgain);

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
