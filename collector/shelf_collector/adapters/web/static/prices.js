// A price is not shown a second longer than it is true, also on a page that nobody reloads and that has no network.

/** Take the prices out of `root` (itself among them) whose time is over, and say where else to look. True when one went. */
export function hideOldPrices(root) {
  const now = Date.now();
  let went = false;
  for (const place of [root, ...root.querySelectorAll("[data-price-until]")]) {
    const until = place.dataset?.priceUntil;
    if (!until || new Date(until).getTime() > now) continue;
    const own = (selector) => [...place.querySelectorAll(selector)].filter((one) => one.closest("[data-price-until]") === place);
    for (const price of own(".price")) {
      price.remove();
      went = true;
    }
    for (const instead of own(".price-gone")) instead.hidden = false;
  }
  return went;
}
