// Makes the pages on diagnoses quicker to read; each of them works without it.

const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 30_000;

const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
const longer = (milliseconds) => Math.min(milliseconds * 1.5, LONGEST_PAUSE_MS);

// Take what the server now shows in place of the page's live region; throws if it cannot show it now.
async function takeLive() {
  const live = document.querySelector("[data-live]");
  if (!live) return;
  const response = await fetch(location.href);
  if (response.status >= 500) throw new Error(`The server answered ${response.status}.`);
  if (!response.ok || response.redirected) return; // the session is over
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  const fresh = page.querySelector("[data-live]");
  if (!fresh) return;
  live.replaceWith(fresh);
  document.title = page.title;
}

let taken = Promise.resolve();

// One after the other: of two at once, the later would find the region it is to replace gone.
const refreshLive = () => (taken = taken.then(takeLive, takeLive));

let watching = false;

// While something waits for the model: look again, less and less often if nothing happens.
async function watchWaiting() {
  if (watching) return;
  watching = true;
  let wait = FIRST_PAUSE_MS;
  for (let waiting; (waiting = document.querySelector("[data-waiting]")); ) {
    const before = waiting.dataset.waiting;
    await pause(wait);
    await refreshLive().catch(() => {}); // offline for a moment: the next round tries again
    const moved = document.querySelector("[data-waiting]")?.dataset.waiting !== before;
    wait = moved ? FIRST_PAUSE_MS : longer(wait);
  }
  watching = false;
}

// Show what has just been stored, however long the page cannot be had, and what becomes of it.
export async function showArrived() {
  for (let wait = FIRST_PAUSE_MS; ; wait = longer(wait)) {
    const shown = await refreshLive().then(() => true, () => false);
    if (shown) return watchWaiting();
    await pause(wait);
  }
}

watchWaiting();
