// What a page does beyond being read: tables sort and filter, and a link opens what it points into.
// Without this script everything is there and readable; nothing is made here that is not in the page already.
"use strict";
(() => {
  const columnOf = (cell) => {
    let at = 0;
    for (let other = cell.previousElementSibling; other; other = other.previousElementSibling) at += other.colSpan;
    return at;
  };

  const cellAt = (row, column) => {
    let at = 0;
    for (const cell of row.cells) {
      if (column < at + cell.colSpan) return cell;
      at += cell.colSpan;
    }
    return null;
  };

  // Where a heading of the lower line stands: after the labels and what spans both lines before it.
  const headings = (table) => {
    const lines = table.tHead.rows;
    if (lines.length === 1) return [...lines[0].cells].map((cell) => [cell, columnOf(cell)]);
    const found = [];
    const below = [...lines[1].cells];
    let at = 0;
    for (const cell of lines[0].cells) {
      if (cell.rowSpan > 1) found.push([cell, at]);
      else for (let i = 0; i < cell.colSpan; i += 1) found.push([below.shift(), at + i]);
      at += cell.colSpan;
    }
    return found;
  };

  const keyOf = (row, column) => {
    const cell = cellAt(row, column);
    if (!cell) return null;
    if (cell.dataset.v !== undefined) return Number(cell.dataset.v);
    return cell.tagName === "TH" ? cell.textContent : cell.classList.contains("words") ? cell.textContent : null;
  };

  // What has no figure goes last, whichever way the rest is sorted.
  const compare = (a, b, sign) => {
    if (a === null || b === null) return (a === null) - (b === null);
    if (typeof a === "number" && typeof b === "number") return sign * (a - b);
    return sign * String(a).localeCompare(String(b), undefined, { numeric: true });
  };

  const sortBy = (table, heading, column) => {
    const down = heading.getAttribute("aria-sort") === "descending";
    const number = [...table.tBodies[0].rows].some((row) => typeof keyOf(row, column) === "number");
    const first = heading.hasAttribute("aria-sort") ? !down : number;
    for (const other of table.tHead.querySelectorAll("[aria-sort]")) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", first ? "descending" : "ascending");
    table.classList.add("sorted");
    const rows = [...table.tBodies[0].rows].map((row) => [keyOf(row, column), row]);
    rows.sort((a, b) => compare(a[0], b[0], first ? -1 : 1));
    table.tBodies[0].append(...rows.map(([, row]) => row));
  };

  const makeSortable = (table) => {
    for (const [heading, column] of headings(table)) {
      if (!heading || !heading.textContent.trim()) continue;
      const button = document.createElement("button");
      button.type = "button";
      button.title = "Sort";
      button.append(...heading.childNodes);
      heading.append(button);
      button.addEventListener("click", () => sortBy(table, heading, column));
    }
  };

  const makeFilterable = (table) => {
    const field = document.createElement("input");
    field.type = "search";
    field.placeholder = "Filter rows";
    field.setAttribute("aria-label", `Filter rows: ${table.parentElement.getAttribute("aria-label")}`);
    const texts = new Map();
    field.addEventListener("input", () => {
      const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
      for (const row of table.tBodies[0].rows) {
        if (!texts.has(row)) texts.set(row, row.textContent.toLowerCase());
        row.hidden = !words.every((word) => texts.get(row).includes(word));
      }
      table.classList.toggle("filtered", words.length > 0);
    });
    table.before(field);
  };

  const openTarget = () => {
    const target = location.hash.length > 1 && document.getElementById(location.hash.slice(1));
    if (!target) return;
    for (let box = target.closest("details"); box; box = box.parentElement.closest("details")) box.open = true;
    target.scrollIntoView();
  };

  for (const table of document.querySelectorAll("table[data-sort]")) makeSortable(table);
  for (const table of document.querySelectorAll("table[data-filter]")) makeFilterable(table);
  addEventListener("hashchange", openTarget);
  openTarget();
})();
