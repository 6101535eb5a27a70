// My filter: what a product's card answers to the filters somebody chose. Nothing is stored and nothing is sent.

/** Whether a click is the second of a double tap: who taps twice means it once. Keys and readers click with detail 0. */
export const isSecondTap = (event) => event.detail > 1;

/** The filters chosen on these buttons. */
export const chosenFilters = (chips) =>
  chips.filter((chip) => chip.getAttribute("aria-pressed") === "true").map((chip) => chip.dataset.filter);

/**
 * Links to the page in other languages take along what `tell` says, in the address's fragment, which no browser sends.
 * Returns what came along to this page, and takes it out of the address: it is not to be kept or bookmarked.
 */
export function carryOver(links, tell) {
  const came = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
  if (location.hash) history.replaceState(null, "", location.pathname + location.search);
  for (const link of links) {
    link.addEventListener("click", (event) => {
      if (link.hasAttribute("aria-current")) event.preventDefault();
      else link.hash = new URLSearchParams(tell()).toString();
    });
  }
  return came;
}

/** Press the buttons of these filters, told as a comma separated list; those we do not have are left out. */
export function pressChips(chips, told) {
  const wanted = (told ?? "").split(",");
  for (const chip of chips) chip.setAttribute("aria-pressed", String(wanted.includes(chip.dataset.filter)));
}

/** The verdict of all chosen filters on a card (an element or a template's content), and why not. */
export function verdictOf(card, filters) {
  const answers = [...card.querySelectorAll(".answers [data-filter]")].filter((one) => filters.includes(one.dataset.filter));
  const kinds = answers.map((one) => one.dataset.verdict);
  if (!answers.length) return { verdict: "unknown", why: [] };
  const verdict = kinds.includes("no") ? "no" : kinds.includes("unknown") ? "unknown" : "fits";
  const why = new Set(answers.filter((one) => one.dataset.verdict === verdict).map((one) => one.textContent));
  return { verdict, why: [...why].filter(Boolean) };
}

/** Say on a panel whether it fits; without a filter nothing is said. */
export function showAnswers(panel, filters) {
  const place = panel.querySelector(".verdict");
  if (!place) return;
  place.hidden = !filters.length;
  if (!filters.length) {
    delete panel.dataset.verdict;
    return;
  }
  const { verdict, why } = verdictOf(panel, filters);
  panel.dataset.verdict = verdict;
  place.querySelector("span").textContent = why.length ? `${place.dataset[verdict]}: ${why.join(", ")}` : place.dataset[verdict];
}
