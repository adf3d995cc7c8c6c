// An item's row in the list, and all of it beside the list.
// One decision: outputs that are the same are shown once, with everybody who wrote them.

const FIRST_OUTPUTS = 12;
const MANY_ARMS = 12;
const SVG = "http://www.w3.org/2000/svg";
const GLYPHS = { passes: "✓", fails: "✗", unjudged: "?", none: "·", absent: "" };
const WORDS = { passes: "passed", fails: "failed", unjudged: "not judged", none: "written", absent: "nothing" };

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/** What kind of end an output had. */
function stateOf(byte, index) {
  if (byte === ABSENT) return "absent";
  const verdict = index.verdicts[byte & 15];
  if (verdict === "passed") return "passes";
  return verdict === "" ? "none" : verdict === "unjudged" ? "unjudged" : "fails";
}

function sayOf(byte, index) {
  if (byte === ABSENT) return "nothing";
  const verdict = index.verdicts[byte & 15].replaceAll("_", " ");
  return verdict || (byte & FLAGS.unscored ? "not scored yet" : byte & FLAGS.empty ? "empty" : "written");
}

class ItemView {
  constructor(index, toggle) {
    Object.assign(this, { index, toggle, arms: index.arms.length, asDifference: true });
  }

  place(item) {
    return this.index.places[this.index.items[item][0]];
  }

  id(item) {
    return this.index.items[item][1];
  }

  sample(item) {
    return this.index.items[item][2];
  }

  byte(item, arm) {
    return this.index.bytes[item * this.arms + arm];
  }

  /** What an item is called in an address. */
  address(item) {
    const sample = this.sample(item);
    return new URLSearchParams({ sample: `${this.place(item).track}/${this.id(item)}`, ...(sample ? { n: sample } : {}) });
  }

  /** How each arm fared: marks, or, of many arms, bars whose heights say it. */
  marks(item) {
    const asked = this.place(item).arms;
    const arms = [...asked.keys()].filter((arm) => asked[arm]);
    if (arms.length > MANY_ARMS) return this.bars(item, arms);
    return make("span", { class: "marks" }, ...arms.map((arm) => {
      const byte = this.byte(item, arm);
      const state = stateOf(byte, this.index);
      return make("i", { class: `mark ${state}`, title: `${this.index.arms[arm].title}: ${sayOf(byte, this.index)}` }, GLYPHS[state]);
    }));
  }

  /** Three paths, whatever the number of arms. */
  bars(item, arms) {
    const paths = { passes: "", fails: "", none: "" };
    const heights = { passes: 16, fails: 9, none: 4 };
    arms.forEach((arm, i) => {
      const state = stateOf(this.byte(item, arm), this.index);
      const kind = state in paths ? state : "none";
      paths[kind] += `M${i * 5} 16v${-heights[kind]}h4v${heights[kind]}z`;
    });
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("viewBox", `0 0 ${arms.length * 5} 16`);
    svg.setAttribute("preserveAspectRatio", "xMinYMid meet");
    for (const [kind, d] of Object.entries(paths)) {
      const path = svg.appendChild(document.createElementNS(SVG, "path"));
      path.setAttribute("class", kind);
      path.setAttribute("d", d);
    }
    const passed = paths.passes.split("M").length - 1;
    return make("span", { class: "marks", title: `${passed} of ${arms.length} pass` }, svg);
  }

  /** Everything of an item; `steps` are buttons to its neighbours, `named` the arms that a filter names. */
  draw(item, content, { steps, named }) {
    const place = this.place(item);
    const sample = this.sample(item);
    const heading = make("h3", {}, addText(make("a", { href: `#${this.address(item)}`, title: "A link to this problem" }), this.id(item)));
    const toggle = make("button", { type: "button", "aria-pressed": String(this.asDifference), onclick: () => this.toggle() },
      "differences from the reference");
    const tools = make("p", { class: "tools" }, ...steps,
      ...(content.r === null ? [] : [toggle]));
    const key = content.r === null || !this.asDifference ? [] : [make("p", { class: "about" },
      "In outputs below, lines with \u2212 stand in the reference alone, lines with + in the output alone.")];
    const about = make("p", { class: "about" }, place.title, sample ? `, sample ${sample}` : "");
    const asked = content.p === null
      ? [make("p", { class: "gap" }, "Prompt and reference cannot be read any more; the data that held them is gone or was edited.")]
      : [make("div", { class: "asked" }, this.pane("Prompt", content.p, place.role), this.pane("Reference", content.r))];
    return [make("div", { class: "top" }, heading, tools), about, ...asked, ...key, ...this.outputs(item, content, named)];
  }

