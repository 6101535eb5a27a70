// The largest letters with which the panels can be read, the same for every name, and under them all that fits.

// The name's size, as a share of what is read from where people stand, and the text's for whoever has a hand at the shelf.
const KEYS = [1, 0.88, 0.76, 0.66, 0.56, 0.47, 0.39, 0.32, 0.28];
const TEXTS = [1.5, 1.3, 1.15, 1, 0.9, 0.82, 0.72, 0.66, 0.6, 0.52, 0.45, 0.38];
const SMALLEST_FOR_MORE = 0.6; // of the text: to say more, it does not get smaller
const SMALLEST_PX = 11; // as in display.css
const BREAKS_FROM = 0.47; // a word that is longer than its line is broken rather than every name made smaller still

// Name, price and allergens always stand there. The rest comes in the order of need: a step is a part, or more of one; a
// step for which there is no room is passed over, and the next is tried.
const STEPS = [
  ["origin", 1], ["nutrition", 1], ["climate", 1], ["nutrition", 2], ["packaging", 1], ["origin", 2], ["ingredients", 1],
  ["nutrition", 3], ["origin", 3], ["nutrition", 4], ["link", 1], ["recipe", 1], ["recipe", 2], ["rest", 1], ["rest", 2],
].map(([part, size]) => ({ part, size, name: `${part} ${size}` }));
const READING_ORDER = ["origin", "climate", "packaging", "nutrition", "ingredients", "recipe", "link", "rest"];
// What stands on every pack: when it is left out, the line "rest" says so, with room for the first two or for all four.
const ON_PACK = ["packaging", "ingredients", "origin", "nutrition"];
const leftOut = (has, sizes) => ON_PACK.filter((name) => has(name) && !sizes[name]);
const restSize = (missing) => (missing.some((name) => ON_PACK.indexOf(name) > 1) ? 2 : 1);
const upTo = (name) => STEPS.findIndex((step) => step.name === name) + 1;

// Which letters are worth leaving something out for. In each round the largest letters win with which its wish fits; with
// `warning` 1 allergens are read from half a metre at least. With a wish of -1 not even what is left out has to be named.
const ROUNDS = [
  { wish: upTo("recipe 2"), keys: [1, 0.66], texts: [1.5, 0.9], warning: 1 },
  { wish: upTo("nutrition 3"), keys: [1, 0.47], texts: [1.15, 0.72], warning: 1 },
  { wish: upTo("ingredients 1"), keys: [0.76, 0.39], texts: [0.9, 0.66], warning: 1 },
  { wish: upTo("origin 2"), keys: [0.66, 0.39], texts: [0.82, 0.6], warning: 0.85 },
  { wish: upTo("nutrition 2"), keys: [0.56, 0.32], texts: [0.72, 0.6], warning: 0.75 },
  { wish: upTo("origin 1"), keys: [0.47, 0.28], texts: [0.72, 0.38], warning: 0.6 },
  { wish: 0, keys: [0.28, 0.28], texts: [0.45, 0.38], warning: 0.4 },
  { wish: -1, keys: [0.28, 0.28], texts: [0.38, 0.38], warning: 0.4 },
];
// A single panel can be read from where people stand: the smallest text there is, before a smaller name.
const ROUNDS_ALONE = [
  { wish: upTo("nutrition 3"), keys: [1, 1], texts: [1.5, 0.72], warning: 1 },
  { wish: upTo("origin 2"), keys: [1, 1], texts: [1.15, 0.6], warning: 1 },
  ...ROUNDS,
];
const between = (all, [most, least]) => all.filter((one) => one <= most && one >= least);
const COLUMN_EM = 11;
const COLUMN_GAP_EM = 1.5;
const PART_GAP_EM = 0.75;
const MOST_COLUMNS = 4;
const MOST_TRIES = 4000;

const isTooHigh = (part) => part.scrollHeight > part.clientHeight + 1;
const isTooWide = (part) => part.scrollWidth > part.clientWidth + 1;

// -- which parts stand in which column: plain arithmetic ------------------------------------------------------------

/**
 * Put parts into columns. `parts` is a list of names, `heights(name, kind)` what one takes in a column of a kind,
 * `columns` a list of {kind, room}, all in px. Returns the columns' lists of names, as even as can be; null when there
 * is no room.
 */
