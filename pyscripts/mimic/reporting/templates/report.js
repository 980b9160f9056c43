// Sorting and filtering, keys in the scatter plots, players that take over from each other. Without it all is readable.
"use strict";

function value(row, column) {
  const text = row.cells[column].textContent.trim();
  const number = parseFloat(text);
  return Number.isNaN(number) || !/^-?\d+(\.\d+)?(\s+of\s+\d+)?$/.test(text) ? text : number;
}

// Numbers before texts; a cell without a value (-, NA, nothing) comes last in both directions.
function order(a, b, sign) {
  const empty = (v) => v === "" || v === "-" || v === "NA";
  if (empty(a) || empty(b)) return empty(a) - empty(b);
  if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
  if (a === b) return 0;
  return sign * (a < b ? -1 : 1);
}

function sortable(table) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
    const falling = head.getAttribute("aria-sort") === "ascending";
    heads.forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", falling ? "descending" : "ascending");
    const rows = [...table.tBodies[0].rows].map((row) => [value(row, column), row]);
    rows.sort(([a], [b]) => order(a, b, falling ? -1 : 1));
    table.tBodies[0].append(...rows.map(([, row]) => row));
  }));
}

function filters(form, table) {
  const [text, noise, why] = ["f-text", "f-noise", "f-why"].map((id) => document.getElementById(id));
  const rows = [...table.tBodies[0].rows];
  const apply = () => {
    let shown = 0;
    for (const row of rows) {
      const wrong = [...row.querySelectorAll(".errors")].some((cell) => parseInt(cell.textContent, 10) > 0);
      const reasons = row.dataset.why;
      const fits = row.dataset.text.includes(text.value.trim().toLowerCase())
        && (!noise || !noise.value || row.dataset.noise === noise.value)
        && (!why.value || (why.value === "picked" ? reasons !== "" : why.value === "errors" ? wrong
          : reasons.split("|").includes(why.value)));
      row.hidden = !fits;
      shown += fits;
    }
    document.getElementById("f-count").textContent = `${shown} of ${rows.length} utterances`;
  };
  form.addEventListener("input", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  if (text.value || why.value || (noise && noise.value)) apply();  // a browser keeps the form over a reload
}

// A plot is one stop of the Tab key; arrow keys go from point to point.
function roving(plot) {
  const links = [...plot.querySelectorAll("a")];
  if (!links.length) return;
  links[0].setAttribute("tabindex", "0");
  plot.addEventListener("keydown", (event) => {
    const at = links.indexOf(document.activeElement);
    const to = { ArrowRight: at + 1, ArrowDown: at + 1, ArrowLeft: at - 1, ArrowUp: at - 1, Home: 0, End: links.length - 1 }[event.key];
    if (at < 0 || to === undefined) return;
    event.preventDefault();
    const next = links[Math.min(Math.max(to, 0), links.length - 1)];
    links[at].setAttribute("tabindex", "-1");
    next.setAttribute("tabindex", "0");
    next.focus();
  });
}

function players(cards) {
  const together = document.getElementById("together");
  let last = null;
  for (const card of cards) {
    const audio = card.querySelector("audio");
    const cursors = [...card.querySelectorAll(".cursor")];
    if (!audio) continue;
    const show = () => {
      for (const line of cursors) {
        const x = (audio.currentTime / audio.duration || 0) * line.dataset.width;
        line.setAttribute("transform", `translate(${x})`);
        line.classList.toggle("on", audio.currentTime > 0);
      }
      if (!audio.paused) requestAnimationFrame(show);
    };
    audio.addEventListener("play", () => {
      if (last && last !== audio) {
        const playing = !last.paused;
        last.pause();
        if (playing && together.checked) audio.currentTime = last.currentTime;
      }
      last = audio;
      show();
    });
    for (const name of ["seeked", "pause", "ended"]) audio.addEventListener(name, show);
    for (const image of card.querySelectorAll("image")) {
      image.addEventListener("click", (event) => {
        const box = image.getBoundingClientRect();
        audio.currentTime = audio.duration * (event.clientX - box.left) / box.width || 0;
      });
    }
  }
}

document.querySelectorAll("table.sortable").forEach(sortable);
const form = document.querySelector(".filters");
if (form) filters(form, document.getElementById("utt-table"));
document.querySelectorAll(".scatter .plot").forEach(roving);
players(document.querySelectorAll(".version"));
