// Text made visible, and the difference of two texts.
// One decision: everything becomes text nodes; nothing that a model wrote is ever read as markup.

// Controls, formats (reading direction, zero width), lone surrogates, separators; not line feed and tab.
const HIDDEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u;
const MAX_CELLS = 4_000_000;

function escaped(character) {
  const code = character.codePointAt(0);
  if (code < 0x100) return `\\x${code.toString(16).padStart(2, "0")}`;
  return code < 0x10000 ? `\\u${code.toString(16).padStart(4, "0")}` : `\\U${code.toString(16).padStart(8, "0")}`;
}

/** Adds a text to an element; what cannot be seen is written as an escape in a frame. */
function addText(element, text) {
  let plain = "";
  if (!HIDDEN.test(text.replace(/[\n\t]/g, ""))) {
    element.append(text);
    return element;
  }
  for (const character of text) {
    if (character === "\n" || character === "\t" || !HIDDEN.test(character)) {
      plain += character;
      continue;
    }
    element.append(plain);
    plain = "";
    const mark = document.createElement("span");
    mark.className = "hidden-character";
    mark.textContent = escaped(character);
    element.append(mark);
  }
  element.append(plain);
  return element;
}

/** Pairs of what two lists share, in order: runs `[same, fromA, toA, fromB, toB]` that cover both lists. */
function compareLists(a, b) {
  let head = 0;
  while (head < a.length && head < b.length && a[head] === b[head]) head += 1;
  let tail = 0;
  while (tail < a.length - head && tail < b.length - head && a[a.length - 1 - tail] === b[b.length - 1 - tail]) tail += 1;
  const rows = a.length - head - tail;
  const columns = b.length - head - tail;
  const shared = new Uint8Array(a.length);
  const partner = new Int32Array(a.length).fill(-1);
  for (let i = 0; i < head; i += 1) partner[i] = i;
  for (let i = 1; i <= tail; i += 1) partner[a.length - i] = b.length - i;
  if (rows && columns && rows * columns <= MAX_CELLS) matchMiddle(a, b, head, rows, columns, partner);
  for (let i = 0; i < a.length; i += 1) shared[i] = partner[i] >= 0 ? 1 : 0;
  return runsOf(shared, partner, a.length, b.length);
}

/** Longest common subsequence of the middle parts, into `partner`. */
function matchMiddle(a, b, head, rows, columns, partner) {
  const width = columns + 1;
  const longest = new Uint16Array((rows + 1) * width);
  for (let i = rows - 1; i >= 0; i -= 1) {
    for (let j = columns - 1; j >= 0; j -= 1) {
      const at = i * width + j;
      longest[at] =
        a[head + i] === b[head + j] ? longest[at + width + 1] + 1 : Math.max(longest[at + width], longest[at + 1]);
    }
  }
  let i = 0;
  let j = 0;
  while (i < rows && j < columns) {
    const at = i * width + j;
    if (a[head + i] === b[head + j]) {
      partner[head + i] = head + j;
      i += 1;
      j += 1;
    } else if (longest[at + width] >= longest[at + 1]) i += 1;
    else j += 1;
  }
}

function runsOf(shared, partner, lengthA, lengthB) {
  const runs = [];
  let i = 0;
  let j = 0;
  while (i < lengthA || j < lengthB) {
    const startA = i;
    const startB = j;
    while (i < lengthA && shared[i] && partner[i] === j) {
      i += 1;
      j += 1;
    }
    if (i > startA) {
      runs.push([true, startA, i, startB, j]);
      continue;
    }
    while (i < lengthA && !shared[i]) i += 1;
    j = i < lengthA ? partner[i] : lengthB;
    runs.push([false, startA, i, startB, j]);
  }
  return runs;
}

/** The difference of a text from its reference as lines: `{mark: " ", "-" or "+", parts: [[text, changed]]}`. */
function differenceOf(reference, text) {
  const a = reference.split("\n");
  const b = text.split("\n");
  const lines = [];
  for (const [same, startA, endA, startB, endB] of compareLists(a, b)) {
    if (same) {
      for (let i = startA; i < endA; i += 1) lines.push({ mark: " ", parts: [[a[i], false]] });
      continue;
    }
    const paired = endA - startA === endB - startB;
    const removed = [];
    const added = [];
    for (let i = startA; i < endA; i += 1) {
      const [old, fresh] = paired ? compareLines(a[i], b[startB + i - startA]) : [[[a[i], false]], null];
      removed.push({ mark: "-", parts: old });
      if (fresh) added.push({ mark: "+", parts: fresh });
    }
    for (let j = startB; !paired && j < endB; j += 1) added.push({ mark: "+", parts: [[b[j], false]] });
    lines.push(...removed, ...added);
  }
  return lines;
}

/** What differs within two lines, token by token. */
function compareLines(old, fresh) {
  const tokens = (line) => line.match(/[\p{L}\p{N}_]+|\s+|[^\p{L}\p{N}_\s]/gu) || [];
  const a = tokens(old);
  const b = tokens(fresh);
  const parts = [[], []];
  for (const [same, startA, endA, startB, endB] of compareLists(a, b)) {
    if (endA > startA) parts[0].push([a.slice(startA, endA).join(""), !same]);
    if (endB > startB) parts[1].push([b.slice(startB, endB).join(""), !same]);
  }
  return parts;
}
