// Makes the pages on diagnoses quicker to read; each of them works without it.
"use strict";

// Take what the server now shows in place of the page's live region.
async function refreshLive() {
  const live = document.querySelector("[data-live]");
  if (!live) return;
  const response = await fetch(location.href);
  if (!response.ok || response.redirected) return;
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  const fresh = page.querySelector("[data-live]");
  if (!fresh) return;
  live.replaceWith(fresh);
  document.title = page.title;
}

let watching = false;

// While something waits for the model: look again, less and less often if nothing happens.
async function watchWaiting() {
  if (watching) return;
  watching = true;
  let pause = 1000;
  for (let waiting; (waiting = document.querySelector("[data-waiting]")); ) {
    const before = waiting.dataset.waiting;
    await new Promise((resolve) => setTimeout(resolve, pause));
    await refreshLive().catch(() => {}); // offline for a moment: the next round tries again
    const moved = document.querySelector("[data-waiting]")?.dataset.waiting !== before;
    pause = moved ? 1000 : Math.min(pause * 1.5, 30000);
  }
  watching = false;
}

const AT_ONCE = 3; // requests; more would only wait for one another
const FEW = 4; // files that are screened while one waits; more are left to the worker

// Send each file by itself to the form's own address, so that each shows what became of it.
function enhanceUpload(form) {
  const input = form.querySelector("input[type=file]");
  const button = form.querySelector("button[type=submit]");
  const summary = form.querySelector("[data-upload-summary]");
  const results = form.querySelector("[data-upload-results]");
  const template = form.querySelector("[data-upload-row]");

  const addRow = (file) => {
    const row = template.content.firstElementChild.cloneNode(true);
    row.querySelector("[data-name]").textContent = file.name;
    results.append(row);
    return row;
  };

  const send = async (file, row, later) => {
    const body = new FormData();
    if (later) body.append("later", "1");
    body.append("csrfmiddlewaretoken", form.elements.csrfmiddlewaretoken.value);
    body.append(input.name, file);
    try {
      const response = await fetch(form.action, { method: "POST", body, headers: { "X-Requested-With": "fetch" } });
      if (response.redirected) throw new Error("Your session has ended: sign in again, then send this file again.");
      if (!response.ok) throw new Error(`The server refused this file (${response.status}). Send it again.`);
      const holder = document.createElement("template");
      holder.innerHTML = await response.text();
      const result = holder.content.querySelector("li");
      const stored = result.dataset.result === "stored";
      if (later && stored) row.remove(); // the gallery shows it, and its result when there is one
      else row.replaceWith(result);
      return stored;
    } catch (error) {
      row.querySelector("progress").remove();
      row.querySelector("[data-text]").textContent =
        error instanceof TypeError
          ? "The connection failed. Send this file again; what arrived is not stored twice."
          : error.message;
      return false;
    }
  };

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const files = [...input.files];
    button.disabled = true;
    results.replaceChildren();
    const rows = files.map(addRow);
    const later = files.length > FEW;
    const doing = later ? "Uploading" : "Uploading and screening";
    let sent = 0;
    let stored = 0;
    const left = files.entries();
    const sendNext = async () => {
      for (const [index, file] of left) {
        if (await send(file, rows[index], later)) stored += 1;
        sent += 1;
        summary.textContent = `${doing}: ${sent} of ${files.length} done…`;
        if (later && stored === 1) refreshLive().then(watchWaiting, watchWaiting);
      }
    };
    summary.textContent = `${doing} ${files.length} ${files.length === 1 ? "file" : "files"}…`;
    await Promise.all(Array.from({ length: later ? AT_ONCE : 1 }, sendNext));
    summary.textContent = `${stored} of ${files.length} ${files.length === 1 ? "file" : "files"} stored.`;
    form.reset();
    button.disabled = false;
    await refreshLive().catch(() => {});
    watchWaiting();
  });
}

document.querySelectorAll("form[data-upload]").forEach(enhanceUpload);
watchWaiting();