export function pack(parts, heights, columns, gap) {
  const order = [...parts].sort((one, other) => heights(other, columns[0].kind) - heights(one, columns[0].kind));
  const filled = columns.map(() => 0);
  const place = new Map();
  let best = null;
  let tries = 0;
  const put = (at) => {
    if (at === order.length) {
      const cost = filled.reduce((sum, used, index) => sum + (used / Math.max(1, columns[index].room)) ** 2, 0);
      if (!best || cost < best.cost) best = { cost, place: new Map(place) };
      return;
    }
    const seen = new Set();
    for (const [index, { kind, room }] of columns.entries()) {
      const state = `${kind} ${filled[index]}`; // columns that are alike are tried once
      if (seen.has(state) || tries++ > MOST_TRIES) continue;
      seen.add(state);
      const more = heights(order[at], kind) + (filled[index] ? gap : 0);
      if (filled[index] + more > room) continue;
      filled[index] += more;
      place.set(order[at], index);
      put(at + 1);
      filled[index] -= more;
    }
  };
  put(0);
  if (!best) return null;
  const rank = (part) => READING_ORDER.indexOf(part);
  const lists = columns.map((_, index) => parts.filter((part) => best.place.get(part) === index).sort((a, b) => rank(a) - rank(b)));
  // Columns of one kind stand in the order in which they are read.
  const alike = (kind) => lists.filter((_, index) => columns[index].kind === kind);
  const first = (list) => (list.length ? rank(list[0]) : READING_ORDER.length);
  const sorted = new Map([...new Set(columns.map(({ kind }) => kind))].map((kind) => [kind, alike(kind).sort((a, b) => first(a) - first(b))]));
  return columns.map(({ kind }) => sorted.get(kind).shift());
}

/**
 * What of `present` (names of parts) has room, step by step: {sizes: {part: size}, columns: lists of parts}; what is left
 * out is named in the part "rest". Null when one of the first `wish` steps has no room, or the line for what is left out.
 * `heights(step name, kind)` is what a part takes in a size.
 */
export function arrange(present, heights, columns, gap, wish) {
  const told = (sizes) => {
    const missing = present.has("rest") ? leftOut((name) => present.has(name), sizes) : [];
    return missing.length ? { ...sizes, rest: restSize(missing) } : sizes;
  };
  const place = (sizes) => pack(Object.keys(sizes), (one, kind) => heights(`${one} ${sizes[one]}`, kind), columns, gap);
  let sizes = {};
  let lists = place(told(sizes));
  if (!lists) return wish >= 0 ? null : { sizes, columns: columns.map(() => []) };
  for (const [index, { part, size }] of STEPS.entries()) {
    if (part === "rest" || !present.has(part)) continue;
    if (size > 1 && !sizes[part]) continue; // no room for less of it
    const trial = { ...sizes, [part]: size };
    const found = place(told(trial));
    if (found) [sizes, lists] = [trial, found];
    else if (index < wish) return null;
  }
  return { sizes: told(sizes), columns: lists };
}

// -- how a panel looks ------------------------------------------------------------------------------------------------

const partsOf = new WeakMap(); // panel -> its parts by name, wherever they stand now
const looks = new WeakMap(); // panel -> the look it has

function parts(panel) {
  let found = partsOf.get(panel);
  if (!found) {
    found = new Map(READING_ORDER.map((name) => [name, panel.querySelector(`.fact-${name}`)]).filter(([, part]) => part));
    partsOf.set(panel, found);
    panel.querySelector(".extras")?.remove();
  }
  return found;
}

function element(className, ...children) {
  const one = document.createElement("div");
  one.className = className;
  one.append(...children);
  return one;
}

function size(panel, { key, text, warning, shape, isForced = false }) {
  panel.style.setProperty("--key-share", key);
  panel.style.setProperty("--warning-share", warning);
  panel.style.setProperty("--text-share", text);
  panel.dataset.shape = shape;
  panel.toggleAttribute("data-breaks", key <= BREAKS_FROM);
  panel.toggleAttribute("data-forced", isForced);
}

function nameRest(rest, missing) {
  rest.querySelector("strong").textContent = missing.map((name) => rest.dataset[name]).join(", ");
}

/** Put a look on a panel without asking the browser anything: one layout, when it paints. */
function dress(panel, look) {
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
    facts.before(lean);
  }
  facts.replaceChildren(...columns);
}

// -- what fits ----------------------------------------------------------------------------------------------------------

