// The photograph of a field at full resolution: zoom, move, brighten, lay the activation map over.
import { enhance } from "./live.js";

const STEP = 1.25; // of one zoom
const STRIDE = 0.15; // of the window, of one move
const CLOSEST = 8; // screen pixels for one of the photograph
const PLAIN = { brightness: 100, contrast: 100, opacity: 60, map: false };
const percent = (share) => `${Math.round(100 * share)}\u00a0%`;
const clip = (value, low, high) => Math.min(Math.max(value, low), high);

// Where the photograph lies in its window: `scale` window pixels for one of its own, from (x, y).
class Lens {
  constructor(view, stage, image, shown) {
    Object.assign(this, { view, stage, shown, fitted: true, x: 0, y: 0, scale: 1 });
    this.width = Number(image.getAttribute("width"));
    this.height = Number(image.getAttribute("height"));
    stage.style.width = `${this.width}px`;
    stage.style.height = `${this.height}px`;
    view.style.aspectRatio = `${this.width} / ${this.height}`;
    new ResizeObserver(() => (this.fitted ? this.fit() : this.place())).observe(view);
    this.fit();
  }

  get whole() {
    return Math.min(this.view.clientWidth / this.width, this.view.clientHeight / this.height);
  }

  get full() {
    return 1 / devicePixelRatio;
  }

  fit() {
    this.scale = this.whole;
    this.fitted = true;
    this.place();
  }

  // To `scale`; the point (x, y) of the window, its middle by default, stays where it is.
  zoom(scale, x = this.view.clientWidth / 2, y = this.view.clientHeight / 2) {
    const next = clip(scale, Math.min(this.whole, this.full), Math.max(CLOSEST * this.full, 2 * this.whole));
    this.x = x - ((x - this.x) * next) / this.scale;
    this.y = y - ((y - this.y) * next) / this.scale;
    this.scale = next;
    this.fitted = Math.abs(next / this.whole - 1) < 1e-3;
    this.place();
  }

  move(x, y) {
    this.x += x;
    this.y += y;
    this.place();
  }

  stride(right, down) {
    this.move(-right * STRIDE * this.view.clientWidth, -down * STRIDE * this.view.clientHeight);
  }

  // Without glass beside the photograph where there is more of it, and in the middle where not.
  place() {
    const within = (at, room, size) => (size <= room ? (room - size) / 2 : clip(at, room - size, 0));
    const [width, height] = [this.width * this.scale, this.height * this.scale];
    this.x = within(this.x, this.view.clientWidth, width);
    this.y = within(this.y, this.view.clientHeight, height);
    this.stage.style.transform = `translate(${this.x}px, ${this.y}px) scale(${this.scale})`;
    this.shown(this.scale / this.full, width > this.view.clientWidth + 1 || height > this.view.clientHeight + 1);
  }
}

// Drag with one pointer, pinch with two, double click for full resolution and back.
function listenToPointers(lens) {
  const { view } = lens;
  const down = new Map();
  const middle = () => {
    const box = view.getBoundingClientRect();
    const [a, b = a] = [...down.values()];
    return {
      x: (a.x + b.x) / 2 - box.left - view.clientLeft,
      y: (a.y + b.y) / 2 - box.top - view.clientTop,
      apart: Math.hypot(a.x - b.x, a.y - b.y),
    };
  };
  view.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    down.set(event.pointerId, { x: event.clientX, y: event.clientY });
    view.setPointerCapture(event.pointerId);
  });
  view.addEventListener("pointermove", (event) => {
    if (!down.has(event.pointerId) || down.size > 2) return;
    const before = middle();
    down.set(event.pointerId, { x: event.clientX, y: event.clientY });
    const after = middle();
    if (down.size === 2 && before.apart > 0) lens.zoom((lens.scale * after.apart) / before.apart, before.x, before.y);
    lens.move(after.x - before.x, after.y - before.y);
  });
  for (const ended of ["pointerup", "pointercancel"]) view.addEventListener(ended, (event) => down.delete(event.pointerId));
  view.addEventListener("dblclick", (event) => {
    const box = view.getBoundingClientRect();
    if (!lens.fitted) return lens.fit();
    const closer = Math.max(lens.full, 2 * lens.whole);
    lens.zoom(closer, event.clientX - box.left - view.clientLeft, event.clientY - box.top - view.clientTop);
  });
  view.addEventListener(
    "wheel",
    (event) => {
      if (!event.ctrlKey && document.activeElement !== view) return; // the page scrolls
      event.preventDefault();
      const box = view.getBoundingClientRect();
      const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 16 : 1;
      const factor = STEP ** clip((-event.deltaY * lines) / 100, -2, 2);
      lens.zoom(lens.scale * factor, event.clientX - box.left - view.clientLeft, event.clientY - box.top - view.clientTop);
    },
    { passive: false },
  );
}

