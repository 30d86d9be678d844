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

// While something waits for the model: look again, less and less often.
async function watchWaiting() {
  if (watching) return;
  watching = true;
  for (let pause = 2000; document.querySelector("[data-waiting]"); pause = Math.min(pause * 1.5, 30000)) {
    await new Promise((resolve) => setTimeout(resolve, pause));
    await refreshLive().catch(() => {}); // offline for a moment: the next round tries again
  }
  watching = false;
}

// Send files one by one to the form's own address, so that each shows its result at once.
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

  const send = async (file, row) => {
    const body = new FormData();
    body.append("csrfmiddlewaretoken", form.elements.csrfmiddlewaretoken.value);
    body.append(input.name, file);
    try {
      const response = await fetch(form.action, { method: "POST", body, headers: { "X-Requested-With": "fetch" } });
      if (response.redirected) throw new Error("Your session has ended: sign in again, then send this file again.");
      if (!response.ok) throw new Error(`The server refused this file (${response.status}). Send it again.`);
      const holder = document.createElement("template");
      holder.innerHTML = await response.text();
      const result = holder.content.querySelector("li");
      row.replaceWith(result);
      return result.dataset.result === "stored";
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
    let stored = 0;
    for (const [index, file] of files.entries()) {
      summary.textContent = `Uploading and screening file ${index + 1} of ${files.length}…`;
      if (await send(file, rows[index])) stored += 1;
    }
    summary.textContent = `${stored} of ${files.length} ${files.length === 1 ? "file" : "files"} stored.`;
    form.reset();
    button.disabled = false;
    await refreshLive().catch(() => {});
    watchWaiting();
  });
}

document.querySelectorAll("form[data-upload]").forEach(enhanceUpload);
watchWaiting();
