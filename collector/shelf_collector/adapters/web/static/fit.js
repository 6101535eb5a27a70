// The largest letters with which everything on the panels can be read.

// The key line (the product's name and price) has the size that is read from where people stand; the rest is for whoever
// has a hand at the shelf. What is least needed is left out before letters get small: 1 the ingredients, 2 how to cook,
// 3 the recipe and the small rows of the table, 4 map, packaging and code, 5 most of the table. Allergens, price and
// origin always stay. Three rounds: comfortable, close, and as small as it must be.
const ROUNDS = [
  { keys: [1, 0.88, 0.76, 0.66], texts: [[1.5, 1.3, 1.15, 1, 0.9], [1.1, 1, 0.9], [1, 0.9], [0.95, 0.86]] },
  { keys: [0.88, 0.76, 0.66, 0.56, 0.47], texts: [[0.82], [0.82], [0.82], [0.78, 0.72], [0.86, 0.78, 0.72], [0.8]] },
  { keys: [0.66, 0.56, 0.47, 0.39, 0.32], texts: [[], [], [], [0.66], [0.66, 0.6], [0.72, 0.64, 0.58]] },
];
const STEPS = [];
for (const { keys, texts } of ROUNDS) {
  for (const key of keys) {
    texts.forEach((sizes, density) => sizes.forEach((text) => STEPS.push({ key, text, density })));
  }
}
for (const text of [0.52, 0.45, 0.38]) STEPS.push({ key: 0.28, text, density: 5 });
const LAST = STEPS.length - 1;
const COLUMN_EM = { bar: 13.5, wide: 13, tall: 13 };
const MOST_COLUMNS = 4;

/** Try a step on a panel: how wide and high it is decides how its parts stand. Returns what `dress` needs. */
function apply(panel, index) {
  dress(panel, { index, shape: panel.dataset.shape ?? "tall", columns: 1 });
  const width = panel.clientWidth;
  const height = panel.clientHeight;
  const fontPx = parseFloat(getComputedStyle(panel).fontSize);
  const shape = width > height * 2.6 ? "bar" : width > height * 1.12 && width > fontPx * 34 ? "wide" : "tall";
  const room = shape === "wide" ? width * 0.54 : shape === "bar" ? width * 0.54 : width;
  const columns = Math.max(1, Math.min(MOST_COLUMNS, Math.floor(room / (fontPx * COLUMN_EM[shape]))));
  const look = { index, shape, columns };
  dress(panel, look);
  return look;
}

/** Put a look on a panel without asking the browser anything: one layout, when it paints. */
function dress(panel, { index, shape, columns }) {
  const { key, text, density } = STEPS[index];
  panel.style.setProperty("--key-share", key);
  panel.style.setProperty("--text-share", text);
  panel.style.setProperty("--columns", columns);
  panel.dataset.density = density;
  panel.dataset.shape = shape;
}

const isTooHigh = (part) => part.scrollHeight > part.clientHeight + 1;
const isTooWide = (part) => part.scrollWidth > part.clientWidth + 1;

function overflows(panel) {
  return isTooHigh(panel) || isTooWide(panel) || [...panel.querySelectorAll(".facts, .extras, .choices-either")].some(isTooHigh) ||
    [...panel.querySelectorAll(".panel-head, .facts, .extras, .fact, .key, .price, table, .choices-either")].some(isTooWide);
}

function fits(panel, index) {
  apply(panel, index);
  return !overflows(panel);
}

// Steps of one key size and density: smaller text always fits better within a group.
const GROUPS = [];
STEPS.forEach((step, index) => {
  const before = STEPS[index - 1];
  if (before?.key === step.key && before.density === step.density) GROUPS.at(-1).last = index;
  else GROUPS.push({ first: index, last: index });
});
const STRIDE = 4;

/**
 * The index of the first step that fits, a trial (one layout) at a time: every fourth group, then those before the first
 * that fits, then halving within the group. What it ends with was tried and fits; LAST when nothing does.
 */
