// The largest letters with which a panel can be read, and beside them all that fits.

import { arrange, leftOut, STEPS, upTo } from "./columns.js";
import { element, nameRest, parts, size } from "./look.js";
import { layName } from "./names.js";

// Name and price: the share of the size that is read from where people stand. A smaller one only where nothing else helps:
// on a small screen, or with more warnings than have room.
const KEYS = [1, 0.88, 0.76, 0.66, 0.56, 0.47, 0.39, 0.32, 0.28, 0.24];
// How large warnings are, as a share of the size that is read from where people stand: on all of it they are read from
// there, as the name is; on half of it from half as far, on a quarter from half a metre when the name is from two.
const WARNINGS = [1, 0.94, 0.88, 0.82, 0.76, 0.71, 0.66, 0.62, 0.58, 0.54, 0.5, 0.46, 0.42, 0.38, 0.34, 0.3, 0.26];
const ENOUGH_WARNING = 0.5; // of the name: for less than that, some of the name stands below, smaller
const ENOUGH_CALM = 0.36; // as ENOUGH_WARNING, for what warns of nothing: a name is not made shorter for it
const LEAST_AFAR = 0.34; // of a name that is read from afar: before that, the name is smaller
const CALM_WARNING = 0.5; // beside another panel, for what warns of nothing
const NAME_LINES = [3, 2, 1, 4];
const HEADS_AT_LAST = [[3, 0.26], [2, 0.26], [3, 0.22], [2, 0.22], [3, 0.18], [2, 0.15], [3, 0.12], [1, 0.1]]; // a small screen, many warnings
const LEAST_LINE_EM = 3.7; // a shorter line than eight letters is none
// The text for whoever has a hand at the shelf, as a share of a quarter of the name's size.
const TEXTS = [1.5, 1.3, 1.15, 1, 0.9, 0.82, 0.72, 0.66, 0.6, 0.52, 0.45, 0.38];
const SMALLEST_FOR_MORE = 0.6; // to say more, it does not get smaller
const SMALLEST_PX = 11; // as in display.css

// Which text is worth leaving something out for. In each round the largest text wins with which its wish fits. With a
// wish of -1 not even what is left out has to be named.
const ROUNDS = [
  { wish: upTo("recipe 2"), texts: [1.5, 0.9] },
  { wish: upTo("nutrition 3"), texts: [1.15, 0.72] },
  { wish: upTo("ingredients 1"), texts: [0.9, 0.66] },
  { wish: upTo("origin 2"), texts: [0.82, 0.6] },
  { wish: upTo("nutrition 2"), texts: [0.72, 0.6] },
  { wish: upTo("origin 1"), texts: [0.72, 0.6] },
  { wish: 0, texts: [0.72, 0.6] },
];
const SMALL = [{ wish: 0, texts: [0.6, 0.45] }]; // on a small screen, before a smaller name
const AT_LAST = [{ wish: 0, texts: [0.6, 0.38] }, { wish: -1, texts: [0.38, 0.38] }];
const between = (all, [most, least]) => all.filter((one) => one <= most && one >= least);
const COLUMN_EM = 11;
const COLUMN_GAP_EM = 1.5;
const PART_GAP_EM = 0.75;
const MOST_COLUMNS = 4;

const isTooHigh = (part) => part.scrollHeight > part.clientHeight + 1;
const isTooWide = (part) => part.scrollWidth > part.clientWidth + 1;

/**
 * Tries letters on one panel. Everything that is to be known of a pair of sizes comes from one layout: how much room the
 * head leaves, and how high each part is in each size, from copies in columns without height.
 */
export class Trials {
  constructor(panel) {
    this.panel = panel;
    this.facts = panel.querySelector(".facts");
    this.name = panel.classList.contains("is-either") ? null : panel.querySelector(".key");
    this.seen = new Map();
    this.rooms = new Map();
    if (!this.facts) return;
    const all = parts(panel);
    this.present = new Set(all.keys());
    const copies = () => STEPS.filter(({ part }) => all.has(part)).map((step) => {
      const copy = all.get(step.part).cloneNode(true);
      copy.dataset.size = step.size;
      copy.dataset.step = step.name;
      if (step.part === "rest") nameRest(copy, leftOut((name) => all.has(name), {}).slice(0, step.size * 2));
      for (const drawing of copy.querySelectorAll("svg.map, svg.qr")) drawing.replaceChildren(); // its size is what counts
      return copy;
    });
    this.probes = { side: element("probe", ...copies()), lean: element("probe", ...copies()) };
    this.lean = element("column lean", this.probes.lean);
    this.facts.parentElement.after(this.lean);
  }

