// The language of `polytune samples --where` (where.py), read into a function of an item's states.
// One decision: a filter that was written here works there, so names, states and errors are the same.

const FLAGS = { empty: 16, cut: 32, unscored: 64, unrecorded: 128 };
const ABSENT = 255;
const SAME = { pass: "passes", passed: "passes", fail: "fails", failed: "fails" };
const GRAMMAR = "join conditions by and, or, not and parentheses, as in: a passes and not (b passes or b is empty)";

const quoted = (name) => (name.includes('"') ? `'${name}'` : `"${name}"`);

function wordsOf(name) {
  return name.toLowerCase().replaceAll("_", " ").match(/[\p{L}\p{N}]+/gu) || [];
}

function tokensOf(text) {
  const found = [];
  const token = /\s*(?:([()])|"([^"]*)"|'([^']*)'|([^\s()"']+))/y;
  while (text.slice(token.lastIndex).trim()) {
    const match = token.exec(text);
    if (!match) throw new Error("a quote is opened and not closed; close it");
    found.push(match[1] || match[4] || `"${match[2] ?? match[3]}"`);
  }
  return found;
}

/** The arms that a name means: it is one, begins one, or has words that begin words of one, in their order. */
function resolveName(name, index) {
  const given = wordsOf(name);
  const joined = given.join(" ");
  const occurs = (known) => {
    const rest = known.split(" ");
    let at = 0;
    return given.every((part) => {
      while (at < rest.length && !rest[at].startsWith(part)) at += 1;
      at += 1;
      return at <= rest.length;
    });
  };
  const fits = [(known) => known === joined, (known) => known.startsWith(joined), occurs];
  for (const fit of given.length ? fits : []) {
    const found = index.names.filter(([known]) => fit(known)).map(([, arms]) => arms);
    if (!found.length) continue;
    const together = [...new Set(found.flat())].sort((a, b) => a - b);
    if (found.some((arms) => arms.length === together.length)) return together;
    const titles = together.map((arm) => index.arms[arm].title).sort();
    throw new Error(`"${name}" may mean ${titles.join(", ")}; write enough of the name to mean one`);
  }
  const titles = index.arms.map((arm) => arm.title).sort();
  throw new Error(`there is no trial or method "${name}"; there are: ${titles.join(", ")}`);
}

/** A test of one output's state byte. */
function stateTest(state, verdicts) {
  const passed = verdicts.indexOf("passed");
  const unjudged = verdicts.indexOf("unjudged");
  if (state === "missing") return (byte) => byte === ABSENT;
  const there = (test) => (byte) => byte !== ABSENT && test(byte);
  if (state === "passes") return there((byte) => (byte & 15) === passed);
  if (state === "fails") return there((byte) => ![0, passed, unjudged].includes(byte & 15));
  if (state in FLAGS) return there((byte) => (byte & FLAGS[state]) > 0);
  return there((byte) => (byte & 15) === verdicts.indexOf(state));
}

/** Reads a condition. Returns `holds(states, offset)` over an item's state bytes, and the arms that it names. */
function parseWhere(text, index) {
  const tokens = tokensOf(text);
  const named = new Set();
  let at = 0;
  const word = () => (tokens[at] || "").toLowerCase().replaceAll("-", "_");
  const isState = () => index.states.includes(word()) || word() in SAME;
  const takes = (wanted) => {
    const found = word() === wanted;
    at += found ? 1 : 0;
    return found;
  };

  function either() {
    const parts = [both()];
    while (takes("or")) parts.push(both());
    return (states, offset) => parts.some((part) => part(states, offset));
  }
  function both() {
    const parts = [one()];
    while (takes("and")) parts.push(one());
    return (states, offset) => parts.every((part) => part(states, offset));
  }
  function one() {
    if (takes("not")) {
      const inner = one();
      return (states, offset) => !inner(states, offset);
    }
    if (!takes("(")) return statement();
    const inner = either();
    if (!takes(")")) throw new Error("a parenthesis is opened and not closed; close it");
    return inner;
  }
  function statement() {
    const name = [];
    while (at < tokens.length && !isState() && !["and", "or", "(", ")"].includes(word())) {
      name.push(tokens[at]);
      at += 1;
    }
    if (name.length && name[name.length - 1].toLowerCase() === "is") name.pop();
    const said = name.map((part) => part.replaceAll('"', "")).join(" ");
    if (!said || !isState()) throw new Error(lacking(said, tokens[at], index));
    const state = SAME[word()] || word();
    at += 1;
    return condition(said, state);
  }
  function condition(name, state) {
    const test = stateTest(state, index.verdicts);
    const quantifier = name.toLowerCase();
    if (quantifier !== "any" && quantifier !== "all") {
      const arms = resolveName(name, index);
      arms.forEach((arm) => named.add(arm));
      return (states, offset) => arms.every((arm) => test(states[offset + arm]));
    }
    return (states, offset) => {
      let seen = 0;
      let held = 0;
      for (let arm = 0; arm < index.arms.length; arm += 1) {
        const byte = states[offset + arm];
        if (byte === ABSENT && state !== "missing") continue;
        seen += 1;
        held += test(byte) ? 1 : 0;
      }
      return seen > 0 && (quantifier === "any" ? held > 0 : held === seen);
    };
  }

  const holds = either();
  if (at < tokens.length) throw new Error(`"${tokens[at]}" stands where the condition has ended; ${GRAMMAR}`);
  return { holds, named };
}

function lacking(name, token, index) {
  if (name) return `"${name}" is followed by no state; say what is to be true of it: ${index.states.join(", ")}`;
  return `a name and a state are missing ${token ? `before "${token}"` : "at the end"}; ${GRAMMAR}`;
}
