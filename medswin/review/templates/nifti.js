// A label map as NIfTI-1, gzipped, on the scan's own array: `turned` lies in closest RAS+ axes, x running fastest.
function nifti(turned, shape, { axes, signs, affine, known }) {
  const size = axes.map((axis) => shape[axis]), bytes = new Uint8Array(352 + turned.length);
  const head = new DataView(bytes.buffer);
  head.setInt32(0, 348, true);
  [3, ...size, 1, 1, 1, 1].forEach((n, i) => head.setInt16(40 + 2 * i, n, true));
  head.setInt16(70, 2, true);  // uint8
  head.setInt16(72, 8, true);
  const side = [0, 1, 2].map((column) => Math.hypot(...[0, 1, 2].map((row) => affine[row][column])));
  [1, ...side, 0, 0, 0, 0].forEach((mm, i) => head.setFloat32(76 + 4 * i, mm, true));
  head.setFloat32(108, 352, true);
  head.setFloat32(112, 1, true);
  bytes[123] = 2;  // mm
  head.setInt16(254, known ? 1 : 0, true);  // sform: where the scanner says; none where the scan has none
  if (known) affine.slice(0, 3).flat().forEach((value, i) => head.setFloat32(280 + 4 * i, value, true));
  bytes.set([110, 43, 49, 0], 344);  // n+1
  // How far one goes in `turned` for a step along each stored axis, and where the stored array begins in it.
  const strides = [1, shape[0], shape[0] * shape[1]];
  const step = axes.map((axis, i) => signs[i] * strides[axis]);
  const first = axes.reduce((sum, axis, i) => sum + (signs[i] < 0 ? (shape[axis] - 1) * strides[axis] : 0), 0);
  let to = 352;
  for (let k = 0; k < size[2]; k++) {
    for (let j = 0; j < size[1]; j++) {
      let from = first + k * step[2] + j * step[1];
      for (let i = 0; i < size[0]; i++, from += step[0]) bytes[to++] = turned[from];
    }
  }
  return bytes;
}

function gzipped(bytes) {
  return new Response(new Blob([bytes]).stream().pipeThrough(new CompressionStream("gzip"))).blob();
}