  /** The shapes the panel may have with this text, the best first, and how many columns then stand beside each other. */
  shapesWith(text) {
    if (!this.width) {
      size(this.panel, { key: 1, text: 1, warning: 1, shape: "tall" });
      this.width = this.panel.clientWidth;
      this.height = this.panel.clientHeight;
      this.fontPx = parseFloat(getComputedStyle(this.panel).fontSize);
    }
    const em = Math.max(SMALLEST_PX, this.fontPx * text);
    const isWide = this.width > this.height * 1.12 && this.width > em * 34;
    const shapes = this.width > this.height * 2.6 ? ["bar"] : isWide ? ["wide", "banner", "tall"] : ["tall"];
    return shapes.map((shape) => {
      const room = this.width * (shape === "tall" || shape === "banner" ? 1 : 0.53) - em * 2.4;
      const columns = Math.floor((room + em * COLUMN_GAP_EM) / (em * (COLUMN_EM + COLUMN_GAP_EM)));
      return { shape, em, most: Math.max(1, Math.min(MOST_COLUMNS, columns)) };
    });
  }

  /** How wide the name's lines are with this text, in px, and how large its letters are with a share of 1. */
  roomFor(text, shape) {
    const called = `${text} ${shape}`;
    if (!this.rooms.has(called)) {
      size(this.panel, { key: 1, text, warning: 0.26, shape });
      const price = this.panel.querySelector(".price strong");
      const letterPx = parseFloat(getComputedStyle(this.name).fontSize);
      const priceEm = price ? price.getBoundingClientRect().width / letterPx : 0;
      this.rooms.set(called, { widthPx: this.name.clientWidth, letterPx, priceEm });
    }
    return this.rooms.get(called);
  }

  /** The head with its name laid on its lines, and a price that is no wider than they are; null when that cannot be. */
  laid({ key, lines, warning, text }, shape) {
    if (!this.name) return { key, warning, text };
    const { widthPx, letterPx, priceEm } = this.roomFor(text, shape);
    const lineEm = widthPx / (letterPx * key);
    const name = lineEm >= LEAST_LINE_EM || key === KEYS.at(-1) ? layName(this.name, lineEm - 0.05, lines) : null;
    return name && { key, warning, text, name, price: priceEm ? Math.min(key, widthPx / (priceEm * letterPx)) : key };
  }

  called({ key, text, warning, name }, shape, count) {
    return `${key} ${text} ${warning} ${name?.words} ${name?.lines} ${shape} ${count}`;
  }

  /** What a layout with these letters says: {columns, heights, isFull}. */
  measure(letters, shape, count) {
    const name = this.called(letters, shape, count);
    if (this.seen.has(name)) return this.seen.get(name);
    const { panel, facts } = this;
    size(panel, { ...letters, shape });
    if (facts) {
      const empty = Array.from({ length: count - 1 }, () => element("column"));
      if (facts.children.length !== count) facts.replaceChildren(element("column", this.probes.side), ...empty);
      this.lean.hidden = shape !== "wide";
    }
    const watched = [...panel.querySelectorAll(".panel-head, .key, .price, .choices-either, .fact-allergens, .fact-allergens .lead, .probe .fact, .probe table")];
    const isFull = isTooHigh(panel) || watched.some(isTooWide) || [...panel.querySelectorAll(".choices-either, .aside")].some(isTooHigh);
    const found = { isFull, columns: [], heights: () => 0 };
    if (facts && !isFull) {
      const heights = new Map();
      const kinds = shape === "wide" ? ["side", "lean"] : ["side"];
      for (const kind of kinds) {
        for (const copy of this.probes[kind].children) heights.set(`${copy.dataset.step} ${kind}`, copy.getBoundingClientRect().height);
      }
      found.heights = (step, kind) => heights.get(`${step} ${kind}`);
      found.columns = Array.from({ length: count }, () => ({ kind: "side", room: facts.clientHeight + 0.5 }));
      if (shape === "wide") found.columns.push({ kind: "lean", room: this.lean.clientHeight + 0.5 });
    }
    this.seen.set(name, found);
    return found;
  }

