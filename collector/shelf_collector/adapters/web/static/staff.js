// The staff's list. The server draws it; this module keeps it live, sends each step once, and keeps steps while there
// is no network: what is done in a dead spot is sent afterwards, and who was slower is told.

import { clockText, dayText, listen, localTimes, refresher, showConnection } from "./live.js";
import { StepQueue } from "./steps.js";

const cards = document.getElementById("cards");
const announce = document.getElementById("announce");
const told = document.getElementById("told");
const connection = document.getElementById("connection");
const lang = document.body.dataset.lang;
const title = document.title;
const words = Object.fromEntries([...document.querySelectorAll("#words dt")].map((one) => [one.textContent, one.nextElementSibling.textContent]));
const say = (key, values) => Object.entries(values).reduce((text, [name, value]) => text.replaceAll(`{${name}}`, value), words[key]);

const ids = () => new Set([...cards.querySelectorAll("[data-task].card")].map((card) => card.dataset.task));
let known = ids();
let stream = "connecting"; // how the event stream does
const heard = new Map(); // task id -> state we heard last, so that only what is new makes a sound

const SETTLES_MS = 350;
const ASKS_EVERY_MS = 5000;
const settling = new WeakMap(); // the list, or a card of it -> until when it is not tapped on

// -- steps ------------------------------------------------------------------------------------------------------------

const queue = new StepQueue({
  who: cards.dataset.me,
  mark: () => cards.dataset.mark,
  onChange: showPending,
  onRefused: (step, reply, unsent) => tell([
    reply.refused === "task_is_taken" && reply.holder
      ? say("step_taken_by", { what: step.name, who: reply.holder })
      : say(reply.refused === "task_is_done" || reply.refused === "task_is_taken" ? "step_is_done" : "step_failed", { what: step.name }),
    ...(unsent.length ? [say("steps_unsent", { steps: unsent.map((one) => one.label ?? one.step).join(", ") })] : []),
  ].join(" ")),
  onFailed: (step) => tell(say("step_failed", { what: step.name })),
  onSent: () => refresh(),
  onSessionOver: (count) => tell(say("session_over", { n: count }), { href: loginLink(), text: words.log_in }),
});
const loginLink = () => `/login?next=${encodeURIComponent(location.pathname + location.search)}&ended=1&lang=${lang}`;

cards.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.matches("form[data-task], form[data-round]")) return;
  event.preventDefault();
  if (isSlip) return;
  unlockSound();
  const fields = Object.fromEntries(new FormData(form));
  const forms = form.dataset.task ? [form] : [...form.closest(".round").querySelectorAll('form[data-step="claim"]:not([hidden])')];
  for (const one of forms) {
    const card = one.closest(".card");
    const label = one.querySelector("button").textContent.trim();
    const step = { task: Number(one.dataset.task), step: one.dataset.step, label, name: card.querySelector("h2").textContent.trim() };
    if (fields.reason && one === form) Object.assign(step, { reason: fields.reason, minutes: Number(fields.minutes) });
    if (!queue.add(step)) tell(words.queue_full);
  }
});

// How a task stands after somebody's step, as the server will see it.
const STANDS_AFTER = { claim: "mine", release: "open", snooze: "open", no_stock: "open", done: "done" };

/**
 * Cards whose steps are on their way say so and offer nothing else: a second tap is no second step. Where nobody answers,
 * they say why they wait, and offer what comes next: somebody who carries a box through a dead spot goes on working.
 */
function showPending() {
  for (const card of cards.querySelectorAll(".card[data-task]")) {
    const steps = queue.of(Number(card.dataset.task));
    const waits = steps.length > 0;
    card.classList.toggle("is-pending", waits);
    const line = card.querySelector(".pending");
    line.hidden = !waits;
    const why = queue.isLoggedOut ? words.waits_for_login : isCutOff() ? words.waits_for_net : words.sending;
    const text = waits ? [why, ...(isCutOff() ? [steps.map((one) => one.label ?? one.step).join(" → ")] : [])].join(": ") : "";
    if (line.textContent !== text) line.textContent = text;
    const stands = (isCutOff() && STANDS_AFTER[steps.at(-1)?.step]) || card.dataset.stands;
    for (const form of card.querySelectorAll(".acts form")) {
      const when = form.dataset.when ?? "any"; // a list that was kept before this script was new says nothing
      const fits = when === "any" ? stands !== "done" : when === stands;
      if (form.hidden === fits) hasMoved(card);
      form.hidden = !fits;
      form.querySelector("button").disabled = waits && !isCutOff();
    }
    for (const more of card.querySelectorAll(".more-steps")) more.hidden = stands === "done";
  }
  showHeader();
  const others = queue.ofOthers();
  if (others.length && !showPending.toldOthers) {
    showPending.toldOthers = true;
    tell(say("not_yours", { n: others.length, who: others[0].who }));
  }
}

