// The packed texts: opened when needed, a few kept, from inside the page or from files next to it.
// One decision: a chunk's lines are items, so that an item is shown and a word is searched without reading the rest.

const KEPT_CHARACTERS = 12_000_000;

async function inflate(base64) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i += 1) bytes[i] = text.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).arrayBuffer();
}

const partOf = (id) => inflate(document.getElementById(id).textContent);

/** Index, states and message sets, which are there before the chunks. */
async function openIndex() {
  const [index, states, rulesets] = await Promise.all(["index", "states", "rulesets"].map((id) => partOf(`samples-${id}`)));
  return {
    ...JSON.parse(new TextDecoder().decode(index)),
    bytes: new Uint8Array(states),
    setOf: new Uint32Array(rulesets),
  };
}

class Chunks {
  constructor(starts, count) {
    this.starts = starts;
    this.count = count;
    this.open = new Map();
    this.characters = 0;
    this.files = [...document.querySelectorAll(".samples-file")].map((element) => ({
      name: element.textContent,
      first: Number(element.dataset.first),
    }));
    this.beside = new Map();
    this.loading = new Map();
    if (this.files.length) {
      globalThis.polytuneSamples = (first, texts) => texts.forEach((text, i) => this.beside.set(first + i, text));
    }
    this.parsed = document.readyState === "loading"
      ? new Promise((resolve) => document.addEventListener("DOMContentLoaded", resolve, { once: true }))
      : Promise.resolve();
  }

  /** The chunk of an item. */
  of(item) {
    let low = 0;
    let high = this.starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.starts[middle] <= item) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  range(number) {
    return [this.starts[number], this.starts[number + 1] ?? this.count];
  }

  /** A chunk's lines as one text. */
  async text(number) {
    if (!this.open.has(number)) {
      const text = inflate(await this.packed(number)).then((bytes) => new TextDecoder().decode(bytes));
      this.open.set(number, text);
      this.characters += (await text).length;
      await this.forget(number);
    }
    return this.open.get(number);
  }

  /** Drop what was opened first, above a limit. */
  async forget(newest) {
    for (const [number, text] of this.open) {
      if (this.characters <= KEPT_CHARACTERS || number === newest) return;
      this.open.delete(number);
      this.characters -= (await text).length;
    }
  }

  async packed(number) {
    if (this.files.length) return this.fromFile(number);
    const inside = () => document.getElementById(`samples-chunk-${number}`)?.textContent;
    const found = inside();
    // While the page is still being read, an element may be there before all of its text is.
    if (found && (document.readyState !== "loading" || document.getElementById(`samples-chunk-${number + 1}`))) return found;
    await this.parsed;
    return inside();
  }

  async fromFile(number) {
    const file = this.files.filter((one) => one.first <= number).pop();
    if (!this.beside.has(number)) {
      if (!this.loading.has(file.name)) this.loading.set(file.name, loadScript(file.name));
      await this.loading.get(file.name);
    }
    return this.beside.get(number);
  }

  /** An item's line, read. */
  async item(number) {
    const chunk = this.of(number);
    const line = (await this.text(chunk)).split("\n", number - this.starts[chunk] + 1).pop();
    return JSON.parse(line);
  }
}

function loadScript(name) {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = name;
    script.onload = resolve;
    script.onerror = () => reject(new Error(`${name} is not next to this page; copy it there from where the page was made`));
    document.head.append(script);
  });
}

/**
 * Searches items for a text, without regard to case; calls `found(item)` for each and `progress(share)` as it goes.
 * `wanted(item)` says which are looked at, `stopped()` when to give up.
 */
async function searchTexts(chunks, text, { wanted, found, progress, stopped }) {
  // Lines are JSON: what is looked for is written as it stands there.
  const needle = JSON.stringify(text).slice(1, -1).toLowerCase();
  let paused = performance.now();
  for (let number = 0; number < chunks.starts.length; number += 1) {
    const [first, end] = chunks.range(number);
    let any = false;
    for (let item = first; item < end && !any; item += 1) any = wanted(item);
    if (!any) continue;
    const lower = (await chunks.text(number)).toLowerCase();
    if (stopped()) return;
    if (lower.includes(needle)) {
      lower.split("\n").forEach((line, i) => {
        if (first + i < end && wanted(first + i) && line.includes(needle) && says(line, text)) found(first + i);
      });
    }
    if (performance.now() - paused > 40) {
      progress((number + 1) / chunks.starts.length);
      await new Promise((resolve) => setTimeout(resolve, 0));
      paused = performance.now();
    }
  }
  progress(1);
}

/** Whether a text of a line holds what is looked for: a line holds figures and names of fields too. */
function says(line, text) {
  const item = JSON.parse(line);
  const sought = text.toLowerCase();
  return [item.p, item.r, ...item.o, ...item.d].some((part) => part && part.includes(sought));
}
