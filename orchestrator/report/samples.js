// The sample browser: a list of items that filters pick, and beside it the item that is looked at.
// One decision: the address holds what is shown, so that a table's cell, or a colleague, can point at it:
//     #sample=TRACK/ID [&n=SAMPLE]        one item
//     #samples [&track=][&where=][&rule=][&text=]   a choice of items

const ROW_PX = 46;
const REDRAW_MS = 250;

class Browser {
  constructor(root, index) {
    Object.assign(this, { root, index, chunks: new Chunks(index.starts, index.items.length) });
    this.arms = index.arms.length;
    this.view = new ItemView(index, () => this.toggle());
    this.chosen = { track: "", where: "", rule: "", text: "" };
    this.shown = [];
    this.at = -1;
    this.current = -1;
    this.searching = 0;
    this.build();
    this.apply();
    this.follow();
    addEventListener("hashchange", () => this.follow());
    document.addEventListener("keydown", (event) => this.press(event));
  }

  // Markup

  build() {
    const { index } = this;
    const tracks = [...new Set(index.places.map((place) => place.track))];
    const option = (value, text) => make("option", { value }, text);
    const changed = () => this.take();
    this.track = make("select", { onchange: changed }, option("", "all tracks"), ...tracks.map((track) => option(track, track)));
    this.where = make("input", {
      type: "text", spellcheck: "false", autocomplete: "off", list: "samples-conditions", oninput: changed,
      placeholder: index.arms.length > 1 ? "a passes and b fails" : "any fails",
    });
    this.rule = make("select", { onchange: changed }, option("", "any or none"), ...this.countRules().map(
      ([rule, count]) => option(String(rule), `${index.rules[rule]} (${count.toLocaleString("en")})`)));
    this.text = make("input", { type: "search", spellcheck: "false", oninput: changed, placeholder: "in ids, prompts, outputs" });
    this.fault = make("p", { class: "fault", role: "alert", hidden: true });
    this.count = make("span", { class: "count", role: "status" });
    this.reset = make("button", { type: "button", onclick: () => this.choose({}) }, "show all");
    this.legend = make("div", { class: "legend" });
    this.rows = make("div", { class: "rows" });
    this.list = make("div", {
      class: "list", tabindex: "0", role: "listbox", "aria-label": "Problems", onscroll: () => this.drawRows(),
      onclick: (event) => this.click(event),
    }, this.rows);
    this.detail = make("div", { class: "detail", tabindex: "0", role: "region", "aria-label": "Outputs" });
    const field = (name, element, wide) => make("label", { class: wide ? "wide" : null }, make("span", {}, name), element);
    const listed = make("datalist", { id: "samples-conditions" }, ...this.proposals().map((text) => option(text, "")));
    this.root.append(
      make("form", { class: "filters", onsubmit: (event) => event.preventDefault() },
        field("track", this.track), field("only where", this.where, true), listed,
        ...(index.rules.length ? [field("quality message", this.rule)] : []), field("search", this.text)),
      this.fault,
      this.legend,
      make("p", { class: "found" }, this.count, this.reset, make("span", { class: "keys" },
        ...["j", "k"].map((key) => make("kbd", {}, key)), " next, previous ", make("kbd", {}, "/"), " search ",
        make("kbd", {}, "d"), " differences")),
      make("div", { class: "panes" }, this.list, this.detail),
      ...index.gaps.map((gap) => addText(make("p", { class: "gap" }), gap)),
    );
    this.root.hidden = false;
    addEventListener("resize", () => this.drawRows());
  }

  proposals() {
    const titles = this.index.arms.map((arm) => arm.title);
    const pairs = titles.length > 1 && titles.length < 9
      ? titles.flatMap((a) => titles.filter((b) => b !== a).map((b) => `${quoted(a)} passes and ${quoted(b)} fails`)) : [];
    return ["any passes and any fails", "all fail", "all pass", "any is empty", "any is cut", "any is unjudged", ...pairs];
  }

  /** Quality messages by how many outputs have them, the most frequent first. */
  countRules() {
    const { rulesets, setOf, rules } = this.index;
    const perSet = new Uint32Array(rulesets.length);
    for (const set of setOf) perSet[set] += 1;
    const counts = new Uint32Array(rules.length);
    rulesets.forEach((set, i) => set.forEach((rule) => { counts[rule] += perSet[i]; }));
    return [...counts.entries()].sort((a, b) => b[1] - a[1]);
  }

