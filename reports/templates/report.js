for (const table of document.querySelectorAll("table.sortable")) {
  const value = (row, column) => {
    const cell = row.cells[column];
    if (!cell) return "";
    if (cell.dataset.v) return Number(cell.dataset.v);
    const text = cell.textContent.trim().replace(/[\u2009\u202f]/g, "").replace("\u2212", "-");
    const number = parseFloat(text);
    return Number.isNaN(number) ? text.toLowerCase() : number;
  };
  const compare = (a, b) => {
    if (typeof a === typeof b) return a < b ? -1 : a > b ? 1 : 0;
    return typeof a === "number" ? -1 : 1;
  };
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => {
      const up = heading.getAttribute("aria-sort") !== "ascending";
      headings.forEach((other) => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", up ? "ascending" : "descending");
      for (const body of table.tBodies) {
        const rows = [...body.rows];
        rows.sort((a, b) => {
          const order = compare(value(a, column), value(b, column));
          return up ? order : -order;
        });
        body.append(...rows);
      }
    });
  });
}
