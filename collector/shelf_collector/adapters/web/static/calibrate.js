// A bay set up from a photo: four corners are dragged, slots are proposed by the server, a person corrects them.

const LARGEST_SIDE_PX = 2000;
/** What is sent may be larger than what is shown: bars of barcodes are a third of a millimetre wide. */
const MOST_SENT_PX = 16e6;
const SMALLEST_SLOT_MM = 10;

const form = document.getElementById("calibrate");
const main = document.getElementById("main");
const photoField = document.getElementById("photo");
const drop = document.getElementById("drop");
const stage = document.getElementById("stage");
const frame = document.getElementById("bay-photo");
const canvas = document.getElementById("shown");
const lines = document.getElementById("lines");
const handles = document.getElementById("handles");
const slotList = document.getElementById("slots");
const rowTemplate = document.getElementById("slot-row");
const state = document.getElementById("state");
const trouble = document.getElementById("trouble");
const outcome = document.getElementById("outcome");
const words = {};
for (const key of document.querySelectorAll("#words dt")) words[key.textContent] = key.nextElementSibling.textContent;
const say = (key, values = {}) => words[key].replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
const mark = form.elements.mark.value;
const field = (name) => form.elements[name];

/** Corners of the bay's front in shares: top left, top right, bottom right, bottom left. */
let corners = [[0.1, 0.1], [0.9, 0.1], [0.9, 0.9], [0.1, 0.9]];
let photo = null;
let plan = null;
/** What shelf edges say, by product of the proposal: slots are named anew when they are corrected. */
let labels = new Map();

function tell(text) {
  trouble.textContent = text;
  trouble.hidden = !text;
}

async function ask(path, body, type) {
  let answer;
  try {
    answer = await fetch(path, { method: "POST", body, headers: { "X-Form-Mark": mark, "Content-Type": type } });
  } catch {
    throw new Error(words.offline);
  }
  if (answer.status === 401) location.reload(); // the session is over: the server leads to the login
  const content = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(content.error?.message ?? `${words.problem} (${answer.status})`);
  return content;
}

// -- the bay and its photo --------------------------------------------------------------------------------------------

function showBay() {
  const { width, height, depth, camera } = field("bay").selectedOptions[0].dataset;
  Object.entries({ width, height, depth, camera }).forEach(([name, value]) => { field(name).value = value; });
}
field("bay").addEventListener("change", showBay);
showBay();

async function use(file) {
  tell("");
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, { imageOrientation: "from-image" });
  } catch {
    tell(words.problem);
    return;
  }
  const share = Math.min(1, LARGEST_SIDE_PX / Math.max(bitmap.width, bitmap.height));
  canvas.width = Math.max(1, Math.round(bitmap.width * share));
  canvas.height = Math.max(1, Math.round(bitmap.height * share));
  canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  photo = await sent(bitmap);
  bitmap.close();
  plan = null;
  stage.hidden = false;
  state.textContent = "";
  showPlan();
}

/** The photo as large as a phone's canvas takes it. */
function sent(bitmap) {
  const large = document.createElement("canvas");
  const share = Math.min(1, Math.sqrt(MOST_SENT_PX / (bitmap.width * bitmap.height)));
  large.width = Math.max(1, Math.floor(bitmap.width * share));
  large.height = Math.max(1, Math.floor(bitmap.height * share));
  large.getContext("2d").drawImage(bitmap, 0, 0, large.width, large.height);
  return new Promise((done) => large.toBlob(done, "image/jpeg", 0.92));
}

photoField.addEventListener("change", () => photoField.files[0] && use(photoField.files[0]));
for (const kind of ["dragenter", "dragover"]) {
  drop.addEventListener(kind, (event) => { event.preventDefault(); drop.classList.add("over"); });
}
for (const kind of ["dragleave", "drop"]) drop.addEventListener(kind, () => drop.classList.remove("over"));
drop.addEventListener("drop", (event) => {
  event.preventDefault();
  if (event.dataTransfer.files[0]) use(event.dataTransfer.files[0]);
});

// -- from millimetres of the bay's front to shares of the picture, and back ----------------------------------------------

