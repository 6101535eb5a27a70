// Enrolling a product: photos are made smaller here, looked at by the server, and one box of each is chosen.

import { clockText } from "./live.js";

const LARGEST_SIDE_PX = 2000;
const LOOK_EVERY_MS = 5000;
const LOOK_SOON_MS = 700;

const lang = document.body.dataset.lang;
const main = document.getElementById("main");
const form = document.getElementById("enrol");
const gtinField = document.getElementById("gtin");
const gtinName = document.getElementById("gtin-name");
const kindField = document.getElementById("kind");
const filesField = document.getElementById("photos");
const drop = document.getElementById("drop");
const shotList = document.getElementById("shots");
const shotTemplate = document.getElementById("shot");
const alikePart = document.getElementById("alike");
const trouble = document.getElementById("trouble");
const saveButton = document.getElementById("save");
const outcome = document.getElementById("outcome");
const words = {};
for (const key of document.querySelectorAll("#words dt")) words[key.textContent] = key.nextElementSibling.textContent;
const mark = form.elements.mark.value;
const most = Number(main.dataset.most);

/** Photos on the page: {element, photo, proposals, box, warnings, mustDraw}. */
const shots = [];
let savedAt = 0;
let savedRevision = "";
let savedEnrolment = "";

const say = (key, values = {}) => words[key].replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
const named = (name) => name[lang] ?? name.en ?? Object.values(name)[0] ?? "?";

/** Ask the server; an error is an Error with its words. */
async function ask(path, body, headers = {}) {
  let answer;
  try {
    answer = await fetch(path, body === undefined ? {} : {
      method: "POST", body, headers: { "X-Form-Mark": mark, ...headers },
    });
  } catch {
    throw new Error(words.offline);
  }
  if (answer.status === 401) location.reload(); // the session is over: the server leads to the login
  const content = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(content.error?.message ?? `${words.problem} (${answer.status})`);
  return content;
}

const post = (path, content) => ask(path, JSON.stringify(content), { "Content-Type": "application/json" });

function tell(text) {
  trouble.textContent = text;
  trouble.hidden = !text;
}

// -- the product ------------------------------------------------------------------------------------------------------

/** The 14 digits of a GTIN whose check digit is right, or "". */
function gtinOf(text) {
  const digits = text.replace(/[\s-]/g, "");
  if (!/^(\d{8}|\d{12,14})$/.test(digits)) return "";
  const sum = [...digits.slice(0, -1)].reverse().reduce((all, digit, i) => all + Number(digit) * (i % 2 ? 1 : 3), 0);
  return (10 - (sum % 10)) % 10 === Number(digits.at(-1)) ? digits.padStart(14, "0") : "";
}

const chosenGtin = () => gtinFrom(gtinField.value.trim());

function gtinFrom(text) {
  const options = [...document.querySelectorAll("#products option")];
  const option = options.find((one) => one.value === text || one.dataset.name === text);
  return option ? option.dataset.gtin : gtinOf(text);
}

function nameOf(gtin) {
  const option = document.querySelector(`#products option[data-gtin="${gtin}"]`);
  return option ? option.dataset.name : gtin;
}

function showProduct() {
  const gtin = chosenGtin();
  const looksWrong = !gtin && /^[\d\s-]{8,}$/.test(gtinField.value);
  gtinName.textContent = gtin ? `${nameOf(gtin)} · ${gtin.replace(/^0/, "")}` : looksWrong ? words.gtin_wrong : "";
  gtinName.dataset.state = gtin ? "right" : looksWrong ? "wrong" : "";
  gtinField.setAttribute("aria-invalid", looksWrong ? "true" : "false");
}

const kindOf = (gtin) => document.querySelector(`#products option[data-gtin="${gtin}"]`)?.dataset.kind ?? "";

/** What is known of the product's kind, unless somebody typed another. */
function proposeKind() {
  if (!kindField.dataset.own) kindField.value = kindOf(chosenGtin());
}

kindField.addEventListener("input", () => {
  kindField.dataset.own = kindField.value.trim() ? "yes" : "";
});

gtinField.addEventListener("input", () => {
  showProduct();
  proposeKind();
  changed();
});

