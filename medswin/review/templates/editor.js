// Correcting outlines with a brush: on the slice that is seen, or a ball through its neighbours.
class Editor {
  constructor(viewer, bar, voxelMl) {
    Object.assign(this, { viewer, voxelMl, active: false, erase: false, ball: false, strokes: [] });
    this.before = viewer.labels.slice();
    const count = new Map(viewer.data.structures.map(({ value }) => [value, 0]));
    for (const value of this.before) if (value) count.set(value, count.get(value) + 1);
    this.voxels = count;
    this.changed = new Map([...count.keys()].map((value) => [value, 0]));  // voxels that a structure gained or lost
    this.value = viewer.data.structures[0].value;
    const least = Math.min(...viewer.data.spacing) / 2, most = Math.max(10 * least, 15);
    this.radius = Math.min(most, 3 * least);
    this.build(bar, [least, most, least / 2]);
    viewer.editor = this;
  }

  build(bar, ends) {
    this.start = button(bar, "Correct outlines", () => this.set(!this.active));
    this.tools = make("span", bar, { className: "tools", hidden: true });
    const names = this.viewer.data.structures.map(({ value, name }) => [value, name]);
    this.picked = choice(this.tools, "Structure", names, (value) => { this.value = Number(value); });
    this.mode = choice(this.tools, "Brush", [["paint", "paints"], ["erase", "erases"]], (mode) => {
      this.erase = mode === "erase";
    });
    choice(this.tools, "on", [["slice", "this slice"], ["ball", "a ball"]], (kind) => { this.ball = kind === "ball"; });
    const label = make("label", this.tools, { textContent: "Radius" });
    const said = make("output", label), tell = () => { said.textContent = ` ${this.radius.toFixed(1)} mm`; };
    this.size = slider(label, "Brush radius", ends, this.radius, (mm) => { this.radius = mm; tell(); });
    this.size.after(said);
    this.tellRadius = tell;
    tell();
    this.back = button(this.tools, "Undo", () => this.undo());
    this.back.disabled = true;
    make("span", this.tools, { className: "hint", textContent: "Shift moves the crosshair instead." });
  }

  set(active) {
    this.active = active;
    this.tools.hidden = !active;
    this.start.textContent = active ? "Stop correcting" : "Correct outlines";
    this.viewer.root.classList.toggle("editing", active);
  }

  key(name) {
    if (name === "e") this.set(!this.active);
    else if (!this.active) return false;
    else if (name === "u") this.undo();
    else if (name === "x") { this.erase = !this.erase; this.mode.value = this.erase ? "erase" : "paint"; }
    else if (name === "[" || name === "]") {
      name === "[" ? this.size.stepDown() : this.size.stepUp();
      this.radius = Number(this.size.value);
      this.tellRadius();
    } else return false;
    return true;
  }

  stroke(plane, place, first) {
    if (first || !this.open) { this.open = { at: [], old: [] }; this.last = place; }
    const { spacing } = this.viewer.data;
    const away = Math.hypot(...place.map((value, axis) => (value - this.last[axis]) * spacing[axis]));
    const steps = Math.max(1, Math.ceil(away / (this.radius / 2)));
    for (let i = 1; i <= steps; i++) {
      this.dab(plane, place.map((value, axis) => this.last[axis] + ((value - this.last[axis]) * i) / steps));
    }
    this.last = place;
    this.viewer.draw();
  }

  dab(plane, middle) {
    const { spacing } = this.viewer.data, { box } = this.viewer;
    const [xs, ys, zs] = middle.map((value, axis) => {
      const reach = axis === plane.axis && !this.ball ? 0 : this.radius / spacing[axis];
      // The voxel below the brush is always taken, however small the brush is.
      const first = Math.min(Math.round(value), Math.ceil(value - reach));
      const last = Math.max(Math.round(value), Math.floor(value + reach));
      return [Math.max(box[axis][0], first), Math.min(box[axis][1] - 1, last)];  // what is not shown is not painted
    });
    const nearest = middle.map(Math.round), far = (at, axis) => ((at - middle[axis]) * spacing[axis]) ** 2;
    for (let z = zs[0]; z <= zs[1]; z++) for (let y = ys[0]; y <= ys[1]; y++) for (let x = xs[0]; x <= xs[1]; x++) {
      const below = x === nearest[0] && y === nearest[1] && z === nearest[2];
      if (below || far(x, 0) + far(y, 1) + far(z, 2) <= this.radius ** 2) this.put(x, y, z);
    }
  }

  put(x, y, z) {
    const { stride, labels } = this.viewer, i = x + y * stride[1] + z * stride[2], old = labels[i];
    if (old === (this.erase ? 0 : this.value) || (this.erase && old !== this.value)) return;
    this.open.at.push(i);
    this.open.old.push(old);
    this.write(i, this.erase ? 0 : this.value);
  }

  write(i, value) {
    const { labels } = this.viewer, old = labels[i], was = this.before[i];
    for (const [one, held, holds] of [[old, true, false], [value, false, true]]) {
      if (!one) continue;
      this.voxels.set(one, this.voxels.get(one) + (holds ? 1 : -1));
      const differed = (was === one) !== held, differs = (was === one) !== holds;
      this.changed.set(one, this.changed.get(one) + (differs ? 1 : 0) - (differed ? 1 : 0));
    }
    labels[i] = value;
  }

  lift() {
    if (!this.open) return;
    if (this.open.at.length) this.strokes.push(this.open);
    this.open = null;
    this.tell();
  }

  undo() {
    this.lift();
    const stroke = this.strokes.pop();
    if (!stroke) return;
    for (let i = stroke.at.length - 1; i >= 0; i--) this.write(stroke.at[i], stroke.old[i]);
    this.viewer.draw();
    this.tell();
  }

  tell() {
    this.back.disabled = !this.strokes.length;
    this.viewer.root.dispatchEvent(new CustomEvent("edited"));
  }

  ml(value) { return this.voxels.get(value) * this.voxelMl; }

  // Voxels whose value is another one than before.
  get total() {
    let count = 0;
    for (let i = 0; i < this.before.length; i++) if (this.before[i] !== this.viewer.labels[i]) count++;
    return count;
  }
}
