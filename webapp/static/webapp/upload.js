// Sends many files, each by itself: progress, refusals, lost connections. Without it the form works
// as a plain one. Every word comes from the page; what is stored and what is not, the server says.

import { showArrived } from "./diagnosis.js";
import { dropped, inOrder, isSystemFile, sha256 } from "./upload_files.js";
import { Lost, SignedOut, post, unlessLost } from "./upload_requests.js";

const AT_ONCE = 3; // requests; more would only wait for one another
const COMPARED_AT_ONCE = 100; // files whose sums are asked about together
const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 30_000;
const TRIES = 5; // of one file, if all else gets through in between
const SPOKEN_EVERY_MS = 10_000; // a screen reader is to hear of progress, not of every file

const fill = (words, values) => words.replace(/\{(\w+)\}/g, (_, name) => values[name]);

// --- One file ------------------------------------------------------------------------------------

class Item {
  constructor(form, file, path, later) {
    Object.assign(this, { form, file, path, later, part: 0, losses: 0, moving: false, cancelled: false });
    this.show("row");
  }

  // A row of its own kind, made from the page's template; takes the place of the one there was.
  show(kind, text) {
    const row = this.form.querySelector(`[data-upload-${kind}]`).content.firstElementChild.cloneNode(true);
    if (text) row.querySelector("[data-text]").textContent = text;
    if (kind === "failed") row.dataset.result = "refused"; // as the server's own rows have it
    this.take(row);
  }

  take(row) {
    row.querySelector("strong bdi").textContent = this.path; // the server knows no folders
    this.row?.remove();
    this.row = row;
    const list = this.form.querySelector("[data-upload-results]");
    // Refused ones first: they are what a person has to act on.
    const place = row.dataset.result === "refused" ? list.querySelector(":scope > :not([data-result=refused])") : null;
    list.insertBefore(row, place);
  }

  say(text, part) {
    this.row.querySelector("[data-text]").textContent = text;
    const bar = this.row.querySelector("progress");
    if (part === undefined) bar.removeAttribute("value");
    else bar.value = part;
  }
}

// --- All files -----------------------------------------------------------------------------------

class Upload {
  constructor(form) {
    const part = (name) => form.querySelector(`[data-upload-${name}]`);
    // pending: every file without a result; queue: those whose turn comes; active: those whose turn it is.
    Object.assign(this, { form, part, pending: new Set(), queue: [], active: new Set(), back: null, wake() {} });
    this.words = Object.fromEntries([...part("words").content.children].map((word) => [word.dataset.word, word.textContent]));
    this.address = form.getAttribute("action") || location.pathname;
    this.spokenAt = 0;
    this.forget();
    part("cancel").addEventListener("click", () => this.cancel());
    part("rest").addEventListener("click", () => this.resume());
    addEventListener("online", () => this.wake());
    addEventListener("beforeunload", (event) => this.pending.size && event.preventDefault());
  }

  forget() {
    Object.assign(this, { total: 0, done: 0, bytes: 0, doneBytes: 0, limit: 1, ended: false, told: false });
    Object.assign(this, { counts: { stored: 0, here: 0, refused: 0, cancelled: 0 } });
  }

  // Take [file, path] pairs; those that the server has already are not sent.
  async add(files) {
    if (!this.pending.size) {
      this.forget();
      this.part("results").replaceChildren();
    }
    const later = files.length > Number(this.form.dataset.few);
    if (later) this.limit = AT_ONCE; // a few are screened while they are sent, one after the other
    const items = files.map(([file, path]) => new Item(this.form, file, path, later));
    for (const item of items) this.pending.add(item);
    this.total += items.length;
    this.bytes += items.reduce((sum, item) => sum + item.file.size, 0);
    this.speak(this.words.comparing);
    this.draw();
    this.reach();
    while (items.length) {
      this.queue.push(...(await this.missing(items.splice(0, COMPARED_AT_ONCE))));
      this.pump();
    }
  }

  // Ask by checksum which of the files are stored already, and give the others.
  async missing(items) {
    const sums = new Map();
    for (const item of items) {
      if (item.cancelled) continue;
      if (item.file.size > Number(this.form.dataset.maxBytes)) this.settle(item, "refused", this.words.too_large);
      else if (!crypto.subtle) sums.set(item, ""); // plain HTTP from another machine
      else {
        const sum = await sha256(item.file).catch(() => null);
        if (sum === null) this.settle(item, "refused", this.words.unreadable);
        else sums.set(item, sum);
      }
    }
    const held = await this.held(sums);
    for (const [item, sum] of sums) if (held[sum] && this.pending.has(item)) this.here(item, held[sum]);
    return items.filter((item) => this.pending.has(item));
  }

