// What upload.js sends: POSTs of a form that end with an answer, a lost connection or an ended session.

const STALLED_MS = 60_000; // without a byte or an answer, the connection counts as lost
const AWAY = [0, 502, 503, 504]; // statuses of a lost connection, and of a proxy before a server that restarts

// The server asks to come again in `later` milliseconds, or the connection went without a word.
export class Lost extends Error {
  constructor(later = 0) {
    super();
    this.later = later;
  }
}
export class SignedOut extends Error {}

export const unlessLost = (answer) =>
  answer.catch((error) => {
    if (error instanceof Lost) return null;
    throw error;
  });

const retryAfter = (request) => 1000 * Number((request.status === 503 && request.getResponseHeader("Retry-After")) || 0);

// A new sign-in, in another tab, changes the token; the cookie has the one that counts now.
const token = (form) => /(?:^|; )csrftoken=([^;]+)/.exec(document.cookie)?.[1] ?? form.elements.csrfmiddlewaretoken.value;

// The finished request; Lost and SignedOut are the two ways to get no answer. XMLHttpRequest, because
// fetch tells nothing of the bytes that are sent.
export function post(form, url, body, { onBytes = () => {}, onSent = () => {} } = {}) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    let watch;
    const alive = () => {
      clearTimeout(watch);
      watch = setTimeout(() => request.abort(), STALLED_MS);
    };
    request.open("POST", url);
    request.setRequestHeader("X-Requested-With", "fetch");
    request.setRequestHeader("X-CSRFToken", token(form));
    request.upload.addEventListener("progress", (event) => {
      alive();
      onBytes(event.loaded / event.total);
    });
    request.upload.addEventListener("load", onSent);
    request.addEventListener("loadend", () => {
      clearTimeout(watch);
      const elsewhere = request.responseURL && new URL(request.responseURL).pathname !== new URL(url, location).pathname;
      if (AWAY.includes(request.status)) reject(new Lost(retryAfter(request)));
      else if ([401, 403].includes(request.status) || elsewhere) reject(new SignedOut());
      else resolve(request);
    });
    alive();
    request.send(body);
  });
}
