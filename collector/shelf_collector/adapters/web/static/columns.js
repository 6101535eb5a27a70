// Which parts of a panel have room, and in which column each stands: plain arithmetic, without a browser.

// Name, price and allergens always stand there. The rest comes in the order of need: a step is a part, or more of one; a
// step for which there is no room is passed over, and the next is tried.
export const STEPS = [
  ["origin", 1], ["nutrition", 1], ["climate", 1], ["nutrition", 2], ["packaging", 1], ["origin", 2], ["ingredients", 1],
  ["nutrition", 3], ["origin", 3], ["nutrition", 4], ["link", 1], ["recipe", 1], ["recipe", 2], ["rest", 1], ["rest", 2],
].map(([part, size]) => ({ part, size, name: `${part} ${size}` }));
export const READING_ORDER = ["origin", "climate", "packaging", "nutrition", "ingredients", "recipe", "link", "rest"];
// What stands on every pack: when it is left out, the line "rest" says so, with room for the first two or for all four.
const ON_PACK = ["packaging", "ingredients", "origin", "nutrition"];
export const leftOut = (has, sizes) => ON_PACK.filter((name) => has(name) && !sizes[name]);
const restSize = (missing) => (missing.some((name) => ON_PACK.indexOf(name) > 1) ? 2 : 1);
export const upTo = (name) => STEPS.findIndex((step) => step.name === name) + 1;

const MOST_TRIES = 4000;

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
