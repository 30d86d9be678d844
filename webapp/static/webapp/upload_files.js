// What upload.js has to know of files: walking dropped folders, what to leave out, checksums.

const SYSTEM_FILE = /^(\.|thumbs\.db$|desktop\.ini$|__macosx$)/i;

// All files of what was dropped, folders walked through, as [file, path] in the order of their paths.
export async function dropped(transfer) {
  // The items are gone once this turn of the event loop ends: take every entry before waiting.
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.() ?? item.getAsFile()).filter(Boolean);
  const found = [];
  const walk = async (entry) => {
    if (entry instanceof File) return found.push([entry, entry.name]);
    if (entry.isFile) {
      const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
      return found.push([file, entry.fullPath.replace(/^\//, "")]);
    }
    const reader = entry.createReader();
    // A folder is told in parts, until one is empty.
    for (let part; (part = await new Promise((resolve, reject) => reader.readEntries(resolve, reject))).length; ) {
      for (const inner of part) await walk(inner).catch(() => {}); // what cannot be read is not there
    }
  };
  for (const entry of entries) await walk(entry).catch(() => {});
  return inOrder(found);
}

export const inOrder = (files) => files.sort(([, one], [, other]) => one.localeCompare(other, undefined, { numeric: true }));
export const isSystemFile = (path) => path.split("/").some((part) => SYSTEM_FILE.test(part));

export async function sha256(file) {
  const digest = await crypto.subtle.digest("SHA-256", await file.arrayBuffer());
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
