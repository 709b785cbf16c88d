// Files that were chosen or dropped, with their places in the folder that they come from.

const MOST_FILES = 100;
// Below what a server takes by default; a smaller limit is noticed by its answer.
const MOST_BYTES = 40_000_000;
const DOCUMENT = /\.(md|mdx|markdown|txt|rst|html?|pdf|docx)$/i;

// Of a folder, what is no document is left out, as when the server reads one. What somebody chose
// by itself is sent as it is: its content tells what it is.
const isWanted = (path) => !path.includes("/")
  || (DOCUMENT.test(path) && !path.split("/").some((part) => part.startsWith(".") || part === "node_modules"));

function sorted(found) {
  const chosen = new Map(found.filter(({ path }) => isWanted(path)).map((one) => [one.path, one]));
  return { chosen: [...chosen.values()], left: found.length - chosen.size };
}

// What a file field has.
export const listed = (files) =>
  sorted([...files].map((file) => ({ file, path: file.webkitRelativePath || file.name })));

// What was dropped, folders with all that is in them.
export async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.());
  const plain = [...transfer.files];
  if (!entries.some((entry) => entry?.isDirectory)) return listed(plain);
  const found = [];
  for (const entry of entries) if (entry) await walk(entry, "", found);
  return sorted(found);
}

async function walk(entry, folder, found) {
  const path = folder + entry.name;
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => { entry.file(resolve, reject); });
    found.push({ file, path });
    return;
  }
  if (folder && (entry.name.startsWith(".") || entry.name === "node_modules")) return;
  const reader = entry.createReader();
  for (;;) {
    // It gives a hundred at a time.
    const some = await new Promise((resolve, reject) => { reader.readEntries(resolve, reject); });
    if (!some.length) return;
    for (const one of some) await walk(one, `${path}/`, found);
  }
}

// As few requests as the server's limits allow.
export function batches(files) {
  const found = [];
  let bytes = 0;
  for (const one of files) {
    if (!found.length || found.at(-1).length === MOST_FILES || bytes + one.file.size > MOST_BYTES) {
      found.push([]);
      bytes = 0;
    }
    found.at(-1).push(one);
    bytes += one.file.size;
  }
  return found;
}
