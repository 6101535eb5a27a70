// My filter: what a product's card answers to the filters somebody chose. Nothing is stored and nothing is sent.

/** Whether a click is the second of a double tap: who taps twice means it once. Keys and readers click with detail 0. */
export const isSecondTap = (event) => event.detail > 1;

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