  /** The look with this head and text when at least the wish fits, else null. Yields before each layout. */
  * look(head, wish) {
    for (const { shape, most, em } of this.shapesWith(head.text)) {
      const letters = this.laid(head, shape);
      if (!letters) continue;
      let isHeadTooLarge = true;
      // A single column is for the line that names what is left out, where little else has room.
      for (const count of new Set([most, Math.max(1, most - 1), ...(wish > 0 ? [] : [1])])) {
        if (!this.seen.has(this.called(letters, shape, count))) yield;
        const { isFull, columns, heights } = this.measure(letters, shape, count);
        if (isFull) continue;
        isHeadTooLarge = false;
        if (!this.facts) return { ...letters, shape };
        const found = arrange(this.present, heights, columns, em * PART_GAP_EM, wish);
        if (found) return { ...letters, shape, ...found };
      }
      if (!isHeadTooLarge) return null;
    }
    return null;
  }
}

/** How much a look says, and how large: a part or more of one is worth a quarter of the text's size. */
const worth = ({ text, sizes = {} }) => 4 * text + STEPS.filter(({ part, size: step }) => part !== "rest" && step <= (sizes[part] ?? 0)).length;

/** The largest warning with which a name of this size has room, and on how many lines that stands; null when none has. */
function* largestHead(trials, key, sizes, enough, text) {
  let best = null;
  for (const lines of NAME_LINES) {
    if (best && (lines === 4 || best.warning >= Math.min(enough * key, sizes[0]))) break;
    const larger = sizes.filter((one) => !best || one > best.warning);
    const fits = (warning) => trials.look({ key, lines, warning, text }, 0);
    if (!larger.length || !(yield* fits(larger.at(-1)))) continue;
    let [low, high] = [0, larger.length - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (yield* fits(larger[middle])) high = middle;
      else low = middle + 1;
    }
    best = { key, lines, warning: larger[low] };
  }
  return best;
}

/** The best look with one head: the first round whose wish fits, its largest text. */
function* fill(trials, head, rounds) {
  for (const { wish, texts: range } of rounds) {
    const texts = between(TEXTS, range);
    let best = yield* trials.look({ ...head, text: texts.at(-1) }, wish);
    if (!best) continue;
    let [low, high] = [0, texts.length - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      const look = yield* trials.look({ ...head, text: texts[middle] }, wish);
      if (look) [best, high] = [look, middle];
      else low = middle + 1;
    }
    // Somewhat smaller text, when more is then said.
    for (const text of TEXTS.filter((one) => one < best.text && one >= SMALLEST_FOR_MORE)) {
      const look = yield* trials.look({ ...head, text }, wish);
      if (look && worth(look) > worth(best)) best = look;
    }
    return best;
  }
  return null;
}

/**
 * The look of a panel: the largest name and price, then the largest warnings, and only then what else there is room for.
 * Where a name is smaller than is read from afar, warnings are at least half as large as it is.
 */
export function* search(panel, count) {
  const trials = new Trials(panel);
  const isCalm = count > 1 && !panel.querySelector(".allergen");
  const [most, enough] = isCalm ? [CALM_WARNING, ENOUGH_CALM] : [1, ENOUGH_WARNING];
  for (const key of KEYS) {
    const least = key === 1 ? LEAST_AFAR : Math.max(WARNINGS.at(-1), Math.min(most, key * ENOUGH_WARNING));
    const sizes = WARNINGS.filter((one) => one <= Math.min(most, key) && one >= least);
    for (const rounds of key === 1 ? [ROUNDS] : [ROUNDS, SMALL]) {
      const head = yield* largestHead(trials, key, sizes, enough, rounds.at(-1).texts[1]);
      const look = head && (yield* fill(trials, head, rounds));
      if (look) return look;
    }
  }
  for (const key of KEYS.slice(3)) {
    for (const [lines, warning] of HEADS_AT_LAST) {
      const look = yield* fill(trials, { key, lines, warning }, AT_LAST);
      if (look) return look;
    }
  }
  const [key, text] = [KEYS.at(-1), TEXTS.at(-1)];
  return { key, text, warning: 0.1, shape: trials.shapesWith(text).at(-1).shape, sizes: {}, columns: [[]], isForced: true };
}

// For a product that nobody worked out yet, while a hand is at the shelf: letters that fit nearly always, in few layouts.
const HASTY = [[1, 3, 0.76, 0.6], [1, 3, 0.5, 0.6], [1, 1, 0.42, 0.6], [0.66, 3, 0.3, 0.6], [0.47, 2, 0.26, 0.6], [0.28, 3, 0.18, 0.45], [0.28, 2, 0.12, 0.38]];

/** As search, in haste. */
export function* hastySearch(panel, count) {
  const trials = new Trials(panel);
  for (const [key, lines, warning, text] of HASTY) {
    const look = yield* trials.look({ key, lines, warning, text }, 0);
    if (look) return look;
  }
  return yield* search(panel, count);
}
