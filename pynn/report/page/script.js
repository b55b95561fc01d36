
"use strict";
(() => {
  const all = (query, root) => Array.from((root || document).querySelectorAll(query));

  // light or dark
  const root = document.documentElement;
  document.getElementById("theme").addEventListener("click", () => {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
  });

  // findings: search and severities
  const cards = all(".finding"), boxes = all("input[data-severity]"), shown = document.getElementById("shown");
  const wanted = document.querySelector('input[data-search="findings"]');
  const filter = () => {
    const words = wanted.value.toLowerCase().split(/\s+/).filter(Boolean);
    const severities = boxes.filter((box) => box.checked).map((box) => box.dataset.severity);
    let count = 0;
    for (const card of cards) {
      const text = card.textContent.toLowerCase();
      card.hidden = !severities.includes(card.dataset.severity) || !words.every((word) => text.includes(word));
      count += !card.hidden;
    }
    shown.textContent = `${count} of ${cards.length} shown`;
  };
  if (wanted) {
    wanted.addEventListener("input", filter);
    boxes.forEach((box) => box.addEventListener("change", filter));
  }

  // columns
  const column = document.querySelector('input[data-search="columns"]');
  if (column) {
    column.addEventListener("input", () => {
      const text = column.value.toLowerCase();
      all("#columns tbody tr").forEach((row) => { row.hidden = !row.cells[0].textContent.toLowerCase().includes(text); });
    });
  }

  // code to copy
  all("button[data-copy]").forEach((button) => button.addEventListener("click", () => {
    const code = button.parentElement.querySelector("code"), range = document.createRange();
    range.selectNodeContents(code);
    getSelection().removeAllRanges();
    getSelection().addRange(range);
    const copied = document.execCommand("copy");
    button.textContent = copied ? "Copied" : "Selected";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  }));

  // values of the health maps
  const kept = document.getElementById("health-values");
  const health = kept ? JSON.parse(kept.textContent) : null;
  all("img[data-map]").forEach((image) => {
    const map = health.maps[image.dataset.map];
    const out = document.querySelector(`output[data-for="${image.dataset.map}"]`);
    let row = 0, point = 0;
    const say = () => {
      const value = map.values[row][point];
      const text = value === null ? "not measured" : map.share && typeof value === "number" ?
        `${+(100 * value).toPrecision(3)} %` : String(value);
      out.textContent = `layer ${map.rows[row]} ${health.names[map.rows[row]]}, step ${health.steps[point]}: ${text}`;
    };
    const within = (value, count) => Math.max(0, Math.min(count - 1, value));
    image.addEventListener("pointermove", (event) => {
      const box = image.getBoundingClientRect();
      row = within(Math.floor((event.clientY - box.top) / box.height * map.rows.length), map.rows.length);
      point = within(Math.floor((event.clientX - box.left) / box.width * health.steps.length), health.steps.length);
      say();
    });
    image.addEventListener("focus", say);
    image.addEventListener("keydown", (event) => {
      const by = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
      if (!by) return;
      event.preventDefault();
      row = within(row + by[0], map.rows.length);
      point = within(point + by[1], health.steps.length);
      say();
    });
  });

  // everything is open on paper
  addEventListener("beforeprint", () => all("details").forEach((part) => { part.dataset.was = part.open; part.open = true; }));
  addEventListener("afterprint", () => all("details").forEach((part) => { part.open = part.dataset.was === "true"; }));
})();