function tell(text, link) {
  const box = document.createElement("p");
  box.className = "problem told";
  box.append(Object.assign(document.createElement("span"), { textContent: text }));
  if (link) box.append(Object.assign(document.createElement("a"), { className: "button", href: link.href, textContent: link.text }));
  else {
    const close = Object.assign(document.createElement("button"), { type: "button", className: "button quiet-button", textContent: words.close });
    close.addEventListener("click", () => box.remove());
    box.append(close);
  }
  if ([...told.children].some((one) => one.firstChild.textContent === text)) return;
  if (link) for (const former of told.querySelectorAll("a")) former.parentElement.remove(); // one way to the login is enough
  told.append(box);
  while (told.children.length > 4) told.firstChild.remove();
}

// -- the list -----------------------------------------------------------------------------------------------------------

let shown = "";
let asOf = new Date(Number(cards.dataset.keptAt ?? Date.now())); // when the server last told us how the list stands
let later = null; // what came while a finger was on the list
let isPressed = false;
let isSlip = false; // whether the finger came down just after the list had moved

// The list must not move away under a finger, nor another button under the second tap of two.
cards.addEventListener("pointerdown", (event) => { isPressed = true; isSlip = event.target.closest("[data-settled=no]") !== null; });
cards.addEventListener("keydown", () => { isSlip = false; });
for (const end of ["pointerup", "pointercancel"]) {
  addEventListener(end, () => setTimeout(() => {
    isPressed = false;
    if (later !== null) apply(later);
  }, 50));
}

const source = `/staff/cards?lang=${lang}&view=${cards.dataset.view}`;
const refresh = refresher(source, (html) => {
  asOf = new Date();
  keep(html);
  apply(html);
}, 150);

/** For dead spots: the service worker opens the page with these cards, until somebody logs out. */
async function keep(html) {
  if (!navigator.serviceWorker?.controller) return;
  const headers = { "Content-Type": "text/html; charset=utf-8", "X-Kept-At": String(asOf.getTime()) };
  await (await caches.open("staff-v1")).put(source, new Response(html, { headers })).catch(() => {}); // a full phone
}

function apply(html) {
  later = isPressed ? html : null;
  if (isPressed || html === shown) return;
  const isFirst = shown === "";
  shown = html;
  const open = new Set([...cards.querySelectorAll("details[open]")].map(nameOf));
  const focus = document.activeElement?.closest?.("#cards form") ? document.activeElement.closest("form").getAttribute("action") : "";
  cards.innerHTML = html; // our own server's, escaped there
  for (const one of cards.querySelectorAll("details")) one.open = one.open || open.has(nameOf(one));
  if (focus) cards.querySelector(`form[action="${focus}"] button`)?.focus({ preventScroll: true });
  if (!isFirst) hasMoved(cards);
  draw();
}

/** Something else is under a finger now: the second tap of two does not count. */
function hasMoved(part) {
  part.dataset.settled = "no";
  clearTimeout(settling.get(part));
  settling.set(part, setTimeout(() => { part.dataset.settled = "yes"; }, SETTLES_MS));
}

const nameOf = (details) => `${details.closest(".card")?.id ?? ""} ${details.querySelector("summary").textContent.replace(/\d+/g, "").trim()}`;

function draw() {
  localTimes(cards);
  const now = ids();
  for (const id of now) if (!known.has(id)) document.getElementById(`task-${id}`).classList.add("fresh");
  known = now;
  const count = Number(cards.querySelector("[data-count]").dataset.count);
  document.title = count ? `(${count}) ${title}` : title;
  navigator.setAppBadge?.(count).catch(() => {});
  showPending();
}

