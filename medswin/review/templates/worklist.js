// Sorting and filtering the list, and showing answers from files that the reader picks.
const body = document.querySelector(".list tbody"), bar = document.querySelector(".bar");
let rows = [...body.rows];
const find = bar.querySelector(".find"), verdict = bar.querySelector(".by-verdict"), state = bar.querySelector(".state");
const words = new Map(), letters = new Intl.Collator(undefined, { numeric: true });
const read = (row) => words.set(row, row.textContent.toLowerCase());

function filter() {
  const sought = find.value.trim().toLowerCase();
  let shown = 0;
  for (const row of rows) {
    const done = row.dataset.review === "open" ? "open" : "done";
    const fits = (!verdict.value || row.dataset.verdict === verdict.value)
      && (!state.value || done === state.value) && words.get(row).includes(sought);
    if (row.hidden === fits) row.hidden = !fits;
    shown += fits ? 1 : 0;
  }
  bar.querySelector(".count").textContent = `${shown} of ${rows.length} shown`;
}

// Numbers by size, words by letter; what is empty comes last, whichever way.
function order(key, down) {
  const numeric = key !== "case" && key !== "review", sign = down ? -1 : 1;
  const keyed = rows.map((row) => ({ row, text: row.dataset[key], number: Number(row.dataset[key]) }));
  keyed.sort((a, b) => {
    if (!a.text || !b.text) return (a.text ? 0 : 1) - (b.text ? 0 : 1);
    return sign * (numeric ? a.number - b.number : letters.compare(a.text, b.text));
  });
  rows = keyed.map(({ row }) => row);
  const sheet = new DocumentFragment();
  for (const row of rows) sheet.append(row);
  body.append(sheet);
}

for (const head of document.querySelectorAll(".list thead button")) {
  head.addEventListener("click", () => {
    const cell = head.closest("th"), down = cell.getAttribute("aria-sort") === "ascending";
    for (const other of document.querySelectorAll(".list thead [aria-sort]")) other.removeAttribute("aria-sort");
    cell.setAttribute("aria-sort", down ? "descending" : "ascending");
    order(head.dataset.key, down);
  });
}

bar.querySelector(".files").addEventListener("change", async (event) => {
  for (const file of event.target.files) {
    let review;
    try { review = JSON.parse(await file.text()); } catch { continue; }
    const same = rows.filter(({ dataset }) => dataset.labels && dataset.labels === review?.labels_sha256);
    const row = same.find(({ dataset }) => dataset.case === review.case) ?? same[0];  // two cases may have one label map
    if (!row || !Array.isArray(review.answers)) continue;
    const finished = Date.parse(review.finished);
    if (!(finished > (row.finished ?? -Infinity))) continue;  // the last review of a case counts
    row.finished = finished;
    const count = (answer) => review.answers.filter((one) => one.answer === answer).length;
    const told = ["accept", "edit", "reject"].map((answer) => [count(answer), answer]).filter(([n]) => n);
    row.dataset.review = told.map(([n, answer]) => `${n} ${answer}`).join(", ");
    row.querySelector(".review-cell").textContent = row.dataset.review;
    read(row);
  }
  filter();
});
for (const input of [find, verdict, state]) input.addEventListener("input", filter);
rows.forEach(read);
bar.hidden = false;
filter();