  // Addresses of the fields that the server has, by checksum.
  async held(sums) {
    const body = new URLSearchParams([...sums.values()].filter(Boolean).map((sum) => ["sha256", sum]));
    if (!body.size) return {};
    try {
      for (;;) {
        const answer = await unlessLost(post(this.form, this.form.dataset.held, body));
        if (answer) return answer.status === 200 ? JSON.parse(answer.responseText).held : {};
        await this.connection();
      }
    } catch (error) {
      if (!(error instanceof SignedOut)) throw error;
      this.end();
      return {}; // nothing is lost: the server stores no file twice
    }
  }

  here(item, address) {
    item.show("here");
    item.row.querySelector("a").href = address;
    this.counts.here += 1;
    this.settle(item, "stored");
  }

  // Send what waits, so many at once.
  pump() {
    while (!this.ended && this.active.size < this.limit && this.queue.length) {
      const item = this.queue.shift();
      this.active.add(item);
      this.send(item).finally(() => {
        this.active.delete(item);
        this.pump();
      });
    }
    this.draw();
    if (!this.pending.size && !this.told) this.finish();
  }

  // One file, until there is an answer, however long the connection is away.
  async send(item) {
    try {
      while (!item.cancelled) {
        const answer = await this.attempt(item);
        if (!(answer instanceof Lost)) return this.receive(item, answer);
        if (answer.later) await this.later(item, answer.later);
        else {
          item.losses += 1;
          if (item.losses === TRIES) return this.settle(item, "refused", this.words.given_up);
          item.say(this.words.waiting, 0);
          this.draw();
          await this.connection(item.losses);
        }
      }
    } catch (error) {
      if (!(error instanceof SignedOut)) throw error;
      if (!item.cancelled) {
        item.show("row");
        this.queue.unshift(item);
      }
      this.end();
    }
  }

  // The server cannot take it now (busy, a locked database, a full disk) and says when to ask again.
  async later(item, milliseconds) {
    item.say(this.words.busy, 0);
    this.draw();
    if (Date.now() - this.spokenAt > SPOKEN_EVERY_MS) this.speak(this.words.busy);
    // Not all at the same moment; in small steps, so that a cancelled file ends at once.
    const until = Date.now() + milliseconds * (1 + Math.random() / 2);
    while (Date.now() < until && !item.cancelled) await new Promise((resolve) => setTimeout(resolve, 250));
  }

  // The answer, or how the connection was lost.
  attempt(item) {
    const body = new FormData();
    if (item.later) body.append("later", "1");
    body.append("fields", item.file, item.file.name);
    const onBytes = (part) => {
      item.part = part;
      item.say(fill(this.words.sending, { percent: Math.floor(part * 100) }), part);
      this.draw();
    };
    item.moving = true;
    onBytes(0);
    const onSent = () => item.say(item.later ? this.words.storing : this.words.screening);
    const lost = (error) => {
      if (error instanceof Lost) return error;
      throw error;
    };
    const answer = post(this.form, this.address, body, { onBytes, onSent }).catch(lost);
    return answer.finally(() => Object.assign(item, { moving: false, part: 0 }));
  }

  receive(item, request) {
    const holder = document.createElement("template");
    holder.innerHTML = request.responseText;
    const row = request.status === 200 && holder.content.querySelector("[data-result]");
    if (!row) return this.settle(item, "refused", request.status === 413 ? this.words.too_large : fill(this.words.failed, { status: request.status }));
    const stored = row.dataset.result === "stored";
    if (stored && item.later) item.row.remove(); // the gallery shows it, and its result when there is one
    else item.take(row);
    this.settle(item, stored ? "stored" : "refused");
    if (item.later && this.counts.stored - this.counts.here === 1) this.arrived();
  }

  settle(item, outcome, reason) {
    if (!this.pending.delete(item)) return; // cancelled in the meantime
    if (reason) item.show("failed", reason);
    if (outcome === "cancelled") item.row.remove();
    this.counts[outcome] += 1;
    this.done += 1;
    this.doneBytes += item.file.size;
    this.draw();
    if (Date.now() - this.spokenAt > SPOKEN_EVERY_MS) this.speak(fill(this.words.progress, this));
  }

  // --- The connection ----------------------------------------------------------------------------

  // Waits until the server answers again; all that was lost waits for the same small question.
  connection(losses = 1) {
    this.back ??= this.reconnect(FIRST_PAUSE_MS * 2 ** (losses - 1)).finally(() => (this.back = null));
    return this.back;
  }

  async reconnect(first) {
    this.speak(this.words.lost);
    for (let pause = first; this.pending.size; pause = Math.min(pause * 2, LONGEST_PAUSE_MS)) {
      await this.pause(pause);
      if (await unlessLost(post(this.form, this.form.dataset.held, new URLSearchParams()))) break;
    }
    if (this.pending.size) this.speak(fill(this.words.progress, this));
  }

