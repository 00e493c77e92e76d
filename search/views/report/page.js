// Hover, linked selection, filters and sorting. Everything can be read without it.
"use strict";
const trials = JSON.parse(document.getElementById("trials-data").textContent);
const tip = document.getElementById("tip");
const marks = new Map();
for (const mark of document.querySelectorAll("[data-t]")) {
  const number = mark.dataset.t;
  if (!marks.has(number)) marks.set(number, []);
  marks.get(number).push(mark);
}

function show(event, number) {
  tip.textContent = trials[number];
  tip.hidden = false;
  const box = tip.getBoundingClientRect();
  const x = Math.min(event.pageX + 14, window.scrollX + document.documentElement.clientWidth - box.width - 8);
  tip.style.left = `${Math.max(4, x)}px`;
  tip.style.top = `${event.pageY + 16}px`;
}

let picked = new Set();
function pick(number) {
  if (picked.has(number)) picked.delete(number); else picked.add(number);
  redraw();
}
function redraw() {
  document.body.classList.toggle("picked", picked.size > 0);
  for (const [number, own] of marks) for (const mark of own) mark.classList.toggle("on", picked.has(number));
  const words = document.getElementById("picked-words");
  if (words) words.textContent = picked.size
    ? `Picked: ${[...picked].join(", ")}. Escape clears.` : "Click a mark or a row to pick a trial everywhere.";
}
document.addEventListener("mouseover", (event) => {
  const mark = event.target.closest("svg [data-t]");
  if (mark) show(event, mark.dataset.t); else tip.hidden = true;
});
document.addEventListener("click", (event) => {
  const mark = event.target.closest("[data-t]");
  if (mark) pick(mark.dataset.t);
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") { picked = new Set(); redraw(); }
  if (event.key === "Enter" && event.target.matches("tr[data-t]")) pick(event.target.dataset.t);
});

for (const box of document.querySelectorAll("[data-state]")) {
  box.addEventListener("change", () => {
    for (const mark of document.querySelectorAll(`.s-${box.dataset.state}`)) mark.style.display = box.checked ? "" : "none";
  });
}
const search = document.getElementById("search");
if (search) search.addEventListener("input", () => {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const row of document.querySelectorAll("#all-trials tbody tr")) {
    const text = row.textContent.toLowerCase();
    row.hidden = !words.every((word) => text.includes(word));
  }
});
for (const button of document.querySelectorAll("#all-trials th button")) {
  button.addEventListener("click", () => {
    const head = button.closest("th");
    const column = [...head.parentNode.children].indexOf(head);
    const isUp = head.getAttribute("aria-sort") !== "ascending";
    for (const other of head.parentNode.children) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", isUp ? "ascending" : "descending");
    const body = document.querySelector("#all-trials tbody");
    const value = (row) => row.children[column].textContent;
    const rows = [...body.rows].sort((a, b) => {
      const [x, y] = [value(a), value(b)];
      if (x === "" || y === "") return (x === "") - (y === "");
      const order = isNaN(x) || isNaN(y) ? x.localeCompare(y) : x - y;
      return isUp ? order : -order;
    });
    body.append(...rows);
  });
}
redraw();
