const grays = new Map();

function gray(data) {
  const text = () => document.getElementById("volume-" + data.volume).textContent;
  if (!grays.has(data.volume)) grays.set(data.volume, unpack(text(), data.shape[0]));
  return grays.get(data.volume);
}

function told(kind, number) {
  const source = document.querySelector(`.${kind}-data[data-case="${number}"]`);
  return source && JSON.parse(source.textContent);
}

async function start(root, answers) {
  const data = told("viewer", root.dataset.case);
  const [image, labels] = await Promise.all([gray(data), unpack(data.labels, data.shape[0])]);
  root.hidden = false;
  const viewer = new Viewer(root, data, image, labels), bar = make("div", root, { className: "controls" });
  root.viewer = viewer;
  if (answers && data.stride.every((step) => step === 1)) {
    new Editor(viewer, bar, answers.data.stored.voxel_ml);
    answers.attach(viewer);
  } else if (answers) {
    bar.textContent = "Outlines cannot be corrected here, since the page does not hold every slice: use an editor.";
  }
  volume3d(viewer, bar);
}

document.addEventListener("securitypolicyviolation", (event) => {
  document.documentElement.dataset.violation = event.violatedDirective;
});
for (const jumps of document.querySelectorAll(".jumps")) jumps.hidden = false;
for (const finder of document.querySelectorAll(".volumes-finder")) {
  const rows = [...finder.nextElementSibling.querySelectorAll("tbody tr")];
  sift(finder, rows, (row) => row.querySelector("th").textContent + row.querySelector(".note-cell").textContent);
}
for (const form of document.querySelectorAll(".answers")) {
  form.answers = new Answers(form, told("answers", form.dataset.case));
}
// A browser that cannot unpack keeps the key images, which need no script.
for (const root of document.querySelectorAll(".viewer")) {
  const form = document.querySelector(`.answers[data-case="${root.dataset.case}"]`);
  start(root, form?.answers).catch((error) => { console.error(error);
    root.hidden = false;
    root.replaceChildren("This browser cannot show the viewer: see the key images below.");
  });
}
