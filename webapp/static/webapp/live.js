// What is fetched anew while results come in replaces elements that a script had made ready.

// Run `prepare` once on every element that `selector` finds, now and whenever such a one arrives.
export function enhance(selector, prepare) {
  const done = new WeakSet();
  const look = () => {
    for (const element of document.querySelectorAll(selector)) {
      if (done.has(element)) continue;
      done.add(element);
      prepare(element);
    }
  };
  look();
  new MutationObserver(look).observe(document.getElementById("main"), { childList: true });
}