/**
 * Tries letters on one panel. Everything that is to be known of a pair of sizes comes from one layout: how much room the
 * head leaves, and how high each part is in each size, from copies in columns without height.
 */
class Trials {
  constructor(panel) {
    this.panel = panel;
    this.facts = panel.querySelector(".facts");
    this.seen = new Map();
    this.known = new Set();
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
    this.facts.before(this.lean);
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
    const shapes = this.width > this.height * 2.6 ? ["bar"] : isWide ? ["wide", "tall"] : ["tall"];
    return shapes.map((shape) => {
      const room = this.width * (shape === "tall" ? 1 : 0.53) - em * 2.4;
      const columns = Math.floor((room + em * COLUMN_GAP_EM) / (em * (COLUMN_EM + COLUMN_GAP_EM)));
      return { shape, em, most: Math.max(1, Math.min(MOST_COLUMNS, columns)) };
    });
  }

  called({ key, text, warning }, shape, count) {
    return `${key} ${text} ${warning} ${shape} ${count}`;
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
    const watched = [...panel.querySelectorAll(".panel-head, .key, .price, .choices-either, .fact-allergens, .probe .fact, .probe table")];
    const isFull = isTooHigh(panel) || watched.some(isTooWide) || [...panel.querySelectorAll(".choices-either")].some(isTooHigh);
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

  /** The look with these letters when at least the wish fits, else null. Yields before each layout. */
  * look(letters, wish) {
    for (const { shape, most, em } of this.shapesWith(letters.text)) {
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
const worth = ({ text, sizes = {} }) => 4 * text + STEPS.filter(({ part, size }) => part !== "rest" && size <= (sizes[part] ?? 0)).length;

/** The look of a panel: the first round whose wish fits, its largest name, then its largest text. */
function* search(panel, count, onlyKey) {
  const trials = new Trials(panel);
  for (const { wish, keys: keyRange, texts: textRange, warning } of count === 1 ? ROUNDS_ALONE : ROUNDS) {
    const keys = onlyKey ? [onlyKey] : between(KEYS, keyRange);
    const texts = between(TEXTS, textRange);
    if (!(yield* trials.look({ key: keys.at(-1), text: texts.at(-1), warning }, wish))) continue;
    for (const key of keys) {
      let best = yield* trials.look({ key, text: texts.at(-1), warning }, wish);
      if (!best) continue;
      let [low, high] = [0, texts.length - 1];
      while (low < high) {
        const middle = (low + high) >> 1;
        const look = yield* trials.look({ key, text: texts[middle], warning }, wish);
        if (look) [best, high] = [look, middle];
        else low = middle + 1;
      }
      // Somewhat smaller text, when more is then said.
      for (const text of TEXTS.filter((one) => one < best.text && one >= SMALLEST_FOR_MORE)) {
        const look = yield* trials.look({ key, text, warning }, wish);
        if (look && worth(look) > worth(best)) best = look;
      }
      return best;
    }
  }
  const [key, text] = [onlyKey ?? KEYS.at(-1), TEXTS.at(-1)];
  return { key, text, warning: ROUNDS.at(-1).warning, shape: trials.shapesWith(text).at(-1).shape, sizes: {}, columns: [[]], isForced: true };
}

// For a product that nobody worked out yet, while a hand is at the shelf: letters that fit nearly always, in few layouts.
const HASTY = [[0.56, 0.72, 1], [0.47, 0.66, 0.85], [0.39, 0.6, 0.75], [0.28, 0.45, 0.6], [0.28, 0.38, 0.4]];
const HASTY_ALONE = [[1, 0.82, 1], [0.76, 0.72, 1], ...HASTY];

function* hastySearch(panel, count, onlyKey) {
  const trials = new Trials(panel);
  for (const [key, text, warning] of count === 1 ? HASTY_ALONE : HASTY) {
    const look = yield* trials.look({ key: onlyKey ?? key, text, warning }, 0);
    if (look) return look;
  }
  return yield* search(panel, count, onlyKey);
}

const PACE_MS = 20; // between two trials while nobody waits for them: the machine has other work

/**
 * Fit panels side by side. What fits is worked out beforehand, while nobody is at the shelf, in `measure`: an
 * invisible twin of where they stand; a reach then costs one layout, and never waits for more than one trial of the
 * work that goes on meanwhile. What is reached for before that gets letters in haste, and `onReady` is called when there
 * are better ones. `makePanel` makes a panel of one of `wanted`, `nameOf` names what decides about its size, `room` names
 * how much room there is besides.
 */
export function makeFitter(measure, makePanel, onReady) {
  const known = new Map(); // a task's name -> its look
  let urgent = []; // tasks somebody looks at
  let queue = []; // tasks for later
  let smaller = () => []; // what is to be done after them: names as small as others beside them
  let work = null;
  let isRunning = false;
  let uses = 0; // of `measure`: whoever finds that somebody else used it begins anew

  const taskOf = (one, count, nameOf, room, key) => ({ one, count, key, name: `${nameOf(one)} of ${count} ${room} ${key ?? ""}` });

  function begin(task, how) {
    const { one, count, key } = task;
    uses++;
    measure.dataset.panels = String(count);
    const others = Array.from({ length: count - 1 }, () => {
      const empty = document.createElement("article");
      empty.className = "panel";
      return empty;
    });
    const panel = makePanel(one);
    measure.replaceChildren(panel, ...others);
    return { task, trials: how(panel, count, key), mine: uses };
  }

  function clear() {
    measure.replaceChildren();
    measure.dataset.panels = "0";
  }

  function inHaste(task) {
    const { trials } = begin(task, hastySearch);
    let trial = trials.next();
    while (!trial.done) trial = trials.next();
    clear();
    return trial.value;
  }

  /**
   * The same size for every name: that of the one which needs the smallest; what it says no name counts for nothing.
   * Returns whether all letters are the best there are.
   */
  function fit(wanted, nameOf, room) {
    const count = wanted.length;
    const late = [];
    const lookOf = (task) => {
      if (known.has(task.name)) return known.get(task.name);
      late.push(task);
      return inHaste(task);
    };
    const own = wanted.map((one) => lookOf(taskOf(one, count, nameOf, room)));
    const isNamed = wanted.map(({ element: panel }) => Boolean(panel.dataset.gtin));
    const key = Math.min(...own.filter((_, at) => isNamed[at]).map((look) => look.key));
    wanted.forEach((one, at) => {
      const isRight = !isNamed[at] || own[at].key === key;
      dress(one.element, isRight ? own[at] : lookOf(taskOf(one, count, nameOf, room, key)));
    });
    const isOwnKnown = !late.some((task) => !task.key);
    urgent = late.filter((task) => !task.key || isOwnKnown); // a size that was chosen in haste is not worth more work
    if (urgent.length) run();
    return !late.length;
  }

  /** Work out every product for one, two and three panels, a trial at a time, whenever nothing else is to do. */
  function prepare(all, nameOf, room) {
    queue = [1, 2, 3].flatMap((count) => all.map((one) => taskOf(one, count, nameOf, room)));
    smaller = () => [2, 3].flatMap((count) => {
      const own = all.map((one) => [one, known.get(taskOf(one, count, nameOf, room).name)?.key ?? 0]);
      const keys = [...new Set(own.map(([, key]) => key))];
      return own.flatMap(([one, key]) =>
        keys.filter((other) => other < key).map((other) => taskOf(one, count, nameOf, room, other)));
    });
    delete measure.dataset.prepared;
    run();
  }

  const idly = window.requestIdleCallback ?? ((action) => setTimeout(() => action(), 5));

  function run() {
    if (isRunning) return;
    isRunning = true;
    plan();
  }

  function plan() {
    if (urgent.length) idly(step, { timeout: 100 });
    else setTimeout(() => idly(step), PACE_MS);
  }

  function step() {
    const isAwaited = urgent.length > 0;
    urgent = urgent.filter(({ name }) => !known.has(name));
    if (isAwaited && !urgent.length) onReady();
    while (queue.length && known.has(queue[0].name)) queue.shift();
    if (!queue.length && !urgent.length) {
      queue = smaller().filter(({ name }) => !known.has(name));
      smaller = () => [];
    }
    const task = urgent[0] ?? queue[0];
    if (!task) {
      isRunning = false;
      measure.dataset.prepared = "yes";
      return;
    }
    if (work?.task.name !== task.name || work.mine !== uses) work = begin(task, search);
    const trial = work.trials.next();
    if (trial.done) {
      known.set(task.name, trial.value);
      work = null;
      clear();
    }
    plan();
  }

  function forget() {
    known.clear();
    urgent = [];
    queue = [];
    work = null;
  }

  return { fit, prepare, forget };
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
