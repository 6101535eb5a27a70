// Fits the panels of a display: works out their letters while nobody is there, and dresses them when somebody is.

import { dress } from "./look.js";
import { hastySearch, search } from "./trials.js";

const PACE_MS = 20; // between two trials while nobody waits for them: the machine has other work

/**
 * Fit panels side by side, each by itself: a long name makes no other smaller. What fits is worked out beforehand, while
 * nobody is at the shelf, in `measure`: an invisible twin of where they stand; a reach then costs one layout, and never
 * waits for more than one trial of the work that goes on meanwhile. What is reached for before that gets letters in haste,
 * and `onReady` is called when there are better ones. `makePanel` makes a panel of one of `wanted`, `nameOf` names what decides about its size, `room` names
 * how much room there is besides.
 */
export function makeFitter(measure, makePanel, onReady) {
  const known = new Map(); // a task's name -> its look
  let urgent = []; // tasks somebody looks at
  let queue = []; // tasks for later
  let work = null;
  let isRunning = false;
  let uses = 0; // of `measure`: whoever finds that somebody else used it begins anew

  const taskOf = (one, count, nameOf, room) => ({ one, count, name: `${nameOf(one)} of ${count} ${room}` });

  function begin(task, how) {
    const { one, count } = task;
    uses++;
    measure.dataset.panels = String(count);
    const others = Array.from({ length: count - 1 }, () => {
      const empty = document.createElement("article");
      empty.className = "panel";
      return empty;
    });
    const panel = makePanel(one);
    measure.replaceChildren(panel, ...others);
    return { task, trials: how(panel, count), mine: uses };
  }

  function clear() {
    measure.replaceChildren();
    measure.dataset.panels = "0";
  }

  function inHaste(task) {
    const { trials } = begin(task, hastySearch);
    let trial = trials.next();
    while (!trial.done) trial = trials.next();
    clear();
    return trial.value;
  }

  /** Dress what is wanted. Returns whether all letters are the best there are. */
  function fit(wanted, nameOf, room) {
    const late = [];
    for (const one of wanted) {
      const task = taskOf(one, wanted.length, nameOf, room);
      if (!known.has(task.name)) late.push(task);
      dress(one.element, known.get(task.name) ?? inHaste(task));
    }
    urgent = late;
    if (urgent.length) run();
    return !late.length;
  }

  /** Work out every product for one, two and three panels, a trial at a time, whenever nothing else is to do. */
  function prepare(all, nameOf, room) {
    queue = [1, 2, 3].flatMap((count) => all.map((one) => taskOf(one, count, nameOf, room)));
    delete measure.dataset.prepared;
    run();
  }

  const idly = window.requestIdleCallback ?? ((action) => setTimeout(() => action(), 5));

  function run() {
    if (isRunning) return;
    isRunning = true;
    plan();
  }

  function plan() {
    if (urgent.length) idly(step, { timeout: 100 });
    else setTimeout(() => idly(step), PACE_MS);
  }

  function step() {
    const isAwaited = urgent.length > 0;
    urgent = urgent.filter(({ name }) => !known.has(name));
    if (isAwaited && !urgent.length) onReady();
    while (queue.length && known.has(queue[0].name)) queue.shift();
    const task = urgent[0] ?? queue[0];
    if (!task) {
      isRunning = false;
      measure.dataset.prepared = "yes";
      return;
    }
    if (work?.task.name !== task.name || work.mine !== uses) work = begin(task, search);
    const trial = work.trials.next();
    if (trial.done) {
      known.set(task.name, trial.value);
      work = null;
      clear();
    }
    plan();
  }

  function forget() {
    known.clear();
    urgent = [];
    queue = [];
    work = null;
  }

  return { fit, prepare, forget };
}
