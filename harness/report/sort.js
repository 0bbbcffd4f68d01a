// Sorts a table by the column whose heading is pressed: first upwards, then downwards.
for (const table of document.querySelectorAll("table")) {
  const body = table.tBodies[0];
  // A row in smaller print belongs to the one above it and moves with it.
  const groups = [];
  for (const row of body.rows) {
    if (groups.length && row.cells[0].classList.contains("detail")) groups.at(-1).push(row);
    else groups.push([row]);
  }
  if (groups.length < 2) continue;
  const units = { ms: 1e-3, s: 1, min: 60, kb: 1e3, mb: 1e6, gb: 1e9, tb: 1e12, k: 1e3 };
  const amount = (text) => {
    const parts = [...text.replace(/\[.*/, "").replaceAll("−", "-").matchAll(/([+-]?)\$?(\d[\d,]*\.?\d*(?:e[+-]?\d+)?)\s*([a-z]*)/gi)];
    if (!parts.length || !/^[+\-−$\d]/.test(text)) return NaN;
    const size = parts.reduce((sum, [, , digits, unit]) =>
      sum + parseFloat(digits.replaceAll(",", "")) * (units[unit.toLowerCase()] ?? 1), 0);
    return parts[0][1] === "-" || text.startsWith("-") ? -size : size;
  };
  const compare = (place) => (one, other) => {
    const [a, b] = [one, other].map((group) => group[0].cells[place].textContent.trim());
    const [x, y] = [amount(a), amount(b)];
    if (isNaN(x) || isNaN(y)) return isNaN(x) - isNaN(y) || a.localeCompare(b, "en");
    return x - y;
  };
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, place) => {
    const name = head.textContent.trim();
    if (!name) return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((one) => one.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      groups.sort(compare(place));
      if (down) groups.reverse();
      body.append(...groups.flat());
    });
  });
}
