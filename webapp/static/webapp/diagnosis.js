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

const KEYS_OFF = "single-keys-off"; // in this browser's own storage: a reader may not want them

// Read a case by keyboard: each key does what a button or link on the page does.
function enhanceReading(dialog) {
  const on = dialog.querySelector("[data-keys-on]");
  on.checked = !localStorage.getItem(KEYS_OFF);
  on.addEventListener("change", () => (on.checked ? localStorage.removeItem(KEYS_OFF) : localStorage.setItem(KEYS_OFF, "1")));
  document.querySelector("[data-keys]").hidden = false;
  document.querySelector("[data-keys-help]").addEventListener("click", () => dialog.showModal());

  const other = (choose) => {
    document.querySelector("[data-other]").open = true;
    choose?.call();
    document.getElementById("reason").focus();
  };
  const press = (key) => {
    if (key === "?") return dialog.showModal();
    if (key === "a") return document.querySelector("[data-key=a]").click();
    if (key === "n") return document.querySelector("a[rel=next]")?.click();
    if (key === "p") return document.querySelector("a[rel=prev]")?.click();
    if (key === "u") return other();
    const chosen = /^[1-4]$/.test(key) && document.querySelector(`[data-class-key="${key}"]`);
    if (chosen?.tagName === "OPTION") return other(() => (chosen.selected = true));
    return chosen ? chosen.click() : undefined;
  };
  document.addEventListener("keydown", (event) => {
    // A dialog that has just closed may still hold the focus.
    const typing = event.target.closest?.("input, select, textarea") && !dialog.contains(event.target);
    if (typing || dialog.open || event.ctrlKey || event.metaKey || event.altKey || !on.checked) return;
    press(event.key);
    if ("u1234?".includes(event.key)) event.preventDefault(); // the key is not to be typed as well
  });
}

document.querySelectorAll("[data-keys-dialog]").forEach(enhanceReading);
// upload.js says so; it cannot import from here, as the two files have names of their own contents.
document.addEventListener("fields-arrived", () => refreshLive().then(watchWaiting, watchWaiting));
watchWaiting();