function changed(view) {
  const before = heard.get(view.id);
  heard.set(view.id, view.state);
  if (heard.size > 2000) heard.clear();
  const isNew = view.state === "open" && before !== "open" && !known.has(String(view.id)) && !view.is_quiet;
  if (isNew && before !== undefined) ring();
  else if (isNew && isLive) ring();
  if (isNew) announce.textContent = view.kind === "help" ? words.help_wanted : words.opened_one;
  else if (view.state === "verified") announce.textContent = words.solved_one;
  refresh();
}

// -- sound and vibration, which can be muted ---------------------------------------------------------------------------

const sound = document.getElementById("sound");
let audio = null;
let isLoud = localStorage.getItem("smartshelf-sound") !== "off";

function showSound() {
  sound.hidden = false;
  sound.setAttribute("aria-pressed", String(isLoud));
  sound.querySelector("span").textContent = isLoud ? sound.dataset.on : sound.dataset.off;
}

sound.addEventListener("click", () => {
  isLoud = !isLoud;
  localStorage.setItem("smartshelf-sound", isLoud ? "on" : "off");
  showSound();
  unlockSound();
  if (isLoud) ring();
});

/** Browsers allow a sound only after a touch. */
function unlockSound() {
  try {
    audio ??= new AudioContext();
    audio.resume();
  } catch {
    // No sound here; the phone still shakes.
  }
}
addEventListener("pointerdown", unlockSound, { once: true });

function ring() {
  document.documentElement.dataset.rang = String(Number(document.documentElement.dataset.rang ?? 0) + (isLoud ? 1 : 0));
  if (!isLoud) return;
  navigator.vibrate?.([120, 80, 120]);
  if (audio?.state !== "running") return;
  for (const [start, pitch] of [[0, 660], [0.16, 880]]) {
    const tone = audio.createOscillator();
    const level = audio.createGain();
    tone.frequency.value = pitch;
    level.gain.setValueAtTime(0.0001, audio.currentTime + start);
    level.gain.exponentialRampToValueAtTime(0.2, audio.currentTime + start + 0.02);
    level.gain.exponentialRampToValueAtTime(0.0001, audio.currentTime + start + 0.14);
    tone.connect(level).connect(audio.destination);
    tone.start(audio.currentTime + start);
    tone.stop(audio.currentTime + start + 0.15);
  }
}

// -- live ---------------------------------------------------------------------------------------------------------------

/** Nobody has answered the last step, or nobody answers at all. */
function isCutOff() {
  return queue.isStuck || stream === "down";
}

let wasDown = false;
let isLive = false; // what the stream tells first is what was so before

/** Green only while what is tapped arrives: a stream can outlive the session it was opened in, and the network. */
function showHeader() {
  const state = queue.isLoggedOut ? "logged-out" : isCutOff() ? "down" : stream;
  showConnection(connection, state);
  const isOfToday = asOf.toDateString() === new Date().toDateString();
  connection.querySelector(".as-of").textContent = state === "down" ? say("list_as_of", { time: isOfToday ? clockText(asOf) : `${dayText(asOf)}, ${clockText(asOf)}` }) : "";
  const waits = isCutOff() && queue.mine.length;
  connection.dataset.waiting = waits ? say(queue.isLoggedOut ? "steps_wait_login" : "steps_wait", { n: queue.mine.length }) : "";
}

function happened(view) {
  if (view.action === "anomaly" || view.action === "misplaced") refresh();
}

listen(["alert", "task", "event"], { alert: () => refresh(), task: changed, event: happened }, (state) => {
  const isNews = stream !== state;
  stream = state;
  if (isNews) showPending();
  if (state === "up") {
    queue.flush();
    setTimeout(() => { isLive = true; }, 1500);
    // What was solved while we were away is not in the stream's fresh start.
    if (wasDown) refresh();
  } else isLive = false;
  wasDown = state === "down";
}, { asksEveryMs: ASKS_EVERY_MS });
addEventListener("online", () => queue.flush());
document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
setInterval(refresh, 60_000); // losses and times move on by themselves
showSound();
draw();