// -- photos -----------------------------------------------------------------------------------------------------------

/** A smaller, upright JPEG without anything but the picture; the file itself when this browser cannot read it. */
async function smaller(file, canvas) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, { imageOrientation: "from-image" });
  } catch {
    return file;
  }
  const share = Math.min(1, LARGEST_SIDE_PX / Math.max(bitmap.width, bitmap.height));
  canvas.width = Math.max(1, Math.round(bitmap.width * share));
  canvas.height = Math.max(1, Math.round(bitmap.height * share));
  canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  return new Promise((done) => canvas.toBlob((blob) => done(blob ?? file), "image/jpeg", 0.92));
}

async function add(file) {
  const element = shotTemplate.content.firstElementChild.cloneNode(true);
  const shot = { element, photo: "", proposals: [], box: null, warnings: [], mustDraw: false };
  shots.push(shot);
  element.dataset.state = "looking";
  shotList.append(element);
  element.querySelector(".away").addEventListener("click", () => leaveOut(shot));
  const state = element.querySelector(".shot-state");
  try {
    const body = await smaller(file, element.querySelector("canvas"));
    const path = `/api/v1/enrol/photos?name=${encodeURIComponent(file.name.slice(-80))}`;
    const found = await ask(path, body, { "Content-Type": body.type || "application/octet-stream" });
    shot.photo = found.photo;
    shot.proposals = found.proposals;
    shot.warnings = found.warnings;
    shot.mustDraw = found.warnings.some((one) => one.kind === "no-product");
    showBoxes(shot);
    choose(shot, found.proposals[0]);
    state.textContent = found.proposals.length > 1 ? words.choose : words.adjust;
    element.dataset.state = "ready";
  } catch (error) {
    element.dataset.state = "refused";
    state.textContent = error.message;
    state.setAttribute("role", "alert");
  }
  changed();
}

function leaveOut(shot) {
  shots.splice(shots.indexOf(shot), 1);
  const next = shot.element.nextElementSibling ?? shot.element.previousElementSibling;
  shot.element.remove();
  (next?.querySelector(".away") ?? filesField).focus();
  changed();
}

const isWhole = (box) => box.join() === "0,0,1,1";

function showBoxes(shot) {
  const group = shot.element.querySelector(".boxes");
  const boxes = shot.proposals.filter((box) => !isWhole(box));
  boxes.forEach((box, i) => {
    const button = document.createElement("button");
    button.type = "button";
    button.setAttribute("role", "radio");
    button.setAttribute("aria-label", `${words.crop} ${i + 1}`);
    button.className = "box";
    const [x1, y1, x2, y2] = box;
    button.style.left = `${x1 * 100}%`;
    button.style.top = `${y1 * 100}%`;
    button.style.width = `${(x2 - x1) * 100}%`;
    button.style.height = `${(y2 - y1) * 100}%`;
    // The smaller one lies on top, else it could not be tapped.
    button.style.zIndex = String(1 + Math.round((1 - (x2 - x1) * (y2 - y1)) * 50));
    button.addEventListener("click", () => choose(shot, box, true));
    button.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (!step) return;
      event.preventDefault();
      const other = boxes[(i + step + boxes.length) % boxes.length];
      choose(shot, other, true);
      group.children[boxes.indexOf(other)].focus();
    });
    group.append(button);
  });
  showGrips(shot);
  const whole = shot.element.querySelector(".whole");
  const wholeBox = shot.proposals.find(isWhole);
  whole.hidden = !wholeBox || !boxes.length;
  whole.addEventListener("click", () => choose(shot, wholeBox, true));
}

const SMALLEST_SHARE = 0.04;
const STEP_SHARE = 0.01;
const between = (low, value, high) => Math.min(Math.max(value, low), high);