  pane(title, text, note = "") {
    return make("div", { class: "pane" }, make("h4", {}, title, make("small", {}, note)), addText(make("pre", { tabindex: "0" }), text));
  }

  /** The different outputs, those of arms that the filter names first. */
  outputs(item, content, wanted) {
    const groups = new Map();
    content.c.forEach((output, arm) => {
      if (!output) return;
      if (!groups.has(output[0])) groups.set(output[0], []);
      groups.get(output[0]).push(arm);
    });
    const named = (arms) => arms.some((arm) => wanted.has(arm));
    const ordered = [...groups].sort((a, b) => Number(named(b[1])) - Number(named(a[1])));
    const cards = ordered.slice(0, FIRST_OUTPUTS).map(([text, arms]) => this.card(item, content, text, arms));
    const rest = ordered.slice(FIRST_OUTPUTS);
    if (!rest.length) return cards;
    const more = make("button", { type: "button", class: "more", onclick: () => {
      more.replaceWith(...rest.map(([text, arms]) => this.card(item, content, text, arms)));
    } }, `show the other ${rest.length} outputs`);
    return [...cards, more];
  }

  card(item, content, number, arms) {
    const alike = new Map();
    for (const arm of arms) {
      const found = JSON.stringify([this.byte(item, arm), ...content.c[arm]]);
      alike.set(found, [...(alike.get(found) || []), arm]);
    }
    const heads = [...alike.values()].map((same) => this.head(item, content, same));
    return make("article", { class: "output", tabindex: "-1" }, ...heads, this.body(content.o[number], content.r));
  }

  /** How arms fared of which all is the same. */
  head(item, content, arms) {
    const [, detail, scores, rules] = content.c[arms[0]];
    const byte = this.byte(item, arms[0]);
    const state = stateOf(byte, this.index);
    const head = make("div", { class: "head" },
      make("i", { class: `mark ${state}`, title: WORDS[state] }, GLYPHS[state]),
      addText(make("b"), arms.map((arm) => this.index.arms[arm].title).join(", ")),
      make("span", { class: `said ${state}` }, sayOf(byte, this.index)));
    if (byte !== ABSENT && byte & FLAGS.cut) head.append(make("span", { class: "said fails" }, "cut off at the limit of tokens"));
    if (content.d[detail]) head.append(addText(make("span", { class: "why" }), content.d[detail]));
    const figures = this.place(item).metrics
      .map((name, i) => [name, scores[i]]).filter(([, value]) => value !== null && value !== undefined)
      .map(([name, value]) => `${name.replaceAll("_", " ")} ${value.toFixed(1)}`);
    const messages = [];
    for (let i = 0; i < rules.length; i += 2) {
      messages.push(`${this.index.rules[rules[i]]}${rules[i + 1] > 1 ? ` ×${rules[i + 1]}` : ""}`);
    }
    if (figures.length) head.append(make("small", {}, figures.join(" · ")));
    if (messages.length) head.append(addText(make("small", { class: "rules" }), messages.join(", ")));
    return head;
  }

  body(text, reference) {
    const note = (said) => make("p", { class: "nothing" }, said);
    if (text === null) return note("What it wrote is not recorded here.");
    if (!text.trim()) return note("Nothing was written.");
    if (reference !== null && text === reference) return note("The reference, letter by letter.");
    if (reference === null || !this.asDifference) return addText(make("pre", { tabindex: "0" }), text);
    const lines = differenceOf(reference, text).map(({ mark, parts }) => {
      const line = make("span", { class: `line ${{ "-": "old", "+": "new", " ": "same" }[mark]}` },
        make("span", { class: "sign", "aria-label": { "-": "reference", "+": "output", " ": null }[mark] }, mark));
      parts.forEach(([part, changed]) => addText(changed ? line.appendChild(make("mark")) : line, part));
      line.append("\n");
      return line;
    });
    return make("pre", { class: "difference", tabindex: "0" }, ...lines);
  }
}
