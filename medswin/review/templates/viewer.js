"use strict";
// The three planes of one case on canvases. The volume's axes are the patient's closest right, anterior and superior
// (x, y, z); each plane says which axis it cuts, which axis runs across and which down, both from high to low index.
(() => {
  const GUTTER = 24, FONT = "600 15px system-ui, sans-serif";
  const gray = new Map();

  async function unpack(text) {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }

  function volume(key) {
    if (!gray.has(key)) gray.set(key, unpack(document.getElementById("volume-" + key).textContent));
    return gray.get(key);
  }

  function make(name, parent, values = {}) {
    const node = Object.assign(document.createElement(name), values);
    parent.append(node);
    return node;
  }

  function slider(parent, label, min, max, value, changed) {
    const input = make("input", parent, { type: "range" });
    // The range must stand before the value, or the browser clips the value to 0..100.
    Object.assign(input, { min, max, step: 1, value });
    input.setAttribute("aria-label", label);
    input.addEventListener("input", () => changed(Number(input.value)));
    return input;
  }

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
      Object.assign(this, { opacity: 1, low: 0, high: 255, crosshair: true, zoomed: this.worthZooming() });
      this.build();
    }

    worthZooming() {
      const size = (box) => Math.max(...box.map(([a, b], axis) => (b - a) * this.data.spacing[axis]));
      return size(this.data.zoom) < 0.6 * size(this.whole);
    }

    get box() { return this.zoomed ? this.data.zoom : this.whole; }

    build() {
      const planes = make("div", this.root, { className: "planes" });
      this.panels = this.data.planes.map((plane) => this.panel(planes, plane));
      this.controls(make("div", this.root, { className: "controls" }));
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
      const input = slider(cell, plane.name + " slice", 0, last, this.at[plane.axis], (k) => this.go(plane.axis, k));
      const panel = { plane, cell, canvas, caption, input };
      canvas.addEventListener("pointerdown", (event) => this.pick(panel, event));
      canvas.addEventListener("pointermove", (event) => event.buttons & 1 && this.pick(panel, event));
      // The wheel moves slices only in a plane that was clicked, so that it still scrolls the page elsewhere.
      canvas.addEventListener("wheel", (event) => {
        if (document.activeElement !== canvas) return;
        event.preventDefault();
        this.go(plane.axis, this.at[plane.axis] - Math.sign(event.deltaY));
      }, { passive: false });
      canvas.addEventListener("keydown", (event) => {
        const step = { ArrowUp: 1, ArrowRight: 1, ArrowDown: -1, ArrowLeft: -1 }[event.key];
        if (!step) return;
        event.preventDefault();
        this.go(plane.axis, this.at[plane.axis] + step);
      });
      return panel;
    }

    controls(bar) {
      for (const structure of this.data.structures) {
        const label = make("label", bar);
        const box = make("input", label, { type: "checkbox", checked: true });
        make("i", label).style.borderColor = `rgb(${structure.color})`;
        label.append(structure.name);
        box.addEventListener("change", () => {
          box.checked ? this.hidden.delete(structure.value) : this.hidden.add(structure.value);
          this.draw();
        });
      }
      const knob = (name, value, changed) => {
        const label = make("label", bar, { textContent: name });
        slider(label, name, 0, 100, value, (v) => { changed(v); this.draw(); });
      };
      knob("Outlines", 100, (v) => { this.opacity = v / 100; });
      knob("Black at", 0, (v) => { this.low = Math.min(2.55 * v, this.high - 1); });
      knob("White at", 100, (v) => { this.high = Math.max(2.55 * v, this.low + 1); });
      const cross = make("button", bar, { type: "button", textContent: "Crosshair" });
      cross.addEventListener("click", () => { this.crosshair = !this.crosshair; this.draw(); });
      const zoom = make("button", bar, { type: "button", hidden: String(this.data.zoom) === String(this.whole) });
      const name = () => { zoom.textContent = this.zoomed ? "Show whole scan" : "Zoom to structures"; };
      zoom.addEventListener("click", () => { this.zoomed = !this.zoomed; name(); this.draw(); });
      name();
      make("span", bar, { textContent: "Window: " + this.data.window });
    }

    go(axis, index) {
      this.at[axis] = Math.max(0, Math.min(this.data.shape[axis] - 1, Math.round(index)));
      this.draw();
    }

    pick(panel, event) {
      const { x, y, scale } = panel.frame, { across, down } = panel.plane, { spacing } = this.data;
      const right = (event.offsetX - x) / (scale * spacing[across]), low = (event.offsetY - y) / (scale * spacing[down]);
      const a = this.box[across], d = this.box[down];
      this.at[across] = Math.max(a[0], Math.min(a[1] - 1, Math.floor(a[1] - right)));
      this.at[down] = Math.max(d[0], Math.min(d[1] - 1, Math.floor(d[1] - low)));
      this.draw();
    }

    draw() {
      const { data, box } = this;
      this.width = this.root.clientWidth;
      const field = box.map(([a, b], axis) => (b - a) * data.spacing[axis]);
      const tallest = Math.max(...this.panels.map(({ plane }) => field[plane.down]));
      // Room is shared out by what each plane shows; one scale for all planes, so that they can be compared.
      for (const { plane, cell } of this.panels) cell.style.flexGrow = field[plane.across];
      const fits = ({ plane, canvas }) => Math.max(60, canvas.clientWidth - 2 * GUTTER) / field[plane.across];
      const scale = Math.min(...this.panels.map(fits), 480 / tallest);
      for (const panel of this.panels) this.drawPanel(panel, field, scale, tallest * scale);
      this.root.dataset.ready = "true";
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
      const gain = 255 / (this.high - this.low);
      for (let i = 0; i < seen.length; i++) {
        const value = Math.max(0, Math.min(255, Math.round((seen[i] - this.low) * gain)));
        pixels[i] = 0xff000000 | (value << 16) | (value << 8) | value;
      }
      const sheet = document.createElement("canvas");
      Object.assign(sheet, { width: columns, height: rows });
      sheet.getContext("2d").putImageData(picture, 0, 0);
      pen.imageSmoothingQuality = "high";
      pen.drawImage(sheet, panel.frame.x, panel.frame.y, panel.frame.width, panel.frame.height);
      this.drawOutlines(pen, panel);
    }

    // A strip inside each voxel side behind which another value lies; open where the structure leaves the picture.
    drawOutlines(pen, panel) {
      const { seen, columns, rows } = this.slice(this.labels, panel.plane), { x, y, width, height } = panel.frame;
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

  // A browser that cannot unpack keeps the key images, which need no script.
  async function start(root) {
    const source = document.querySelector(`.viewer-data[data-case="${root.dataset.case}"]`);
    const data = JSON.parse(source.textContent);
    const [image, labels] = await Promise.all([volume(data.volume), unpack(data.labels)]);
    root.hidden = false;
    new Viewer(root, data, image, labels);
  }

  document.addEventListener("securitypolicyviolation", (event) => {
    document.documentElement.dataset.violation = event.violatedDirective;
  });
  for (const root of document.querySelectorAll(".viewer")) {
    start(root).catch(() => root.replaceChildren("This browser cannot show the viewer: see the key images below."));
  }
})();