/** Four corners that can be dragged, by finger, mouse or arrow keys: the chosen box becomes one's own. */
function showGrips(shot) {
  const frame = shot.element.querySelector(".crop");
  frame.hidden = false;
  for (const grip of frame.querySelectorAll(".grip")) {
    const [atX, atY] = [Number(grip.dataset.x), Number(grip.dataset.y)];
    const moveTo = (x, y) => {
      const box = [...shot.box];
      box[atX] = atX === 0 ? between(0, x, box[2] - SMALLEST_SHARE) : between(box[0] + SMALLEST_SHARE, x, 1);
      box[atY] = atY === 1 ? between(0, y, box[3] - SMALLEST_SHARE) : between(box[1] + SMALLEST_SHARE, y, 1);
      choose(shot, box.map((share) => Math.round(share * 1e4) / 1e4));
    };
    let from = null; // where in the grip it was taken: the corner must not jump under the finger
    grip.addEventListener("pointerdown", (event) => {
      const area = frame.parentElement.getBoundingClientRect();
      from = [shot.box[atX] - (event.clientX - area.left) / area.width, shot.box[atY] - (event.clientY - area.top) / area.height];
      grip.setPointerCapture(event.pointerId);
      event.preventDefault();
      grip.focus();
    });
    grip.addEventListener("pointermove", (event) => {
      if (!from) return;
      const area = frame.parentElement.getBoundingClientRect();
      moveTo((event.clientX - area.left) / area.width + from[0], (event.clientY - area.top) / area.height + from[1]);
    });
    for (const end of ["pointerup", "pointercancel"]) {
      grip.addEventListener(end, () => {
        if (!from) return;
        from = null;
        changed();
      });
    }
    grip.addEventListener("keydown", (event) => {
      const step = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] }[event.key];
      if (!step) return;
      event.preventDefault();
      const far = STEP_SHARE * (event.shiftKey ? 5 : 1);
      moveTo(shot.box[atX] + step[0] * far, shot.box[atY] + step[1] * far);
    });
    grip.addEventListener("keyup", (event) => {
      if (event.key.startsWith("Arrow")) changed();
    });
  }
}

function choose(shot, box, byHand = false) {
  shot.box = box;
  const frame = shot.element.querySelector(".crop");
  frame.style.inset = `${box[1] * 100}% ${(1 - box[2]) * 100}% ${(1 - box[3]) * 100}% ${box[0] * 100}%`;
  const boxes = shot.proposals.filter((one) => !isWhole(one));
  [...shot.element.querySelectorAll(".box")].forEach((button, i) => {
    const isChosen = boxes[i] === box;
    button.setAttribute("aria-checked", String(isChosen));
    button.tabIndex = isChosen || (!boxes.includes(box) && i === 0) ? 0 : -1;
  });
  shot.element.querySelector(".whole").setAttribute("aria-pressed", String(isWhole(box)));
  shot.element.classList.toggle("is-whole", isWhole(box));
  if (byHand) changed();
}

function showWarnings(shot, found = []) {
  const list = shot.element.querySelector(".shot-warnings");
  const kinds = [...new Set([...shot.warnings, ...found].map((one) => one.kind))].filter((kind) => words[`w_${kind}`]);
  list.replaceChildren(...kinds.map((kind) => {
    const item = document.createElement("li");
    item.textContent = words[`w_${kind}`];
    return item;
  }));
}

function takeFiles(files) {
  tell("");
  outcome.hidden = true;
  const pictures = [...files];
  if (shots.length + pictures.length > most) tell(say("most", { n: most }));
  for (const file of pictures.slice(0, most - shots.length)) add(file);
}

filesField.addEventListener("change", () => {
  takeFiles(filesField.files);
  filesField.value = "";
});
for (const name of ["dragenter", "dragover"]) {
  document.addEventListener(name, (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
}
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) drop.classList.remove("over");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  takeFiles([...event.dataTransfer.files].filter((file) => file.type.startsWith("image/")));
});

// -- what to know before saving -----------------------------------------------------------------------------------------

let checkNumber = 0;

/** A product was found in it, or somebody said by hand where it is. */
const isReady = (shot) => shot.photo && shot.box && !(shot.mustDraw && isWhole(shot.box));