function* search(panel) {
  let from = 0;
  let found = GROUPS.length - 1;
  for (let at = STRIDE - 1; at < GROUPS.length; at += STRIDE) {
    yield;
    if (fits(panel, GROUPS[at].last)) {
      found = at;
      break;
    }
    from = at + 1;
  }
  for (let at = from; at < found; at++) {
    yield;
    if (fits(panel, GROUPS[at].last)) {
      found = at;
      break;
    }
  }
  let { first: low, last: high } = GROUPS[found];
  while (low < high) {
    yield;
    const middle = (low + high) >> 1;
    if (fits(panel, middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}

/**
 * Fit panels side by side. What fits is worked out beforehand, while nobody is at the shelf, in `measure`: an
 * invisible twin of where they stand; a reach then costs one layout, and never waits for more than one trial of the
 * work that goes on meanwhile. `makePanel` makes a panel of one of `wanted`, and `nameOf` names what decides about its
 * size.
 */
export function makeFitter(measure, makePanel) {
  const known = new Map(); // "product among n" -> its look
  let rounds = 0;
  let uses = 0; // of `measure`: whoever finds that somebody else used it begins anew

  function begin(one, count) {
    uses++;
    measure.dataset.panels = String(count);
    const others = Array.from({ length: count - 1 }, () => {
      const empty = document.createElement("article");
      empty.className = "panel";
      return empty;
    });
    const panel = makePanel(one);
    measure.replaceChildren(panel, ...others);
    return { panel, trials: search(panel), mine: uses };
  }

  function end(name, work, index) {
    known.set(name, apply(work.panel, index));
    measure.replaceChildren();
    measure.dataset.panels = "0";
  }

  function alone(one, count, nameOf, room) {
    const name = `${nameOf(one)} of ${count}${room}`;
    if (!known.has(name)) {
      const work = begin(one, count);
      let trial = work.trials.next();
      while (!trial.done) trial = work.trials.next();
      end(name, work, trial.value);
    }
    return known.get(name);
  }

  function fit(wanted, nameOf, room = "") {
    const looks = wanted.map((one) => alone(one, wanted.length, nameOf, room));
    wanted.forEach((one, at) => dress(one.element, looks[at]));
  }

  /** Work out every product for one, two and three panels, a trial at a time, whenever nothing else is to do. */
  function prepare(all, nameOf) {
    const waiting = [1, 2, 3].flatMap((count) => all.map((one) => [one, count]));
    const later = window.requestIdleCallback ?? ((action) => setTimeout(() => action(), 20));
    const mine = ++rounds;
    let work = null;
    const step = () => {
      if (mine !== rounds) return;
      while (waiting.length && known.has(`${nameOf(waiting[0][0])} of ${waiting[0][1]}`)) {
        waiting.shift();
        work = null;
      }
      if (!waiting.length) return;
      if (!work || work.mine !== uses) work = begin(...waiting[0]);
      const trial = work.trials.next();
      if (trial.done) end(`${nameOf(waiting[0][0])} of ${waiting[0][1]}`, work, trial.value);
      later(step);
    };
    later(step);
  }

  return { fit, prepare, forget: () => known.clear() };
}

// -- the page at rest -----------------------------------------------------------------------------------------------

/** Leave parts out, the last first, until nothing overflows or only `least` of them are left. Returns how many show. */
function leaveOut(parts, least, isFull) {
  for (const part of parts) part.hidden = false;
  let count = parts.length;
  while (count > least && isFull()) parts[--count].hidden = true;
  return count;
}

/** Only whole offers, and always what is in season: letters get a little smaller before an offer is left out. */
export function fitOffers(place) {
  const offers = [...place.querySelectorAll(".offer-list li")];
  const season = [...place.querySelectorAll(".season-list li")];
  const isFull = () => isTooHigh(place);
  const at = (scale) => {
    place.style.setProperty("--scale", scale);
    const list = place.querySelector(".offer-list");
    if (list) list.hidden = false;
    for (const one of season) one.hidden = false;
    let count = leaveOut(offers, 1, isFull);
    const seasonal = leaveOut(season, 1, isFull);
    if (list && isFull()) {
      list.hidden = true;
      count = 0;
    }
    return count + seasonal / 2;
  };
  let best = { scale: 1, worth: -1 };
  for (const scale of [1, 0.9, 0.8, 0.7]) {
    const worth = at(scale);
    if (worth > best.worth) best = { scale, worth };
    if (worth === offers.length + season.length / 2) break;
  }
  at(best.scale);
}

/** Every line of the filter's answers, in letters that let all of them stand there; the last are left out if need be. */
export function fitFilterList(list) {
  const lines = [...list.children];
  const isFull = () => isTooHigh(list) || isTooWide(list);
  for (const line of lines) line.hidden = false;
  for (const scale of [1, 0.9, 0.8, 0.7, 0.6]) {
    list.style.setProperty("--scale", scale);
    if (!isFull()) return;
  }
  leaveOut(lines, 1, isFull);
}
