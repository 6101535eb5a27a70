// The page at rest: offers and the filter's answers, whole or not at all.

const isTooHigh = (part) => part.scrollHeight > part.clientHeight + 1;
const isTooWide = (part) => part.scrollWidth > part.clientWidth + 1;

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
    if (list) list.hidden = !offers.length; // the last one may be over
    for (const one of season) one.hidden = false;
    let count = leaveOut(offers, 1, isFull);
    const seasonal = leaveOut(season, 1, isFull);
    if (list && offers.length && isFull()) {
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