/** Something was chosen: what is wrong with it, and what looks like it? */
async function changed() {
  const number = ++checkNumber;
  const gtin = chosenGtin();
  const ready = shots.filter(isReady);
  saveButton.disabled = !gtin || !ready.length || ready.length < shots.filter((one) => one.element.dataset.state !== "refused").length;
  saveButton.textContent = words.save;
  for (const shot of shots) if (shot.photo) showWarnings(shot);
  if (!gtin || !ready.length) {
    alikePart.hidden = true;
    return;
  }
  try {
    const found = await post("/api/v1/enrol/check", wish(gtin, ready));
    if (number !== checkNumber) return;
    ready.forEach((shot, i) => showWarnings(shot, found.warnings[i]));
    showAlike(found, ready);
    tell("");
  } catch (error) {
    if (number === checkNumber) tell(error.message);
  }
}

const wish = (gtin, ready) => ({ gtin, kind: kindField.value.trim(), photos: ready.map(({ photo, box }) => ({ photo, box })) });

function cropOf(shot) {
  const from = shot.element.querySelector("canvas");
  const [x1, y1, x2, y2] = shot.box;
  const to = document.createElement("canvas");
  const [width, height] = [(x2 - x1) * from.width, (y2 - y1) * from.height];
  const share = 240 / Math.max(width, height);
  to.width = Math.max(1, width * share);
  to.height = Math.max(1, height * share);
  to.getContext("2d").drawImage(from, x1 * from.width, y1 * from.height, width, height, 0, 0, to.width, to.height);
  return to;
}

function showAlike(found, ready) {
  alikePart.hidden = !found.look_alikes.length;
  alikePart.querySelector("ul").replaceChildren(...found.look_alikes.map((one) => {
    const item = document.createElement("li");
    const picture = one.thumbnail ? image(one.thumbnail, named(one.name)) : text("span", words.no_picture, "no-picture");
    item.append(
      figure(cropOf(ready[one.photo] ?? ready[0]), `${named(found.name)} (${words.new_one})`),
      text("strong", say("alike_share", { n: Math.round(one.similarity * 100) }), "share"),
      figure(picture, named(one.name)),
    );
    return item;
  }));
}

function figure(picture, caption) {
  const made = document.createElement("figure");
  made.append(picture, text("figcaption", caption));
  return made;
}

function image(address, about) {
  const made = document.createElement("img");
  made.src = address;
  made.alt = about;
  // Broken, or deleted meanwhile: no torn picture beside a name.
  made.addEventListener("error", () => made.replaceWith(...(about ? [text("span", words.no_picture, "no-picture")] : [])));
  return made;
}

function text(tag, content, name = "") {
  const made = document.createElement(tag);
  made.textContent = content;
  if (name) made.className = name;
  return made;
}

// -- saving and undoing -------------------------------------------------------------------------------------------------

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const gtin = chosenGtin();
  const ready = shots.filter(isReady);
  if (!gtin || !ready.length) return;
  saveButton.disabled = true;
  saveButton.textContent = words.saving;
  tell("");
  try {
    const done = await post("/api/v1/enrol", wish(gtin, ready));
    shots.length = 0;
    shotList.replaceChildren();
    alikePart.hidden = true;
    rememberKind(gtin, kindField.value.trim());
    gtinField.value = "";
    kindField.dataset.own = "";
    showProduct();
    proposeKind();
    saveButton.textContent = words.save;
    saved(done);
  } catch (error) {
    tell(error.message);
    changedButton();
  }
});

/** Something was enrolled: say so, offer to undo it, and follow it to the nodes. */
function saved(done) {
  savedAt = performance.now();
  savedRevision = done.revision;
  savedEnrolment = done.enrolment;
  outcome.querySelector(".what").textContent = say("saved", { name: named(done.name) });
  outcome.querySelector(".how-far").textContent = "";
  outcome.querySelector("button").hidden = false;
  outcome.hidden = false;
  outcome.focus();
  outcome.scrollIntoView({ block: "center" });
  look();
}

/** The next time this product is chosen its kind is there; and it is one to choose from. */
function rememberKind(gtin, kind) {
  const option = document.querySelector(`#products option[data-gtin="${gtin}"]`);
  if (option && kind) option.dataset.kind = kind;
  const kinds = document.getElementById("kinds");
  if (!kind || [...kinds.children].some((one) => one.value === kind)) return;
  const made = document.createElement("option");
  made.value = kind;
  kinds.append(made);
}

