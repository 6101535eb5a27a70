// The staff's list: redrawn by the server whenever an alert opens, changes or is solved, or a node finds something odd.

import { listen, localTimes, refresher, showConnection } from "./live.js";

const cards = document.getElementById("cards");
const announce = document.getElementById("announce");
const connection = document.getElementById("connection");
const lang = document.body.dataset.lang;
const known = new Set([...cards.querySelectorAll("[data-alert]")].map((card) => card.dataset.alert));
const title = document.title;

const refresh = refresher(`/staff/cards?lang=${lang}`, (html) => {
  cards.innerHTML = html; // our own server's, escaped there
  localTimes(cards);
  for (const card of cards.querySelectorAll("[data-alert]")) {
    if (!known.has(card.dataset.alert)) card.classList.add("fresh");
  }
  known.clear();
  for (const card of cards.querySelectorAll("[data-alert]")) known.add(card.dataset.alert);
  document.title = known.size ? `(${known.size}) ${title}` : title;
}, 150);

function changed(view) {
  const name = view.name[lang] ?? view.name.en ?? Object.values(view.name)[0];
  if (!view.alert) announce.textContent = `${announce.dataset.solved}: ${name}`;
  else if (!known.has(view.id)) announce.textContent = `${announce.dataset.opened}: ${name}`;
  refresh();
}

function called(view) {
  if (view.state === "open" && !known.has(`call-${view.id}`)) {
    announce.textContent = announce.dataset.help;
    navigator.vibrate?.([120, 80, 120]);
  }
  refresh();
}

let wasDown = false;
function happened(view) {
  if (view.action === "anomaly" || view.action === "misplaced") refresh();
}

listen(["alert", "task", "event"], { alert: changed, task: called, event: happened }, (state) => {
  showConnection(connection, state);
  // What was solved while we were away is not in the stream's fresh start.
  if (state === "up" && wasDown) refresh();
  wasDown = state === "down";
});
localTimes(cards);
