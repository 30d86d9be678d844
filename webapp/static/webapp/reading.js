// Read a case by keyboard: each key does what a button or link on the page does.
import { enhance } from "./live.js";

const KEYS_OFF = "single-keys-off"; // in this browser's own storage: a reader may not want them
const find = (selector) => document.querySelector(selector);
const off = () => localStorage.getItem(KEYS_OFF);

enhance("[data-keys-dialog]", (dialog) => {
  const on = dialog.querySelector("[data-keys-on]");
  on.checked = !off();
  on.addEventListener("change", () => (on.checked ? localStorage.removeItem(KEYS_OFF) : localStorage.setItem(KEYS_OFF, "1")));
  const help = find("[data-keys-help]");
  help.hidden = false;
  help.addEventListener("click", () => dialog.showModal());
});

// Choose what `option` stands for; a class that is no button waits for its reason, or for Enter.
function choose(option) {
  if (option.tagName === "INPUT") {
    option.checked = true;
    return option.focus();
  }
  option.selected = true;
  return giveReason();
}

function giveReason() {
  const other = find("[data-other]");
  if (!other) return;
  other.open = true;
  document.getElementById("reason").focus();
}

function press(key) {
  if (key === "?") return find("[data-keys-dialog]").showModal();
  if (key === "n") return find("a[rel=next]")?.click();
  if (key === "p") return find("a[rel=prev]")?.click();
  const chosen = find(/^[1-4]$/.test(key) ? `[data-class-key="${key}"]` : `[data-key="${key}"]`);
  if (chosen?.matches("option, input")) return choose(chosen);
  return key === "u" ? giveReason() : chosen?.click();
}

document.addEventListener("keydown", (event) => {
  const dialog = find("[data-keys-dialog]");
  const key = event.key === "=" ? "+" : event.key; // one key on most keyboards, with and without Shift
  // A dialog that has just closed may still hold the focus.
  const typing =
    event.target.closest?.("input:not([type=radio], [type=range]), select, textarea") && !dialog?.contains(event.target);
  if (!dialog || dialog.open || typing || off() || event.defaultPrevented) return;
  if (event.ctrlKey || event.metaKey || event.altKey || !"anpuo1234+-0?".includes(key)) return;
  press(key);
  event.preventDefault(); // the key is not to be typed as well
});