function changedButton() {
  saveButton.disabled = false;
  saveButton.textContent = words.save;
}

async function undo(enrolment) {
  try {
    show(await post("/api/v1/enrol/undo", { enrolment }));
    savedRevision = "";
    outcome.querySelector(".what").textContent = words.undone;
    outcome.querySelector(".how-far").textContent = "";
    outcome.querySelector("button").hidden = true;
    outcome.hidden = false;
    outcome.focus();
  } catch (error) {
    tell(error.message);
  }
}

outcome.querySelector("button").addEventListener("click", () => undo(savedEnrolment));

// -- what is there ------------------------------------------------------------------------------------------------------

function when(moment) {
  const then = new Date(moment);
  const isToday = then.toDateString() === new Date().toDateString();
  return isToday ? clockText(then) : `${then.toLocaleDateString(lang, { day: "numeric", month: "short" })} ${clockText(then)}`;
}

const placeText = ({ bay, shelf, slot }) =>
  [`${words.bay} ${bay}`, shelf ? `${words.shelf} ${shelf}` : "", `${words.slot} ${slot}`].filter(Boolean).join(", ");

function unknownRow(item) {
  const row = document.createElement("li");
  row.className = "row";
  const about = document.createElement("div");
  const often = say("unknown_looks", { n: item.looks });
  const guess = item.candidates.length ? item.candidates.map(named).join(" / ") : item.kind;
  const kind = guess ? ` · ${say("unknown_kind", { kind: guess })}` : "";
  about.append(
    text("h3", placeText(item.place)),
    text("p", `${words.since} ${when(item.since)} · ${often}${kind}`, "quiet"),
    text("p", `${words.unknown_plan}: ${named(item.planned_name)}`, "quiet"),
  );
  if (item.picture_on) {
    const where = text("p", `${say("unknown_picture", { node: item.picture_on })} `, "quiet");
    where.append(text("code", `smartshelf edge unknown show ${item.bay}/${item.slot} --config edge.toml`));
    about.append(where);
  }
  const actions = document.createElement("div");
  actions.className = "row-actions";
  if (item.can_be_named) actions.append(namer(item));
  const button = text("button", words.photograph, "button quiet-button");
  button.type = "button";
  button.setAttribute("aria-label", `${words.photograph}: ${placeText(item.place)}`);
  button.addEventListener("click", () => {
    form.scrollIntoView({ block: "start" });
    gtinField.focus();
  });
  actions.append(button);
  row.append(about, actions);
  return row;
}

/** Say what it is without a photo: what the camera saw of it is kept as numbers. */
function namer(item) {
  const more = document.createElement("details");
  const label = text("label", words.gtin);
  const field = document.createElement("input");
  field.setAttribute("list", "products");
  field.autocomplete = "off";
  field.maxLength = 80;
  field.value = item.planned_gtin ? nameOf(item.planned_gtin) : "";
  label.append(field);
  const sure = text("button", words.save, "button");
  sure.type = "button";
  sure.addEventListener("click", async () => {
    const gtin = gtinFrom(field.value.trim());
    if (!gtin) {
      field.setAttribute("aria-invalid", "true");
      field.focus();
      return;
    }
    tell("");
    try {
      const { bay, slot, since } = item;
      saved(await post("/api/v1/enrol/seen", { bay, slot, since, gtin, kind: kindOf(gtin) }));
    } catch (error) {
      tell(error.message);
      trouble.scrollIntoView({ block: "center" });
    }
  });
  more.append(text("summary", words.name_it, "button quiet-button"), label, sure);
  return more;
}