  // Choosing

  /** Take the choice from the fields. */
  take() {
    this.chosen = { track: this.track.value, where: this.where.value, rule: this.rule.value, text: this.text.value };
    this.apply();
    this.remember(true);
  }

  /** Make a choice from elsewhere. */
  choose({ track = "", where = "", rule = "", text = "" }) {
    const number = this.index.rules.indexOf(rule);
    Object.assign(this.track, { value: track });
    Object.assign(this.where, { value: where });
    Object.assign(this.rule, { value: number < 0 ? "" : String(number) });
    Object.assign(this.text, { value: text });
    this.take();
  }

  apply() {
    const { track, where, rule, text } = this.chosen;
    let condition = null;
    this.fault.hidden = true;
    try {
      condition = where.trim() ? parseWhere(where, this.index) : null;
    } catch (error) {
      this.fault.textContent = error.message;
      this.fault.hidden = false;
    }
    this.named = condition ? condition.named : new Set();
    const sets = rule === "" ? null : Uint8Array.from(this.index.rulesets, (set) => (set.includes(Number(rule)) ? 1 : 0));
    const places = this.index.places.map((place) => !track || place.track === track);
    const picked = [];
    for (let item = 0; item < this.index.items.length; item += 1) {
      const offset = item * this.arms;
      if (!places[this.index.items[item][0]]) continue;
      if (condition && !condition.holds(this.index.bytes, offset)) continue;
      if (sets && !this.hasRule(offset, sets)) continue;
      picked.push(item);
    }
    this.searching += 1;
    if (text) this.search(text, picked, this.searching);
    else this.show(picked);
    this.drawLegend();
  }

  hasRule(offset, sets) {
    for (let arm = 0; arm < this.arms; arm += 1) if (sets[this.index.setOf[offset + arm]]) return true;
    return false;
  }

  /** Ids at once, texts as they are opened. */
  async search(text, picked, turn) {
    const sought = text.toLowerCase();
    const hits = new Set(picked.filter((item) => this.view.id(item).toLowerCase().includes(sought)));
    // Whatever says more than what was searched for last is among what was found then.
    const before = this.searched && sought.includes(this.searched.text) ? this.searched.hits : null;
    const candidates = new Set(before ? picked.filter((item) => before.has(item)) : picked);
    let drawn = { at: -Infinity, hits: -1 };
    const draw = (share) => {
      if (turn !== this.searching) return;
      const due = share === 1 || drawn.hits < 1 || performance.now() - drawn.at > REDRAW_MS;
      if (!due || (share < 1 && hits.size === drawn.hits)) {
        this.sayCount(share);
        return;
      }
      drawn = { at: performance.now(), hits: hits.size };
      this.show(picked.filter((item) => hits.has(item)), share);
    };
    draw(0);
    try {
      await searchTexts(this.chunks, text, {
        wanted: (item) => candidates.has(item) && !hits.has(item),
        found: (item) => hits.add(item),
        progress: draw,
        stopped: () => turn !== this.searching,
      });
      if (turn === this.searching && !this.isFiltered()) this.searched = { text: sought, hits };
    } catch (error) {
      this.fault.textContent = error.message;
      this.fault.hidden = false;
    }
  }

  isFiltered() {
    return Boolean(this.chosen.track || this.chosen.where || this.chosen.rule);
  }

  sayCount(searched) {
    const total = this.index.items.length.toLocaleString("en");
    const share = searched < 1 ? `, ${Math.round(100 * searched)} % searched` : "";
    this.count.textContent = `${this.shown.length.toLocaleString("en")} of ${total}${share}`;
  }

  show(items, searched = 1) {
    this.shown = items;
    this.sayCount(searched);
    this.reset.hidden = !Object.values(this.chosen).some(Boolean);
    this.at = items.indexOf(this.current);
    this.rows.style.height = `${items.length * ROW_PX}px`;
    if (this.at < 0) {
      this.list.scrollTop = 0;
      if (items.length) this.select(0);
      else this.clear();
    }
    this.drawRows();
  }

