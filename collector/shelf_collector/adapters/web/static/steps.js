// Steps with tasks, sent once each and in order. They are kept in the browser until the server has answered, so that a
// dead spot, a reload or a session that ended loses none; each has a key by which the server knows it again. Several steps
// of one task wait in turn; when one of them is refused, those that were built on it are not sent, and that is told.

const KEPT = "smartshelf-steps";
const MOST = 100;
const SLOW_MS = 2000; // whoever has tapped and hears nothing for so long is told
const WAITS_MS = [1000, 2000, 5000, 15_000, 30_000];

export class StepQueue {
  #how;
  #sending = false;
  #tries = 0;
  #timer = 0;
  #again = false;
  #isSlow = false;
  #isLoggedOut = false;

  /**
   * `how`: who (whose steps may be sent), mark(), onChange, onRefused(step, reply, unsent), onFailed(step), onSent,
   * onSessionOver(n). `unsent`: later steps of the same task, which are given up with the refused one.
   */
  constructor(how) {
    this.#how = how;
    addEventListener("storage", (event) => { if (event.key === KEPT) this.#how.onChange(); });
    if (this.mine.length) this.flush();
  }

  get mine() {
    return read().filter((step) => step.who === this.#how.who);
  }

  /** Steps of others who used this phone: they wait until they log in. */
  ofOthers() {
    return read().filter((step) => step.who !== this.#how.who);
  }

  get isStuck() {
    return this.#tries > 0 || this.#isSlow;
  }

  /** Whether the server has refused us: nobody is logged in here any more. */
  get isLoggedOut() {
    return this.#isLoggedOut;
  }

  /** What waits for one task, in order. */
  of(task) {
    return this.mine.filter((step) => step.task === task);
  }

  /** False when too much waits already. The step that waits last for its task is not taken twice. */
  add(step) {
    const all = read();
    const last = all.findLast((one) => one.task === step.task && one.who === this.#how.who);
    if (last?.step === step.step && last.reason === step.reason) return true;
    if (all.length >= MOST) return false;
    write([...all, { ...step, who: this.#how.who, key: newKey() }]);
    this.#how.onChange();
    this.flush();
    return true;
  }

  async flush() {
    if (this.#sending) {
      this.#again = true;
      return;
    }
    clearTimeout(this.#timer);
    this.#sending = true;
    let isStuck = false;
    do {
      this.#again = false;
      while (this.mine.length && !isStuck) isStuck = !(await this.#send(this.mine[0]));
    } while (this.#again && !isStuck);
    this.#sending = false;
    if (isStuck) this.#timer = setTimeout(() => this.flush(), WAITS_MS[Math.min(this.#tries++, WAITS_MS.length - 1)]);
    else this.#tries = 0;
    this.#how.onChange();
  }

  /** Whether the server has answered for good. */
  async #send(step) {
    const { task, step: name, key, reason, minutes } = step;
    const slow = setTimeout(() => { this.#isSlow = true; this.#how.onChange(); }, SLOW_MS);
    let answer;
    try {
      answer = await fetch(`/api/v1/tasks/${task}/steps`, {
        method: "POST",
        headers: { "Content-Type": "application/json", "X-Form-Mark": this.#how.mark() },
        body: JSON.stringify({ step: name, key, ...(reason ? { reason, minutes } : {}) }),
        signal: AbortSignal.timeout(8000),
      });
    } catch {
      return false; // nobody answered: it may or may not have arrived, and its key makes that the same
    } finally {
      clearTimeout(slow);
      this.#isSlow = false;
    }
    this.#isLoggedOut = answer.status === 401;
    if (this.#isLoggedOut) {
      this.#how.onSessionOver(this.mine.length);
      return false;
    }
    if (answer.status === 403 && !sessionStorage.getItem("smartshelf-reloaded")) {
      sessionStorage.setItem("smartshelf-reloaded", "1"); // another session since: the page gets a new mark, once
      location.reload();
      return false;
    }
    if (answer.status >= 500 || answer.status === 429) return false;
    sessionStorage.removeItem("smartshelf-reloaded");
    const unsent = answer.status === 409 ? this.of(task).filter((one) => one.key !== key) : [];
    forget([key, ...unsent.map((one) => one.key)]);
    if (answer.status === 409) this.#how.onRefused(step, await answer.json().catch(() => ({})), unsent);
    else if (!answer.ok) this.#how.onFailed(step);
    this.#how.onSent();
    return true;
  }
}

function read() {
  try {
    const kept = JSON.parse(localStorage.getItem(KEPT) ?? "[]");
    return Array.isArray(kept) ? kept.filter((one) => one?.key && one?.task) : [];
  } catch {
    return [];
  }
}

function write(steps) {
  localStorage.setItem(KEPT, JSON.stringify(steps));
}

function forget(keys) {
  write(read().filter((one) => !keys.includes(one.key)));
}

/** A random UUID; crypto.randomUUID is missing where a page came without TLS. */
function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20)}`;
}
