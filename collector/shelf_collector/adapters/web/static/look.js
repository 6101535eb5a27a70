// How a fitted panel looks: the sizes of its letters, and in which column each part stands.

import { leftOut, READING_ORDER } from "./columns.js";
import { writeName } from "./names.js";

const partsOf = new WeakMap(); // panel -> its parts by name, wherever they stand now
const looks = new WeakMap(); // panel -> the look it has

/** A panel's parts by name, wherever they stand now. */
export function parts(panel) {
  let found = partsOf.get(panel);
  if (!found) {
    found = new Map(READING_ORDER.map((name) => [name, panel.querySelector(`.fact-${name}`)]).filter(([, part]) => part));
    partsOf.set(panel, found);
    panel.querySelector(".extras")?.remove();
  }
  return found;
}

export function element(className, ...children) {
  const one = document.createElement("div");
  one.className = className;
  one.append(...children);
  return one;
}

/** Give a panel its letters: how large name and price, warnings and text are, and how the name stands on its lines. */
export function size(panel, { key, price = key, text, warning, shape, name = null, isForced = false }) {
  panel.style.setProperty("--key-share", key);
  panel.style.setProperty("--price-share", price);
  panel.style.setProperty("--warning-share", warning);
  panel.style.setProperty("--text-share", text);
  panel.dataset.shape = shape;
  panel.toggleAttribute("data-forced", isForced);
  if (!panel.classList.contains("is-either")) writeName(panel.querySelector(".key"), name);
}

/** Name in the line "see pack" what is left out. */
export function nameRest(rest, missing) {
  rest.querySelector("strong").textContent = missing.map((name) => rest.dataset[name]).join(", ");
}

/** Put a look on a panel without asking the browser anything: one layout, when it paints. */
export function dress(panel, look) {
  if (looks.get(panel) === look) return;
  looks.set(panel, look);
  size(panel, look);
  const facts = panel.querySelector(".facts");
  if (!facts) return;
  const all = parts(panel);
  const columns = look.columns.map((names) => {
    for (const name of names) all.get(name).dataset.size = look.sizes[name];
    return element("column", ...names.map((name) => all.get(name)));
  });
  const rest = all.get("rest");
  if (rest) nameRest(rest, leftOut((name) => all.has(name), look.sizes));
  panel.querySelector(".lean")?.remove();
  if (look.shape === "wide") {
    const lean = columns.pop();
    lean.classList.add("lean");
    facts.parentElement.after(lean);
  }
  facts.replaceChildren(...columns);
}