  clear() {
    this.current = -1;
    this.detail.replaceChildren(make("p", { class: "nothing" }, "Nothing fits. ", "Loosen a filter, or show all."));
  }

  // The list

  drawRows() {
    const first = Math.max(0, Math.floor(this.list.scrollTop / ROW_PX) - 4);
    const last = Math.min(this.shown.length, first + Math.ceil(this.list.clientHeight / ROW_PX) + 8);
    const drawn = [first, this.at, ...this.shown.slice(first, last)].join();
    if (drawn === this.drawn) return;
    this.drawn = drawn;
    const rows = [];
    for (let at = first; at < last; at += 1) rows.push(this.row(at));
    this.rows.replaceChildren(...rows);
    this.list.setAttribute("aria-activedescendant", this.at < 0 ? "" : `samples-row-${this.at}`);
  }

  row(at) {
    const item = this.shown[at];
    const place = this.view.place(item);
    const sample = this.view.sample(item);
    const title = addText(make("span", { class: "id" }), this.shortId(item) + (sample ? ` · sample ${sample}` : ""));
    const head = make("span", { class: "head" }, title, make("span", { class: "track" }, place.title));
    const row = make("div", {
      class: "row", role: "option", id: `samples-row-${at}`, "data-at": at, "aria-selected": String(at === this.at), title: this.view.id(item),
    }, head, this.view.marks(item));
    row.style.top = `${at * ROW_PX}px`;
    return row;
  }

  /** An id without what its track says already. */
  shortId(item) {
    const id = this.view.id(item);
    const at = id.lastIndexOf(`${this.view.place(item).track}/`);
    return at < 0 ? id : id.slice(at + this.view.place(item).track.length + 1);
  }

  /** A button for each arm; a press asks that it passes, the next that it fails, the next neither. */
  drawLegend() {
    const asked = this.askedByButtons();
    this.legend.replaceChildren(make("span", {}, "marks, from the left:"), ...this.index.arms.map((arm) => {
      const state = asked.get(arm.title);
      return make("button", {
        type: "button", class: `arm ${state || ""}`, "aria-label": `${arm.title}: ${state || "passes or fails"}`,
        title: "Press once for passes, twice for fails", onclick: () => this.ask(asked, arm.title),
      }, addText(make("span"), arm.title), ...(state ? [make("b", {}, `${GLYPHS[state]} ${state}`)] : []));
    }));
  }

  /** What the buttons ask for, by title: nothing where the condition says something else. */
  askedByButtons() {
    const asked = new Map();
    for (const part of this.where.value ? this.where.value.split(" and ") : []) {
      const [, , title, state] = /^(["'])(.+)\1 (passes|fails)$/.exec(part) || [];
      if (!title) return new Map();
      asked.set(title, state);
    }
    return asked;
  }

  ask(asked, title) {
    const next = { undefined: "passes", passes: "fails", fails: undefined }[asked.get(title)];
    if (next) asked.set(title, next);
    else asked.delete(title);
    this.where.value = [...asked].map(([arm, state]) => `${quoted(arm)} ${state}`).join(" and ");
    this.take();
  }

  click(event) {
    const row = event.target.closest(".row");
    if (row) this.select(Number(row.dataset.at), { asked: true });
  }

  // The item

  async select(at, { asked = false, reveal = false } = {}) {
    this.at = at;
    this.current = this.shown[at];
    const top = at * ROW_PX;
    if (top < this.list.scrollTop) this.list.scrollTop = top;
    else if (top + ROW_PX > this.list.scrollTop + this.list.clientHeight) this.list.scrollTop = top + ROW_PX - this.list.clientHeight;
    this.drawRows();
    if (asked) this.remember(false);
    await this.draw();
    if (reveal) this.root.parentElement.scrollIntoView();
    else if (asked && this.panesAreStacked()) this.detail.scrollIntoView({ block: "nearest" });
  }

  panesAreStacked() {
    return this.detail.offsetTop > this.list.offsetTop;
  }

  async draw() {
    const item = this.current;
    try {
      const content = await this.chunks.item(item);
      if (item === this.current) this.drawItem(item, content);
    } catch (error) {
      this.detail.replaceChildren(addText(make("p", { class: "fault", role: "alert" }), error.message));
    }
  }

  drawItem(item, content) {
    const step = (by, text, label) => make("button", {
      type: "button", "aria-label": label, disabled: this.shown[this.at + by] === undefined,
      onclick: () => this.select(this.at + by, { asked: true }),
    }, text);
    const steps = [step(-1, "‹", "Previous problem"), step(1, "›", "Next problem")];
    this.detail.replaceChildren(...this.view.draw(item, content, { steps, named: this.named }));
    this.detail.scrollTop = 0;
  }

  toggle() {
    this.view.asDifference = !this.view.asDifference;
    this.draw();
  }

  // Keys and addresses

  press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    const inside = this.root.contains(document.activeElement);
    const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement?.tagName || "");
    if (typing) {
      if (inside && event.key === "Escape") this.list.focus();
      return;
    }
    const seen = this.root.getBoundingClientRect();
    if (!inside && (seen.bottom < 0 || seen.top > innerHeight)) return;
    const act = {
      j: () => this.step(1), k: () => this.step(-1), d: () => this.toggle(), "/": () => this.text.focus(),
      ...(inside ? {
        ArrowDown: () => this.step(1), ArrowUp: () => this.step(-1),
        ArrowRight: () => this.turn(1), ArrowLeft: () => this.turn(-1),
      } : {}),
    }[event.key];
    // Arrows scroll a text that has the focus.
    if (!act || (event.key.startsWith("Arrow") && document.activeElement.tagName === "PRE")) return;
    event.preventDefault();
    act();
  }

