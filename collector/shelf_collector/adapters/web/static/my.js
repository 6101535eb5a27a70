// The bay on a shopper's phone: their filter lives in this page and ends with it.

import { carryOver, chosenFilters, isSecondTap, pressChips, showAnswers, verdictOf } from "./filter.js";
import { hideOldPrices } from "./prices.js";

const chips = [...document.querySelectorAll(".chip")];
const products = [...document.querySelectorAll(".my-product")];
const list = document.getElementById("products");
const count = document.getElementById("fit-count");
const ORDER = { fits: 0, unknown: 1, no: 2 };

function apply() {
  const filters = chosenFilters(chips);
  let fitting = 0;
  for (const product of products) {
    const panel = product.querySelector(".panel");
    showAnswers(panel, filters);
    const { verdict, why } = verdictOf(panel, filters);
    const words = panel.querySelector(".verdict").dataset;
    if (filters.length) product.dataset.verdict = verdict;
    else delete product.dataset.verdict;
    product.querySelector(".my-why").textContent = filters.length ? [words[verdict], why.join(", ")].filter(Boolean).join(": ") : "";
    if (verdict === "fits") fitting++;
  }
  const place = new Map(products.map((one, index) => [one, index]));
  const rank = (one) => (ORDER[one.dataset.verdict] ?? 0) * 1000 + place.get(one);
  list.replaceChildren(...[...products].sort((one, other) => rank(one) - rank(other)));
  count.hidden = !filters.length;
  count.textContent = filters.length ? `${fitting} ${count.dataset.words}` : "";
}

for (const chip of chips) {
  chip.addEventListener("click", (event) => {
    if (isSecondTap(event)) return;
    chip.setAttribute("aria-pressed", String(chip.getAttribute("aria-pressed") !== "true"));
    apply();
  });
}

const came = carryOver(document.querySelectorAll(".languages a"), () => ({ filter: chosenFilters(chips).join() }));
if (came.filter) {
  pressChips(chips, came.filter);
  apply();
}

setInterval(() => hideOldPrices(document.body), 1000);
hideOldPrices(document.body);