  pause(milliseconds) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, milliseconds);
      this.wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  // The session is over: what is left waits for the person to come back.
  end() {
    if (this.ended) return;
    this.ended = true;
    this.part("ended").hidden = false;
    this.speak(this.words.ended);
  }

  resume() {
    this.ended = false;
    this.part("ended").hidden = true;
    this.form.querySelector("input[type=file]").focus(); // the button is gone
    this.speak(fill(this.words.progress, this));
    this.pump();
  }

  cancel() {
    this.queue = [];
    for (const item of [...this.pending].filter((item) => !item.moving)) {
      item.cancelled = true;
      this.settle(item, "cancelled");
    }
    this.wake();
    this.pump();
  }

  // --- What is seen and heard --------------------------------------------------------------------

  arrived() {
    showArrived();
  }

  speak(text) {
    this.spokenAt = Date.now();
    this.part("summary").textContent = text;
  }

  draw() {
    const moving = [...this.active].reduce((sum, item) => sum + item.part * item.file.size, 0);
    const overall = this.part("overall");
    overall.hidden = !this.pending.size;
    overall.querySelector("progress").value = this.bytes ? (this.doneBytes + moving) / this.bytes : 0;
    overall.querySelector("[data-count]").textContent = `${this.done} / ${this.total}`;
    const waiting = [...this.pending].some((item) => !item.moving);
    if (!waiting && document.activeElement === this.part("cancel")) this.form.querySelector("input[type=file]").focus();
    this.part("cancel").hidden = !waiting;
  }

  // A list that scrolls is to be reached by keyboard, another one not.
  reach() {
    const list = this.part("results");
    if (list.scrollHeight > list.clientHeight) list.tabIndex = 0;
    else list.removeAttribute("tabindex");
  }

  finish() {
    this.told = true;
    this.part("ended").hidden = true;
    const { stored, here, refused, cancelled } = this.counts;
    const parts = [fill(this.words.stored, { n: stored, total: this.total })];
    if (here) parts.push(fill(this.words.here, { n: here }));
    if (refused) parts.push(fill(this.words.refused, { n: refused }));
    if (cancelled) parts.push(fill(this.words.cancelled, { n: cancelled }));
    this.speak(parts.join(" "));
    this.reach();
    this.arrived();
  }
}

// --- Choosing ------------------------------------------------------------------------------------

// What is chosen lies in the form's own file field, whichever way it came; only the paths beside it.
function enhance(form) {
  const input = form.querySelector("input[type=file][name]");
  const zone = form.querySelector(".drop");
  const folder = form.querySelector("[data-upload-folder-input]");
  const upload = new Upload(form);
  let paths = [];

  const choose = (files) => {
    const kept = files.filter(([, path]) => !isSystemFile(path));
    const holder = new DataTransfer();
    for (const [file] of kept) holder.items.add(file);
    input.files = holder.files;
    paths = kept.map(([, path]) => path);
    const skipped = files.length - kept.length;
    const said = [fill(upload.words.chosen, { n: kept.length })];
    if (skipped) said.push(fill(upload.words.skipped, { n: skipped }));
    form.querySelector("[data-upload-chosen]").textContent = said.join(" ");
  };
  const chosen = () => [...input.files].map((file, index) => [file, paths[index] ?? file.name]);

  for (const part of form.querySelectorAll("[data-upload-script]")) part.hidden = false;
  form.querySelector("[data-upload-folder]").addEventListener("click", () => folder.click());
  input.addEventListener("change", () => choose([...input.files].map((file) => [file, file.name])));
  folder.addEventListener("change", () => {
    choose(inOrder([...folder.files].map((file) => [file, file.webkitRelativePath])));
    folder.value = "";
  });

  const carriesFiles = (event) => event.dataTransfer?.types.includes("Files");
  // Beside the zone, a browser would leave the page for the file that is dropped.
  for (const kind of ["dragover", "drop"]) document.addEventListener(kind, (event) => carriesFiles(event) && event.preventDefault());
  zone.addEventListener("dragover", (event) => carriesFiles(event) && zone.classList.add("drop--over"));
  for (const kind of ["dragleave", "drop"]) zone.addEventListener(kind, () => zone.classList.remove("drop--over"));
  zone.addEventListener("drop", async (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    const before = chosen();
    choose([...before, ...(await dropped(event.dataTransfer))]);
  });

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const files = chosen();
    form.reset();
    paths = [];
    form.querySelector("[data-upload-chosen]").textContent = "";
    upload.add(files);
  });
}

document.querySelectorAll("form[data-upload]").forEach(enhance);