function knownRow(product) {
  const row = document.createElement("li");
  row.className = "row known";
  const name = named(product.name);
  const about = document.createElement("div");
  const photos = product.photos === 1 ? words.known_photo : say("known_photos", { n: product.photos });
  about.append(
    text("h3", name),
    text("p", [product.kind, photos, when(product.at), product.by].filter(Boolean).join(" · "), "quiet"),
    text("p", product.gtin.replace(/^0/, ""), "quiet number"),
  );
  const actions = document.createElement("div");
  actions.className = "row-actions";
  const back = text("button", words.undo, "button quiet-button");
  back.type = "button";
  back.setAttribute("aria-label", `${words.undo}: ${name}`);
  back.addEventListener("click", () => undo(product.enrolment));
  actions.append(back, kindChanger(product, name));
  if (main.dataset.admin) {
    const more = document.createElement("details");
    const sure = text("button", say("remove_sure", { name }), "button danger");
    sure.type = "button";
    sure.addEventListener("click", async () => {
      try {
        show(await post("/api/v1/enrol/remove", { gtin: product.gtin }));
      } catch (error) {
        tell(error.message);
      }
    });
    more.append(text("summary", words.remove, "button quiet-button"), sure);
    actions.append(more);
  }
  if (product.thumbnail) row.append(image(product.thumbnail, ""));
  row.append(about, actions);
  return row;
}

/** Say of what kind a known product is. */
function kindChanger(product, name) {
  const more = document.createElement("details");
  const label = text("label", say("kind_of", { name }));
  const field = document.createElement("input");
  field.setAttribute("list", "kinds");
  field.autocomplete = "off";
  field.maxLength = 64;
  field.value = product.kind || kindOf(product.gtin);
  label.append(field);
  const sure = text("button", words.save, "button");
  sure.type = "button";
  sure.addEventListener("click", async () => {
    const kind = field.value.trim();
    try {
      show(await post("/api/v1/enrol/kind", { gtin: product.gtin, kind }));
      rememberKind(product.gtin, kind);
    } catch (error) {
      tell(error.message);
    }
  });
  more.append(text("summary", words.kind_change, "button quiet-button"), label, sure);
  return more;
}

function nodeRow(node) {
  const row = document.createElement("li");
  const state = !node.is_present ? "node_silent" : node.is_live ? "node_live" : "node_behind";
  row.append(
    text("strong", node.node), " ",
    text("span", words[state], `state ${state === "node_live" ? "state-online" : "state-bad"}`), " ",
    text("span", node.is_live ? "" : node.text, "quiet"),
  );
  return row;
}

let shown = "";

function show(found) {
  const missing = document.getElementById("missing");
  missing.hidden = !found.problem;
  for (const part of missing.querySelectorAll(".no-vision")) part.hidden = found.can_look;
  missing.querySelector(".why").textContent = found.problem;
  showHowFar(found);
  const now = JSON.stringify([found.products, found.unknown, found.nodes]);
  if (now === shown) return; // nobody's focus or open question is taken away for nothing
  shown = now;
  document.getElementById("unknown").replaceChildren(...found.unknown.map(unknownRow));
  document.getElementById("unknown-lead").textContent = found.unknown.length ? words.unknown_lead : words.unknown_none;
  badge("unknown-count", found.unknown.length);
  document.getElementById("known").replaceChildren(...found.products.map(knownRow));
  document.getElementById("known-none").hidden = found.products.length > 0;
  badge("known-count", found.known);
  document.getElementById("nodes").replaceChildren(...found.nodes.map(nodeRow));
  document.getElementById("node-part").hidden = !found.nodes.length;
}

function badge(id, count) {
  const element = document.getElementById(id);
  element.textContent = String(count);
  element.hidden = !count;
}

/** How far the saved gallery has come. */
function showHowFar(found) {
  const line = outcome.querySelector(".how-far");
  if (!savedRevision || found.revision !== savedRevision) return;
  const there = found.nodes.filter((node) => node.is_present);
  const live = there.filter((node) => node.is_live);
  if (!there.length) line.textContent = words.live_none;
  else if (live.length < there.length) line.textContent = say("live_wait", { n: live.length, m: there.length });
  else {
    line.textContent = say("live_all", { s: Math.max(1, Math.round((performance.now() - savedAt) / 1000)) });
    savedRevision = "";
  }
}

let looking = 0;

async function look() {
  clearTimeout(looking);
  try {
    show(await ask("/api/v1/enrol"));
  } catch {
    // The next look tells.
  }
  looking = setTimeout(look, savedRevision ? LOOK_SOON_MS : LOOK_EVERY_MS);
}

showProduct();
look();
