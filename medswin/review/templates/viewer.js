// The three planes of one case on canvases. The volume's axes are the patient's closest right, anterior and superior
// (x, y, z); each plane says which axis it cuts, which axis runs across and which down, both from high to low index.
const GUTTER = 24, FONT = "600 15px system-ui, sans-serif", MANY = 20;

function niceLength(field) {
  const decade = 10 ** Math.floor(Math.log10(field / 3));
  return [5, 2, 1].find((step) => step * decade <= (field / 3) * (1 + 1e-9)) * decade;
}

class Viewer {
  constructor(root, data, image, labels) {
    Object.assign(this, { root, data, image, labels });
    this.stride = [1, data.shape[0], data.shape[0] * data.shape[1]];
    this.at = [...data.start];
    this.whole = data.shape.map((size) => [0, size]);
    this.hidden = new Set();
    this.colors = new Map(data.structures.map(({ value, color }) => [value, color]));
    this.names = new Map(data.structures.map(({ value, name }) => [value, name]));
    const { low, high } = data.windows[0];
    Object.assign(this, { opacity: 1, style: "outline", low, high, crosshair: true, zoomed: this.worthZooming() });
    this.build();
  }

  worthZooming() {
    const size = (box) => Math.max(...box.map(([a, b], axis) => (b - a) * this.data.spacing[axis]));
    return size(this.data.zoom) < 0.6 * size(this.whole);
  }

  get box() { return this.zoomed ? this.data.zoom : this.whole; }

  build() {
    this.under = make("output", this.root, { className: "under" });
    const planes = make("div", this.root, { className: "planes" });
    this.panels = this.data.planes.map((plane) => this.panel(planes, plane));
    this.structures();
    this.controls(make("div", this.root, { className: "controls" }));
    this.root.addEventListener("keydown", (event) => this.key(event));
    this.draw();
    // Drawing sets the height, so only another width is a reason to draw again.
    new ResizeObserver(() => { if (this.root.clientWidth !== this.width) this.draw(); }).observe(this.root);
  }

