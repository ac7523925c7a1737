// What the other parts share. All parts run as one script, in a scope of their own.

// How far down the banner reaches, below which what sticks to the top begins and jumps end.
new ResizeObserver(([{ target }]) => {
  document.documentElement.style.setProperty("--top", target.offsetHeight + "px");
}).observe(document.querySelector(".banner"));

function make(name, parent, values = {}) {
  const node = Object.assign(document.createElement(name), values);
  parent.append(node);
  return node;
}

function slider(parent, label, [min, max, step], value, changed) {
  const input = make("input", parent, { type: "range" });
  // The range must stand before the value, or the browser clips the value to 0..100.
  Object.assign(input, { min, max, step, value });
  input.setAttribute("aria-label", label);
  input.addEventListener("input", () => changed(Number(input.value)));
  return input;
}

function choice(parent, label, options, changed) {
  const input = make("select", make("label", parent, { textContent: label + " " }));
  input.setAttribute("aria-label", label);
  for (const [value, text] of options) make("option", input, { value, textContent: text });
  input.addEventListener("change", () => changed(input.value));
  return input;
}

function button(parent, textContent, pressed) {
  const node = make("button", parent, { type: "button", textContent });
  node.addEventListener("click", pressed);
  return node;
}

// A field that leaves those items in sight whose words hold what was typed; print shows all.
function sift(parent, items, words, changed = () => {}) {
  const field = make("input", make("label", parent, { textContent: "Find structure " }), { type: "search" });
  const said = make("output", parent);
  const apply = () => {
    const sought = field.value.trim().toLowerCase();
    for (const item of items) item.classList.toggle("sifted", !words(item).toLowerCase().includes(sought));
    const left = items.filter((item) => !item.classList.contains("sifted")).length;
    said.textContent = ` ${left} of ${items.length} shown`;
    changed(left < items.length);
  };
  field.addEventListener("input", (event) => { event.stopPropagation(); apply(); });  // it is no answer
  parent.hidden = false;
  apply();
  return { clear() { field.value = ""; apply(); } };
}

// Base64 of gzipped steps along x, modulo 256; see medswin.review.payload.pack.
async function unpack(text, columns) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const values = new Uint8Array(await new Response(stream).arrayBuffer());
  for (let i = 1; i < values.length; i++) if (i % columns) values[i] += values[i - 1];
  return values;
}

function save(blob, name) {
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

// Three significant figures without an exponent: "1.90", "1230", "0".
function significant(value) {
  if (!(value > 0)) return "0";
  const [digits, exponent] = value.toExponential(2).split("e");  // rounded once: 9.996 is 1.00e+1
  return Number(digits + "e" + exponent).toFixed(Math.max(0, 2 - Number(exponent)));
}
