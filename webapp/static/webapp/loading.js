// A page that lets a person wait says so: the one before stays on screen until the next one comes.

const LATE = 500; // milliseconds
const line = document.querySelector("[data-loading]");
let timer;

function quiet() {
  clearTimeout(timer);
  line.textContent = "";
}

addEventListener("beforeunload", (event) => {
  clearTimeout(timer);
  timer = setTimeout(() => {
    if (!event.defaultPrevented) line.textContent = line.dataset.loading; // else the person may stay
  }, LATE);
});
addEventListener("pageshow", quiet); // back on this page, as the browser remembered it
addEventListener("pointerdown", quiet); // no event tells that the person stopped the loading
