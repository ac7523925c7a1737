// The interactive 3D view, where the page was built with NiiVue (make viewer).
function volume3d(viewer, bar) {
  const { data } = viewer;
  if (typeof niivue === "undefined") {
    make("span", bar, { className: "hint", textContent: "No 3D view: this page was built without NiiVue (make viewer)." });
    return;
  }
  const place = make("div", viewer.root, { className: "volume3d", hidden: true });
  let view = null;
  const shown = button(bar, "3D view", async () => {
    place.hidden = !place.hidden;
    shown.textContent = place.hidden ? "3D view" : "Close 3D view";
    if (place.hidden) return;
    try {
      view ??= await open();
      view.fill();
    } catch {
      place.textContent = "No 3D view: this browser has no WebGL2. The slices above show all there is.";
    }
  });

  async function open() {
    const canvas = make("canvas", place), { low, high } = viewer;
    if (!canvas.getContext("webgl2")) throw new Error("no WebGL2");
    const nv = new niivue.Niivue({
      isRadiologicalConvention: true, sagittalNoseLeft: true, isOrientationTextVisible: data.known, crosshairWidth: 0.3, crosshairColor: [1, 1, 1, 0.5],
      fontMinPx: 18, fontColor: [1, 0.77, 0.3, 1],
    });
    await nv.attachToCanvas(canvas);
    const grid = { axes: [0, 1, 2], signs: [1, 1, 1], affine: affine(), known: true };
    // Of one byte a voxel, in the window of now: NiiVue knows no table of levels.
    const bytes = viewer.image.map((code) => viewer.shades[code] & 255);
    await nv.loadFromArrayBuffer(nifti(bytes, data.shape, grid).buffer, "scan.nii");
    await nv.loadFromArrayBuffer(nifti(viewer.labels, data.shape, grid).buffer, "labels.nii");
    Object.assign(nv.volumes[0], { cal_min: 0, cal_max: 255 });  // the window is in the bytes already
    const table = { R: [0], G: [0], B: [0], A: [0], I: [0], labels: ["background"] };
    for (const { value, name, color } of data.structures) {
      ["R", "G", "B"].forEach((key, i) => table[key].push(color[i]));
      table.A.push(255); table.I.push(value); table.labels.push(name);
    }
    nv.volumes[1].setColormapLabel(table);
    nv.setOpacity(1, 0.6);
    nv.setSliceType(nv.sliceTypeMultiplanar);
    nv.setMultiplanarLayout?.(2);
    return {
      fill() {
        nv.volumes[1].img.set(viewer.labels);
        nv.updateGLVolume();
        place.dataset.ready = "true";
      },
    };
  }

  function affine() {
    const { spacing, origin } = data;
    return [[spacing[0], 0, 0, origin[0]], [0, spacing[1], 0, origin[1]], [0, 0, spacing[2], origin[2]], [0, 0, 0, 1]];
  }
}
