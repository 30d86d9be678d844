// Makes the pages on diagnoses quicker to read; each of them works without it.

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

// Show what has just been stored, and what becomes of it.
export const showArrived = () => refreshLive().then(watchWaiting, watchWaiting);

watchWaiting();