/** The homography of the unit square onto the corners (Heckbert 1989). */
function toPicture() {
  const [[x0, y0], [x1, y1], [x2, y2], [x3, y3]] = corners;
  const dx1 = x1 - x2, dx2 = x3 - x2, dx3 = x0 - x1 + x2 - x3;
  const dy1 = y1 - y2, dy2 = y3 - y2, dy3 = y0 - y1 + y2 - y3;
  const all = dx1 * dy2 - dx2 * dy1;
  const g = (dx3 * dy2 - dx2 * dy3) / all, h = (dx1 * dy3 - dx3 * dy1) / all;
  const a = x1 - x0 + g * x1, b = x3 - x0 + h * x3, d = y1 - y0 + g * y1, e = y3 - y0 + h * y3;
  return (u, v) => {
    const w = g * u + h * v + 1;
    return [(a * u + b * v + x0) / w, (d * u + e * v + y0) / w];
  };
}

// -- handles: dragged, or moved by arrow keys ---------------------------------------------------------------------------

function handle(label, kind, place, move) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = `handle ${kind}`;
  button.setAttribute("aria-label", label);
  const put = () => {
    const [x, y] = place();
    button.style.left = `${x * 100}%`;
    button.style.top = `${y * 100}%`;
  };
  button.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    button.focus();
    button.setPointerCapture(event.pointerId);
  });
  button.addEventListener("pointermove", (event) => {
    if (!button.hasPointerCapture(event.pointerId)) return;
    const box = frame.getBoundingClientRect();
    const inside = (value) => Math.min(1, Math.max(0, value));
    move([inside((event.clientX - box.left) / box.width), inside((event.clientY - box.top) / box.height)]);
  });
  button.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!step) return;
    event.preventDefault();
    const far = event.shiftKey ? 0.02 : 0.004;
    const [x, y] = place();
    move([Math.min(1, Math.max(0, x + step[0] * far)), Math.min(1, Math.max(0, y + step[1] * far))]);
  });
  button.put = put;
  handles.append(button);
}

/** Slots of a shelf, from left to right. */
const onShelf = (id) => plan.positions.filter((one) => one.fixtureId === id).sort((one, other) => one.x - other.x);

function showHandles() {
  handles.replaceChildren();
  corners.forEach((_, i) => {
    handle(words[`corner_${i + 1}`], "corner", () => corners[i], (point) => {
      corners[i] = point;
      draw();
    });
  });
  for (const shelf of plan?.fixtures ?? []) {
    const row = onShelf(shelf.id);
    row.slice(0, -1).forEach((slot, i) => {
      const other = row[i + 1];
      const at = () => toPicture()((slot.x + slot.w) / plan.width, (shelf.y + shelf.h * 0.55) / plan.height);
      handle(say("edge", { slot: slot.id }), "edge", at, ([x]) => {
        const [ox] = at(), [nx] = toPicture()((slot.x + slot.w + 10) / plan.width, (shelf.y + shelf.h * 0.55) / plan.height);
        const end = other.x + other.w;
        const wish = slot.x + slot.w + ((x - ox) / (nx - ox)) * 10;
        const border = Math.min(end - SMALLEST_SLOT_MM, Math.max(slot.x + SMALLEST_SLOT_MM, wish));
        slot.w = border - slot.x;
        other.x = border;
        other.w = end - border;
        draw();
      });
    });
  }
  draw();
}

function draw() {
  const at = toPicture();
  const shape = (x, y, w, h) => [[x, y], [x + w, y], [x + w, y + h], [x, y + h]]
    .map(([px, py]) => at(px / (plan?.width ?? 1), py / (plan?.height ?? 1)).join()).join(" ");
  const parts = plan
    ? plan.positions.map((slot) => {
      const shelf = plan.fixtures.find((one) => one.id === slot.fixtureId);
      return [`slot${productOf(slot).gtin ? " known" : ""}`, shape(slot.x, shelf.y, slot.w, shelf.h)];
    })
    : [];
  lines.replaceChildren(...[["front", corners.map((one) => one.join()).join(" ")], ...parts].map(([kind, points]) => {
    const polygon = document.createElementNS("http://www.w3.org/2000/svg", "polygon");
    polygon.setAttribute("class", kind);
    polygon.setAttribute("points", points);
    return polygon;
  }));
  for (const button of handles.children) button.put();
}

// -- the slots ----------------------------------------------------------------------------------------------------------

const productOf = (slot) => plan.products.find((one) => one.id === slot.productId);

function nameOf(gtin) {
  return document.querySelector(`#products option[data-gtin="${gtin}"]`)?.value ?? gtin;
}

