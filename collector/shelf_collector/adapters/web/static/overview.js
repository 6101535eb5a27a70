// The overview: redrawn by the server, at most every third of a second, whenever something changed.

import { listen, localTimes, refresher, showConnection } from "./live.js";

const live = document.getElementById("live");
const refresh = refresher(`/overview/live?lang=${document.body.dataset.lang}`, (html) => {
  live.innerHTML = html; // our own server's, escaped there
  localTimes(live);
}, 330);

let wasDown = true;
listen(
  ["slot", "bay", "event", "alert", "node", "camera"],
  { slot: refresh, bay: refresh, event: refresh, alert: refresh, node: refresh, camera: refresh },
  (state) => {
    showConnection(document.getElementById("connection"), state);
    if (state === "up" && wasDown) refresh();
    wasDown = state === "down";
  },
);
localTimes(live);
