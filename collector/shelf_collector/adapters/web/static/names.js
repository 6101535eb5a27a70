// A product's name on a panel: its first words as large as is read from afar, on a few lines; the others smaller below.
// Nothing of a name is thrown away, and nothing is shortened that the shop did not shorten itself.

const SHY = "\u00ad";
const LONGEST_WORD = 30;
const TIGHTER_EM = 0.03; // as in display.css: closer letters before a word is broken
const names = new WeakMap(); // a panel's name -> {text, first: what is large, besides: what stands below, pieces, widths}

function nameOf(key) {
  let found = names.get(key);
  if (!found) {
    const text = key.textContent.trim().replace(/\s+/g, " ");
    const short = key.dataset.short ?? "";
    // Where long words may be broken, as the server's dictionary says, best where two words meet: "Si|naas|ap|pel||sap".
    const broken = (key.dataset.pieces ?? "").split(" ").filter(Boolean);
    const pieces = new Map(broken.map((word) => [word.replaceAll("|", ""), waysToBreak(word)]));
    found = { text, first: short || text, besides: short && !text.endsWith(short) ? text : "", pieces, widths: null };
    names.set(key, found);
  }
  return found;
}

/** The pieces of a word in the ways in which it may be broken, the best first. */
function waysToBreak(word) {
  const all = word.split("|").filter(Boolean);
  const best = word.split("||").map((part) => part.replaceAll("|", ""));
  return best.length > 1 && best.length < all.length ? [best, all] : [all];
}

/** How wide words, pieces, a space and a hyphen are in letters of 1 px: from one layout. */
function widthsOf(key) {
  const name = nameOf(key);
  if (name.widths) return name.widths;
  const probe = key.cloneNode(false);
  probe.removeAttribute("class");
  probe.className = "key name-probe";
  const texts = new Set(["-", "n n", "nn"]);
  for (const word of name.first.split(" ")) {
    for (const piece of [word, ...(name.pieces.get(word) ?? []).flat()]) texts.add(piece);
  }
  const parts = [...texts].map((text) => Object.assign(document.createElement("span"), { textContent: text }));
  probe.replaceChildren(...parts);
  key.after(probe);
  const sizePx = parseFloat(getComputedStyle(probe).fontSize);
  const found = new Map(parts.map((part) => [part.textContent, part.getBoundingClientRect().width / sizePx]));
  probe.remove();
  found.set(" ", found.get("n n") - found.get("nn"));
  name.widths = found;
  return found;
}

/**
 * How the name stands on at most `most` lines of a width (in letters' sizes): {lines, words, breaks, isTight}; `words` is
 * how many of its words are large, `breaks` which of them are broken. Null when not even the first word has room.
 */
export function layName(key, widthEm, most) {
  const laid = lay(key, widthEm, most, 0);
  if (laid && !laid.breaks.length && laid.words === nameOf(key).first.split(" ").length) return laid;
  const tight = lay(key, widthEm, most, TIGHTER_EM);
  const isBetter = tight && (!laid || tight.words > laid.words || tight.breaks.length < laid.breaks.length);
  return isBetter ? { ...tight, isTight: true } : laid;
}

function lay(key, widthEm, most, closerEm) {
  const known = widthsOf(key);
  const wideOf = (text) => known.get(text) - text.length * closerEm;
  const hyphen = wideOf("-");
  const { first, pieces: broken } = nameOf(key);
  const words = first.split(" ");
  const breaks = [];
  let [lines, used, fitting] = [1, 0, null];
  for (const [index, word] of words.entries()) {
    const isBroken = wideOf(word) > widthEm;
    const all = (isBroken && broken.get(word)) || [[word]];
    const ways = all.filter((way, at) => at === all.length - 1 || way.every((piece, part) => wideOf(piece) + (part < way.length - 1 && endOf(piece) ? hyphen : 0) <= widthEm));
    const laid = ways.map((pieces) => layPieces(pieces, { lines, used }, widthEm, wideOf));
    const fewest = Math.min(...laid.map((one) => one.lines));
    const chosen = laid.findIndex((one) => one.lines === fewest);
    ({ lines, used } = laid[chosen]);
    if (isBroken) breaks.push({ index, pieces: ways[chosen] });
    if (lines > most) break;
    fitting = { lines, words: index + 1 };
  }
  if (!fitting) return partOfWord(words[0], wideOf, widthEm, most);
  // No small word at the end of what is large: "with" belongs to what follows.
  let count = fitting.words;
  if (count < words.length) while (count > 1 && words[count - 1].length <= 3) count--;
  return { lines: fitting.lines, words: count, breaks: breaks.filter(({ index }) => index < count) };
}

/** What a piece of a word ends with where a line ends: a hyphen, which a piece may have of its own ("Alcohol-free"). */
const endOf = (piece) => (piece.endsWith("-") ? "" : SHY);

/** Where the pieces of a word end that begins on the last of so many lines, of which so much is used. */
function layPieces(pieces, { lines, used }, widthEm, wideOf) {
  for (const [at, piece] of pieces.entries()) {
    const wide = wideOf(piece);
    const before = used && !at ? wideOf(" ") : 0;
    const behind = at < pieces.length - 1 && endOf(piece) ? wideOf("-") : 0;
    if (used && used + before + wide + behind > widthEm) [lines, used] = [lines + 1, 0];
    else used += before;
    if (wide + behind > widthEm) lines += Math.ceil((wide + behind) / widthEm) - 1; // breaks anywhere
    used += Math.min(wide, widthEm);
  }
  return { lines, used };
}

/** A word that no language has: its first letters are large, as many as the lines hold. Null for a word that is one. */
function partOfWord(word, wideOf, widthEm, most) {
  if (word.length <= LONGEST_WORD || most < 3) return null;
  const letters = Math.floor((widthEm * 0.9 * word.length) / wideOf(word)) * most;
  return { lines: most, words: 0, letters, breaks: [{ index: 0, pieces: [word] }] };
}

/** Write the name as it was laid: large words, and the others below. Asks the browser nothing. */
export function writeName(key, laid) {
  const { text, first, besides } = nameOf(key);
  const words = first.split(" ");
  const { words: count, letters = 0, breaks } = laid ?? { words: words.length, breaks: [] };
  const broken = new Map(breaks.map(({ index, pieces }) => [index, pieces]));
  const written = words.map((word, index) => (broken.get(index) ?? [word]).reduce((said, piece) => said + endOf(said) + piece));
  const rest = besides || (letters ? first.slice(letters) : words.slice(count).join(" "));
  key.replaceChildren(letters ? first.slice(0, letters) : written.slice(0, count).join(" "));
  if (rest) key.append(letters ? "" : " ", Object.assign(document.createElement("span"), { className: "name-rest", textContent: rest }));
  key.toggleAttribute("data-breaks", breaks.length > 0);
  key.toggleAttribute("data-tight", laid?.isTight ?? false);
  if (!laid) key.textContent = text;
}

/** A text as it is said and compared: without the marks where words may break. */
export const plainText = (part) => part.textContent.replaceAll(SHY, "").trim().replace(/\s+/g, " ");