/** The 14 digits of a GTIN whose check digit is right, or "". */
function gtinOf(text) {
  const option = [...document.querySelectorAll("#products option")].find((one) => one.value === text);
  if (option) return option.dataset.gtin;
  const digits = text.replace(/[\s-]/g, "");
  if (!/^(\d{8}|\d{12,14})$/.test(digits)) return "";
  const sum = [...digits.slice(0, -1)].reverse().reduce((all, digit, i) => all + Number(digit) * (i % 2 ? 1 : 3), 0);
  return (10 - (sum % 10)) % 10 === Number(digits.at(-1)) ? digits.padStart(14, "0") : "";
}

/** Names slots anew by shelf and place; what is in no slot is no product of the planogram. */
function tidy() {
  plan.fixtures = plan.fixtures.filter((shelf) => onShelf(shelf.id).length);
  const order = [];
  plan.fixtures.forEach((shelf, i) => onShelf(shelf.id).forEach((slot, j) => {
    slot.id = `s${i + 1}-${String(j + 1).padStart(2, "0")}`;
    order.push(slot);
  }));
  plan.positions = order;
  const used = new Set(order.map((slot) => slot.productId));
  plan.products = plan.products.filter((one) => used.has(one.id));
}

function fill(slot) {
  const { h, d } = slot.facings;
  slot.capacity = h * (slot.facings.v ?? 1) * d;
  slot.min_presentation = Math.min(h, slot.capacity);
}

function showPlan() {
  document.getElementById("slots-part").hidden = document.getElementById("save-bar").hidden = !plan;
  slotList.replaceChildren();
  if (plan) {
    tidy();
    for (const slot of plan.positions) slotList.append(rowOf(slot));
  }
  showHandles();
}

function rowOf(slot) {
  const row = rowTemplate.content.firstElementChild.cloneNode(true);
  const product = productOf(slot);
  const next = onShelf(slot.fixtureId)[onShelf(slot.fixtureId).indexOf(slot) + 1];
  row.dataset.slot = slot.id;
  row.querySelector("h3").textContent = `${words.slot} ${slot.id}`;
  const put = (kind, label, value, changed) => {
    const input = row.querySelector(`.${kind}`);
    input.id = `${kind}-${slot.id}`;
    input.value = value;
    const words = input.parentElement.querySelector("label");
    words.textContent = label;
    words.htmlFor = input.id;
    input.addEventListener("change", () => changed(input));
    return input;
  };
  const named = put("product", words.product, product.gtin ? nameOf(product.gtin) : "", (input) => {
    const gtin = gtinOf(input.value.trim());
    input.setAttribute("aria-invalid", String(Boolean(input.value.trim()) && !gtin));
    if (gtin) Object.assign(product, { gtin, name: nameOf(gtin) });
    else delete product.gtin;
    draw();
  });
  named.placeholder = words.unknown;
  showLabel(row, labels.get(slot.productId), named);
  put("across", words.across, slot.facings.h, (input) => { slot.facings.h = whole(input); fill(slot); });
  put("deep", words.deep, slot.facings.d, (input) => { slot.facings.d = whole(input); fill(slot); });
  row.querySelector(".join").disabled = !next;
  row.querySelector(".join").addEventListener("click", () => {
    slot.w = next.x + next.w - slot.x;
    slot.facings.h += next.facings.h;
    slot.y = Math.min(slot.y, next.y);
    slot.h = Math.max(slot.h, next.h);
    fill(slot);
    plan.positions.splice(plan.positions.indexOf(next), 1);
    again(slot);
  });
  row.querySelector(".split").addEventListener("click", () => {
    const other = structuredClone(slot);
    other.w = slot.w = slot.w / 2;
    other.x = slot.x + slot.w;
    other.facings.h = Math.max(1, Math.floor(slot.facings.h / 2));
    slot.facings.h = Math.max(1, slot.facings.h - other.facings.h);
    other.productId = `p-${crypto.randomUUID().slice(0, 8)}`;
    plan.products.push({ ...product, id: other.productId, name: "", gtin: undefined });
    fill(slot);
    fill(other);
    plan.positions.push(other);
    again(slot);
  });
  row.querySelector(".remove").disabled = plan.positions.length === 1;
  row.querySelector(".remove").addEventListener("click", () => {
    plan.positions.splice(plan.positions.indexOf(slot), 1);
    again(plan.positions[0]);
  });
  return row;
}