  step(by) {
    const at = Math.min(this.shown.length - 1, Math.max(0, this.at + by));
    if (at >= 0 && at !== this.at) this.select(at, { asked: true });
  }

  /** To the next output of the item. */
  turn(by) {
    const cards = [...this.detail.querySelectorAll(".output")];
    const at = cards.indexOf(document.activeElement.closest(".output"));
    const next = cards[at < 0 ? (by > 0 ? 0 : cards.length - 1) : at + by];
    if (next) next.focus();
    next?.scrollIntoView({ block: "nearest" });
  }

  /** Let the address say what is shown, once hands are still: browsers take their time for it. */
  remember(filters) {
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => this.setAddress(filters), 300);
  }

  setAddress(filters) {
    const { track, where, rule, text } = this.chosen;
    const item = this.current;
    const chosen = { track, where, rule: rule === "" ? "" : this.index.rules[rule], text };
    const said = new URLSearchParams(Object.entries(chosen).filter(([, value]) => value));
    const one = item < 0 ? "" : this.view.address(item);
    const address = filters || !one ? (String(said) ? `#samples&${said}` : "#samples") : `#${one}${String(said) ? `&${said}` : ""}`;
    try {
      history.replaceState(null, "", address);
    } catch {
      // Some browsers let no page of a folder change its address; nothing else depends on it.
    }
  }

  /** Show what the address says. */
  follow() {
    const said = new URLSearchParams(location.hash.slice(1));
    if (!said.has("sample") && !said.has("samples")) return;
    const wanted = Object.fromEntries(["track", "where", "rule", "text"].map((name) => [name, said.get(name) || ""]));
    const item = said.has("sample") ? this.find(said.get("sample"), Number(said.get("n") || 0)) : -1;
    this.choose(wanted);
    if (item >= 0 && !this.shown.includes(item)) this.choose({});
    if (item >= 0) this.select(this.shown.indexOf(item), { asked: true, reveal: true });
    else this.root.parentElement.scrollIntoView();
    if (said.has("sample") && item < 0) {
      addText(this.fault, `This page has no sample ${said.get("sample")}; it may be of another study or run.`);
      this.fault.hidden = false;
    }
  }

  find(name, sample) {
    return this.index.items.findIndex(
      ([place, id, number]) => number === sample && `${this.index.places[place].track}/${id}` === name);
  }
}

const root = document.querySelector("#samples .app");
if (typeof DecompressionStream === "undefined") {
  root.textContent = "This browser is too old to open the outputs; in a terminal, polytune samples shows the same.";
  root.hidden = false;
} else {
  openIndex().then((index) => new Browser(root, index));
}