  panel(parent, plane) {
    const cell = make("div", parent, { className: "plane" });
    const caption = make("output", cell);
    const canvas = make("canvas", cell, { tabIndex: 0 });
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", plane.name + " slice");
    const last = this.data.shape[plane.axis] - 1;
    const input = slider(cell, plane.name + " slice", [0, last, 1], this.at[plane.axis], (k) => this.go(plane.axis, k));
    const panel = { plane, cell, canvas, caption, input };
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      if (event.button === 0) this.touch(panel, event, true);
    });
    canvas.addEventListener("pointermove", (event) => event.buttons & 1 && this.touch(panel, event, false));
    for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) {
      canvas.addEventListener(end, () => this.editor?.lift());
    }
    // The wheel moves slices only in a plane that was clicked, so that it still scrolls the page elsewhere.
    canvas.addEventListener("wheel", (event) => {
      if (document.activeElement !== canvas) return;
      event.preventDefault();
      this.go(plane.axis, this.at[plane.axis] - Math.sign(event.deltaY));
    }, { passive: false });
    canvas.addEventListener("keydown", (event) => {
      const steps = { ArrowUp: 1, ArrowRight: 1, ArrowDown: -1, ArrowLeft: -1, PageUp: 10, PageDown: -10 };
      if (!(event.key in steps)) return;
      event.preventDefault();
      this.go(plane.axis, this.at[plane.axis] + steps[event.key]);
    });
    return panel;
  }

  structures() {
    const finder = make("div", this.root, { className: "controls", hidden: true });
    const bar = make("div", this.root, { className: "controls structures" });
    const boxes = this.data.structures.map((structure) => {
      const label = make("label", bar);
      const box = make("input", label, { type: "checkbox", checked: true });
      make("i", label).style.borderColor = `rgb(${structure.color})`;
      label.append(structure.name);
      const show = () => box.checked ? this.hidden.delete(structure.value) : this.hidden.add(structure.value);
      box.addEventListener("change", () => { show(); this.draw(); });
      return { label, box, show };
    });
    if (boxes.length > MANY) sift(finder, boxes.map(({ label }) => label), (label) => label.textContent);
    if (boxes.length < 3) return;
    for (const [name, checked] of [["All", true], ["None", false]]) {
      const set = () => {
        for (const { label, box, show } of boxes) if (!label.classList.contains("sifted")) { box.checked = checked; show(); }
        this.draw();
      };
      button(boxes.length > MANY ? finder : bar, name, set);
    }
  }

  controls(bar) {
    const styles = [["outline", "outlines"], ["fill", "filled"], ["both", "both"]];
    this.styles = choice(bar, "Show", styles, (style) => { this.style = style; this.draw(); });
    const opacity = make("label", bar, { textContent: "Opacity" });
    slider(opacity, "Opacity", [0, 100, 1], 100, (v) => { this.opacity = v / 100; this.draw(); });
    this.windowing(bar);
    button(bar, "Crosshair", () => this.toggle("crosshair"));
    this.zoom = button(bar, "", () => this.toggle("zoomed"));
    this.zoom.hidden = String(this.data.zoom) === String(this.whole);
  }

  windowing(bar) {
    const { windows, levels } = this.data, range = levels[255] - levels[0], step = Number((range / 1000).toPrecision(1));
    const presets = windows.map(({ name }, i) => [i, name]);
    const preset = choice(bar, "Window", [...presets, ["own", "own"]], (i) => {
      if (i in windows) { set(windows[i]); this.draw(); }
    });
    const knob = (name, ends) => slider(make("label", bar, { textContent: name }), name, ends, 0, () => {
      preset.value = "own";
      const half = Number(width.value) / 2, middle = Number(level.value);
      Object.assign(this, { low: middle - half, high: middle + half });
      said.textContent = words();
      this.draw();
    });
    const level = knob("Level", [levels[0], levels[255], step]), width = knob("Width", [step, range, step]);
    const said = make("output", bar, { className: "window" });
    const words = () => [this.low, this.high].map((value) => Number(value.toPrecision(3))).join(" to ");
    const set = ({ low, high }) => {
      Object.assign(this, { low, high });
      Object.assign(level, { value: (low + high) / 2 });
      Object.assign(width, { value: high - low });
      said.textContent = words();
    };
    set(windows[0]);
  }

  key(event) {
    if (event.ctrlKey || event.altKey || event.metaKey || /select|text|search/.test(event.target.type ?? "")) return;
    if (event.key === "c") this.toggle("crosshair");
    else if (event.key === "z" && !this.zoom.hidden) this.toggle("zoomed");
    else if (event.key === "o") { this.veiled = !this.veiled; this.draw(); }
    else if (!this.editor?.key(event.key)) return;
    event.preventDefault();
  }

  toggle(name) {
    this[name] = !this[name];
    this.draw();
  }

  go(axis, index) {
    this.at[axis] = Math.max(0, Math.min(this.data.shape[axis] - 1, Math.round(index)));
    this.draw();
  }

  // Where on the slice an event is, in voxels along each axis; whole numbers are the voxels' middles.
  place(panel, event) {
    const { x, y, scale } = panel.frame, { across, down } = panel.plane, { spacing } = this.data;
    const place = [...this.at];
    place[across] = this.box[across][1] - (event.offsetX - x) / (scale * spacing[across]) - 0.5;
    place[down] = this.box[down][1] - (event.offsetY - y) / (scale * spacing[down]) - 0.5;
    return place;
  }

  touch(panel, event, first) {
    const place = this.place(panel, event);
    if (this.editor?.active && !event.shiftKey) {
      this.editor.stroke(panel.plane, place, first);
      return;
    }
    for (const axis of [panel.plane.across, panel.plane.down]) {
      const [low, high] = this.box[axis];
      this.at[axis] = Math.max(low, Math.min(high - 1, Math.round(place[axis])));
    }
    this.draw();
  }

  draw() {
    const { data, box } = this;
    this.width = this.root.clientWidth;
    this.zoom.textContent = this.zoomed ? "Show whole scan" : "Zoom to structures";
    const field = box.map(([a, b], axis) => (b - a) * data.spacing[axis]);
    const tallest = Math.max(...this.panels.map(({ plane }) => field[plane.down]));
    this.shades = this.shading();
    // Room is shared out by what each plane shows; one scale for all planes, so that they can be compared.
    for (const { plane, cell } of this.panels) cell.style.flexGrow = field[plane.across];
    const fits = ({ plane, canvas }) => Math.max(60, canvas.clientWidth - 2 * GUTTER) / field[plane.across];
    const scale = Math.min(...this.panels.map(fits), 480 / tallest);
    for (const panel of this.panels) this.drawPanel(panel, field, scale, tallest * scale);
    this.nameUnder();
    this.root.dataset.ready = "true";
  }

  // The structure in which the crosshair's middle lies.
  nameUnder() {
    const [x, y, z] = this.at, value = this.labels[x + y * this.stride[1] + z * this.stride[2]];
    this.under.textContent = "At the crosshair: ";
    if (value) make("i", this.under).style.borderColor = `rgb(${this.colors.get(value)})`;
    this.under.append(this.names.get(value) ?? "no structure", this.hidden.has(value) || (value && this.veiled) ? " (not shown)" : "");
  }

  // The colour of each of the 256 levels in this window.
  shading() {
    const { low, high } = this;
    return Uint32Array.from(this.data.levels, (level) => {
      const value = Math.max(0, Math.min(255, Math.round((255 * (level - low)) / (high - low))));
      return 0xff000000 | (value << 16) | (value << 8) | value;
    });
  }

  drawPanel(panel, field, scale, room) {
    const { plane, canvas } = panel, { data } = this;
    const sharp = window.devicePixelRatio || 1, full = canvas.clientWidth, tall = room + 2 * GUTTER + 24;
    canvas.width = Math.round(full * sharp);
    canvas.height = Math.round(tall * sharp);
    canvas.style.height = tall + "px";
    const pen = canvas.getContext("2d");
    pen.scale(sharp, sharp);
    const width = field[plane.across] * scale, height = field[plane.down] * scale;
    panel.frame = { x: (full - width) / 2, y: GUTTER + (room - height) / 2, width, height, scale };
    this.drawSlice(pen, panel);
    if (this.crosshair) this.drawCrosshair(pen, panel);
    this.drawEdges(pen, panel, Math.max(...field));
    const index = this.at[plane.axis], position = data.origin[plane.axis] + data.step[plane.axis] * index;
    const number = `slice ${index * data.stride[plane.axis] + 1}/${data.size[plane.axis]}`;
    panel.caption.textContent = data.known
      ? `${plane.name[0].toUpperCase()}${plane.name.slice(1)}, ${"xyz"[plane.axis]} = ${(Math.round(position * 10) / 10 + 0).toFixed(1)} mm, ${number}`
      : `Across axis ${plane.axis + 1}, ${number}`;
    panel.input.value = index;
  }

  // Values of one slice, row by row as seen, and the shown size in voxels.
  slice(source, plane) {
    const [a, d] = [this.box[plane.across], this.box[plane.down]];
    const columns = a[1] - a[0], rows = d[1] - d[0], seen = new Uint8Array(columns * rows);
    const base = this.at[plane.axis] * this.stride[plane.axis];
    for (let row = 0; row < rows; row++) {
      const line = base + (d[1] - 1 - row) * this.stride[plane.down];
      for (let column = 0; column < columns; column++) {
        seen[row * columns + column] = source[line + (a[1] - 1 - column) * this.stride[plane.across]];
      }
    }
    return { seen, columns, rows };
  }

  drawSlice(pen, panel) {
    const { seen, columns, rows } = this.slice(this.image, panel.plane);
    const picture = new ImageData(columns, rows), pixels = new Uint32Array(picture.data.buffer);
    for (let i = 0; i < seen.length; i++) pixels[i] = this.shades[seen[i]];
    pen.imageSmoothingQuality = "high";
    this.lay(pen, panel, picture);
    if (this.veiled) return;
    const found = this.slice(this.labels, panel.plane);
    if (this.style !== "outline") this.drawFill(pen, panel, found);
    if (this.style !== "fill") this.drawOutlines(pen, panel, found);
  }

  lay(pen, { frame }, picture) {
    const sheet = document.createElement("canvas");
    Object.assign(sheet, { width: picture.width, height: picture.height });
    sheet.getContext("2d").putImageData(picture, 0, 0);
    pen.drawImage(sheet, frame.x, frame.y, frame.width, frame.height);
  }

  drawFill(pen, panel, { seen, columns, rows }) {
    const picture = new ImageData(columns, rows), alpha = Math.round(255 * this.opacity * 0.4);
    for (let i = 0; i < seen.length; i++) {
      if (seen[i] && !this.hidden.has(seen[i])) picture.data.set([...this.colors.get(seen[i]), alpha], 4 * i);
    }
    pen.imageSmoothingEnabled = false;
    this.lay(pen, panel, picture);
    pen.imageSmoothingEnabled = true;
  }

  // A strip inside each voxel side behind which another value lies; open where the structure leaves the picture.
  drawOutlines(pen, panel, { seen, columns, rows }) {
    const { x, y, width, height } = panel.frame;
    const w = width / columns, h = height / rows, thick = Math.min(2, w, h);
    pen.globalAlpha = this.opacity;
    for (const { value, color } of this.data.structures) {
      if (this.hidden.has(value)) continue;
      pen.fillStyle = `rgb(${color})`;
      for (let i = seen.indexOf(value); i >= 0; i = seen.indexOf(value, i + 1)) {
        const column = i % columns, row = (i - column) / columns, left = x + column * w, top = y + row * h;
        if (column > 0 && seen[i - 1] !== value) pen.fillRect(left, top, thick, h);
        if (column < columns - 1 && seen[i + 1] !== value) pen.fillRect(left + w - thick, top, thick, h);
        if (row > 0 && seen[i - columns] !== value) pen.fillRect(left, top, w, thick);
        if (row < rows - 1 && seen[i + columns] !== value) pen.fillRect(left, top + h - thick, w, thick);
      }
    }
    pen.globalAlpha = 1;
  }

  drawCrosshair(pen, { plane, frame }) {
    const { spacing } = this.data, { x, y, width, height, scale } = frame;
    const right = x + (this.box[plane.across][1] - this.at[plane.across] - 0.5) * spacing[plane.across] * scale;
    const low = y + (this.box[plane.down][1] - this.at[plane.down] - 0.5) * spacing[plane.down] * scale;
    pen.fillStyle = "rgba(255, 255, 255, 0.35)";
    if (right > x && right < x + width) pen.fillRect(right - 0.5, y, 1, height);
    if (low > y && low < y + height) pen.fillRect(x, low - 0.5, width, 1);
  }

  drawEdges(pen, { plane, frame, canvas }, field) {
    const { x, y, width, height, scale } = frame, [left, right, top, bottom] = plane.edges;
    Object.assign(pen, { font: FONT, fillStyle: "#ffc44d", textAlign: "center", textBaseline: "middle" });
    pen.fillText(left, x - GUTTER / 2, y + height / 2);
    pen.fillText(right, x + width + GUTTER / 2, y + height / 2);
    pen.fillText(top, x + width / 2, y - GUTTER / 2);
    pen.fillText(bottom, x + width / 2, y + height + GUTTER / 2);
    const length = niceLength(field), base = canvas.clientHeight - 12, start = GUTTER;
    Object.assign(pen, { fillStyle: "#fff", font: "12px system-ui, sans-serif", textAlign: "left" });
    pen.fillRect(start, base - 1, length * scale, 2);
    for (const end of [start, start + length * scale]) pen.fillRect(end - 1, base - 5, 2, 10);
    pen.fillText(`${Number(length.toPrecision(3))} mm`, start + length * scale + 8, base);
  }
}