/** What hangs on the shelf's edge, and with a button each what else it may be. */
function showLabel(row, label, named) {
  const told = row.querySelector(".edge-label");
  told.hidden = !label;
  if (!label) return;
  named.setAttribute("aria-describedby", (told.id = `label-${row.dataset.slot}`));
  const others = [...label.others.map((gtin) => [gtin, "label_other"])];
  if (label.seen && label.seen !== label.gtin) others.push([label.seen, "label_seen"]);
  told.querySelector("span").textContent = say("label_read", { product: nameOf(label.gtin) });
  for (const [gtin, key] of others) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "button quiet-button";
    button.textContent = say(key, { product: nameOf(gtin) });
    button.addEventListener("click", () => {
      named.value = nameOf(gtin);
      named.dispatchEvent(new Event("change"));
    });
    told.append(" ", button);
  }
}

const whole = (input) => {
  const value = Math.min(100, Math.max(1, Math.round(Number(input.value)) || 1));
  input.value = value;
  return value;
};

function again(slot) {
  showPlan();
  slotList.querySelector(`[data-slot="${slot.id}"] input`)?.focus();
}

// -- asking and saving --------------------------------------------------------------------------------------------------

document.getElementById("look").addEventListener("click", async (event) => {
  const button = event.currentTarget;
  tell("");
  outcome.hidden = true;
  button.disabled = true;
  state.textContent = words.looking;
  const asked = new URLSearchParams({ corners: corners.flat().map((one) => one.toFixed(5)).join() });
  for (const name of ["bay", "camera", "width", "height", "depth"]) asked.set(name, field(name).value);
  try {
    const found = await ask(`/api/v1/calibrate/propose?${asked}`, photo, "image/jpeg");
    plan = found.planogram;
    const productIn = new Map(plan.positions.map((one) => [one.id, one.productId]));
    labels = new Map(found.labels.map((one) => [productIn.get(one.slot), one]));
    cover(found.people);
    showPlan();
    const known = plan.products.filter((one) => one.gtin).length;
    const counts = { slots: plan.positions.length, shelves: plan.fixtures.length, known, labels: labels.size };
    const read = found.reads_labels ? say("labels", counts) : words.no_barcodes;
    state.textContent = `${say("found", counts)}. ${read}`;
    if (found.not_full.length) tell(say("not_full", { shelves: found.not_full.join(", ") }));
  } catch (error) {
    state.textContent = "";
    tell(error.message);
  }
  button.disabled = false;
});

function cover(people) {
  const pen = canvas.getContext("2d");
  pen.fillStyle = "#1c1a17";
  for (const [x1, y1, x2, y2] of people) {
    pen.fillRect(x1 * canvas.width, y1 * canvas.height, (x2 - x1) * canvas.width, (y2 - y1) * canvas.height);
  }
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (!plan) return;
  tell("");
  const wrong = slotList.querySelector('[aria-invalid="true"]');
  if (wrong) {
    tell(say("gtin_wrong", { slot: wrong.closest("[data-slot]").dataset.slot }));
    wrong.focus();
    return;
  }
  const save = document.getElementById("save");
  save.disabled = true;
  const body = {
    planogram: plan, camera: field("camera").value, corners: corners.flat(), width: canvas.width, height: canvas.height,
  };
  try {
    showOutcome(await ask("/api/v1/calibrate/save", JSON.stringify(body), "application/json"), "saved");
  } catch (error) {
    tell(error.message);
  }
  save.disabled = false;
});
function showOutcome(saved, key) {
  outcome.dataset.bay = saved.bay;
  outcome.querySelector(".what").textContent = say(key, saved);
  outcome.querySelector(".unseen-slots").textContent = saved.unseen.length
    ? say("unseen", { slots: saved.unseen.join(", ") }) : "";
  const file = document.getElementById("file");
  file.href = `/calibrate/planograms/${saved.bay}.json`;
  file.textContent = `planogram-${saved.bay}.json`;
  outcome.hidden = false;
  outcome.focus();
}

document.getElementById("back").addEventListener("click", async (event) => {
  const button = event.currentTarget;
  tell("");
  button.disabled = true;
  try {
    showOutcome(await ask(`/api/v1/calibrate/back?bay=${outcome.dataset.bay}`, "", "text/plain"), "went_back");
  } catch (error) {
    tell(error.message);
  }
  button.disabled = false;
});
main.dataset.ready = "yes";
