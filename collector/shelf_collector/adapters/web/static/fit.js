// The largest letters with which everything on the panels can be read.

// The key line (the product's name) keeps the size that is read from where people stand for as long as it can; the
// other text gives way first, then what is left out: 0 nothing, 1 the ingredients' wording, 2 packaging too, 3 the
// smaller rows of the nutrition table too. What is left out is on the pack, and the panel says so.
const STEPS = [];
for (const key of [1, 0.86, 0.74, 0.62, 0.5, 0.4, 0.32]) {
  for (const density of [0, 1, 2, 3]) {
    for (const text of [1.4, 1.2, 1, 0.9, 0.8, 0.72, 0.64, 0.58]) STEPS.push({ key, text, density });
  }
}
for (const text of [0.5, 0.43, 0.36]) STEPS.push({ key: 0.28, text, density: 3 });
const LAST = STEPS.length - 1;
const WIDE_EM = 30; // from here on facts stand in two columns

function apply(container, index) {
  const { key, text, density } = STEPS[index];
  container.style.setProperty("--key-share", key);
  container.style.setProperty("--text-share", text);
  container.dataset.density = density;
  for (const panel of container.children) {
    panel.classList.toggle("is-wide", panel.clientWidth / parseFloat(getComputedStyle(panel).fontSize) >= WIDE_EM);
  }
}

const isTooHigh = (part) => part.scrollHeight > part.clientHeight + 1;
const isTooWide = (part) => part.scrollWidth > part.clientWidth + 1;

function overflows(container) {
  return [...container.children].some((panel) => {
    const facts = panel.querySelector(".facts");
    return isTooHigh(panel) || isTooWide(panel) || (facts && isTooHigh(facts)) ||
      [...panel.querySelectorAll(".facts, .facts-side, .key, .price, table")].some(isTooWide);
  });
}

function fits(container, index) {
  apply(container, index);
  return !overflows(container);
}

/** Smaller text of the same key size and density always fits better: try a group's last step, then halve. */
function firstThatFits(container, from) {
  let index = from;
  while (index < LAST) {
    let last = index;
    while (STEPS[last + 1]?.key === STEPS[index].key && STEPS[last + 1].density === STEPS[index].density) last++;
    if (fits(container, last)) {
      let low = index;
      let high = last;
      while (low < high) {
        const middle = (low + high) >> 1;
        if (fits(container, middle)) high = middle;
        else low = middle + 1;
      }
      return low;
    }
    index = last + 1;
  }
  return LAST;
}

/**
 * Fit panels into `container`. What fits is worked out beforehand, while nobody is at the shelf, in `measure`: an
 * invisible twin of the container; a reach then costs one or two layouts.
 */
export function makeFitter(container, measure, makePanel) {
  const known = new Map(); // "products" and "product alone among n" -> index of a step

  let rounds = 0;

  function alone(gtin, count) {
    const name = `${gtin} of ${count}`;
    if (!known.has(name)) {
      measure.dataset.panels = String(count);
      const others = Array.from({ length: count - 1 }, () => {
        const empty = document.createElement("article");
        empty.className = "panel";
        return empty;
      });
      measure.replaceChildren(makePanel(gtin), ...others);
      known.set(name, firstThatFits(measure, 0));
      measure.replaceChildren();
    }
    return known.get(name);
  }

  function fit(gtins) {
    if (!gtins.length) return;
    const name = gtins.join(" ");
    if (!known.has(name)) {
      let index = Math.max(...gtins.map((gtin) => alone(gtin, gtins.length)));
      while (!fits(container, index) && index < LAST) index++;
      known.set(name, index);
    }
    apply(container, known.get(name));
  }

  /** Work out every product for one, two and three panels, a piece at a time. */
  function prepare(gtins) {
    const waiting = [1, 2, 3].flatMap((count) => gtins.map((gtin) => [gtin, count]));
    const later = window.requestIdleCallback ?? ((action) => setTimeout(action, 20));
    const mine = ++rounds;
    const work = () => {
      const next = waiting.shift();
      if (!next || mine !== rounds) return;
      alone(...next);
      later(work);
    };
    later(work);
  }

  return { fit, prepare, forget: () => known.clear() };
}