// Light, contrast and map; kept in this tab while one goes through the fields of a case.
function listenToSliders(viewer, image) {
  const key = `viewer:${viewer.dataset.viewer || location.pathname}`;
  const map = viewer.querySelector("[data-viewer-map]");
  const toggle = viewer.querySelector("[data-viewer-do=map]");
  const failed = viewer.querySelector("[data-viewer-failed]");
  const sliders = [...viewer.querySelectorAll("[data-viewer-set]")];
  const state = { ...PLAIN, ...JSON.parse(sessionStorage.getItem(key) ?? "{}") };
  const show = () => {
    for (const slider of sliders) {
      slider.value = state[slider.dataset.viewerSet];
      slider.nextElementSibling.textContent = percent(slider.value / 100);
    }
    image.style.filter = `brightness(${state.brightness}%) contrast(${state.contrast}%)`;
    if (!map) return;
    if (state.map && !map.src) map.src = map.dataset.src; // computed when somebody asks for it
    map.hidden = !state.map;
    map.style.opacity = state.opacity / 100;
    toggle.setAttribute("aria-pressed", String(state.map));
  };
  const change = (changes) => {
    Object.assign(state, changes);
    sessionStorage.setItem(key, JSON.stringify(state));
    show();
  };
  for (const slider of sliders) {
    slider.addEventListener("input", () => change({ [slider.dataset.viewerSet]: Number(slider.value) }));
  }
  map?.addEventListener("error", () => {
    map.removeAttribute("src");
    failed.hidden = false;
    change({ map: false });
  });
  map?.addEventListener("load", () => (failed.hidden = true));
  show();
  return {
    map: () => change({ map: !state.map }),
    reset: () => change({ brightness: PLAIN.brightness, contrast: PLAIN.contrast, opacity: PLAIN.opacity }),
  };
}

function enhanceViewer(viewer) {
  const view = viewer.querySelector("[data-viewer-window]");
  const image = viewer.querySelector("[data-viewer-image]");
  const zoom = viewer.querySelector("[data-viewer-zoom]");
  const buttons = Object.fromEntries([...viewer.querySelectorAll("[data-viewer-do]")].map((button) => [button.dataset.viewerDo, button]));
  const moves = ["left", "up", "down", "right"];
  for (const tools of viewer.querySelectorAll("[data-viewer-tools]")) tools.hidden = false;
  viewer.classList.add("viewer--on");
  for (const picture of view.querySelectorAll("img")) picture.draggable = false;
  view.tabIndex = 0;
  view.setAttribute("role", "group");
  view.setAttribute("aria-label", viewer.getAttribute("aria-label"));
  view.setAttribute("aria-describedby", viewer.querySelector("[data-viewer-help]").id);

  const lens = new Lens(view, viewer.querySelector("[data-viewer-stage]"), image, (share, larger) => {
    zoom.textContent = percent(share);
    viewer.classList.toggle("viewer--moves", larger);
    // A disabled button would lose the focus of whoever has just moved with it.
    for (const name of moves) buttons[name].setAttribute("aria-disabled", String(!larger));
  });
  const actions = {
    in: () => lens.zoom(lens.scale * STEP),
    out: () => lens.zoom(lens.scale / STEP),
    fit: () => lens.fit(),
    full: () => lens.zoom(lens.full),
    left: () => lens.stride(-1, 0),
    right: () => lens.stride(1, 0),
    up: () => lens.stride(0, -1),
    down: () => lens.stride(0, 1),
    ...listenToSliders(viewer, image),
  };
  for (const [name, button] of Object.entries(buttons)) button.addEventListener("click", actions[name]);
  listenToPointers(lens);
  const keys = { ArrowLeft: "left", ArrowRight: "right", ArrowUp: "up", ArrowDown: "down", "+": "in", "=": "in", "-": "out", 0: "fit" };
  view.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !(event.key in keys)) return;
    event.preventDefault(); // the page neither scrolls, nor does the same once more
    actions[keys[event.key]]();
  });
}

enhance("[data-viewer]", enhanceViewer);
