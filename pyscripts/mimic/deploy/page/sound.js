// Samples as WAV files and as pictures.

/** Float32Arrays of one channel -> a 16-bit WAV file. */
export function toWav(parts, rate) {
  const count = parts.reduce((sum, part) => sum + part.length, 0);
  const view = new DataView(new ArrayBuffer(44 + 2 * count));
  const text = (at, word) => [...word].forEach((c, i) => view.setUint8(at + i, c.charCodeAt(0)));
  text(0, "RIFF"); view.setUint32(4, 36 + 2 * count, true); text(8, "WAVEfmt ");
  view.setUint32(16, 16, true); view.setUint16(20, 1, true); view.setUint16(22, 1, true);
  view.setUint32(24, rate, true); view.setUint32(28, 2 * rate, true);
  view.setUint16(32, 2, true); view.setUint16(34, 16, true);
  text(36, "data"); view.setUint32(40, 2 * count, true);
  let at = 44;
  for (const part of parts) {
    for (const x of part) {
      view.setInt16(at, Math.max(-32768, Math.min(32767, Math.round(32768 * x))), true);
      at += 2;
    }
  }
  return new Blob([view], { type: "audio/wav" });
}

/** Samples of a 16-bit mono WAV file. */
export function fromWav(bytes) {
  const view = new DataView(bytes.buffer), rate = view.getUint32(24, true);
  const samples = new Float32Array((bytes.length - 44) / 2);
  for (let i = 0; i < samples.length; i++) samples[i] = view.getInt16(44 + 2 * i, true) / 32768;
  return { samples, rate };
}

const SIZE = 512, TOP = 8000, RANGE = 70;

/** Fourier transform in place, of SIZE points. */
function transform(re, im) {
  for (let i = 1, j = 0; i < SIZE; i++) {
    let bit = SIZE >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) { [re[i], re[j]] = [re[j], re[i]]; [im[i], im[j]] = [im[j], im[i]]; }
  }
  for (let span = 2; span <= SIZE; span *= 2) {
    for (let k = 0; k < span / 2; k++) {
      const c = Math.cos(2 * Math.PI * k / span), s = -Math.sin(2 * Math.PI * k / span);
      for (let a = k; a < SIZE; a += span) {
        const b = a + span / 2, x = re[b] * c - im[b] * s, y = re[b] * s + im[b] * c;
        re[b] = re[a] - x; im[b] = im[a] - y; re[a] += x; im[a] += y;
      }
    }
  }
}

/** Levels in dB, columns of frames, lowest frequency first. */
export function spectrogram({ samples, rate }, columns) {
  const bins = Math.min(SIZE / 2, Math.ceil(TOP * SIZE / rate));
  const levels = [];
  for (let c = 0; c < columns; c++) {
    const start = Math.floor(c / columns * samples.length) - SIZE / 2;
    const re = new Float64Array(SIZE), im = new Float64Array(SIZE);
    for (let i = 0; i < SIZE; i++) {
      re[i] = (samples[start + i] || 0) * (0.5 - 0.5 * Math.cos(2 * Math.PI * i / SIZE));
    }
    transform(re, im);
    levels.push(Array.from({ length: bins }, (_, k) => 10 * Math.log10(re[k] ** 2 + im[k] ** 2 + 1e-10)));
  }
  return levels;
}

/** Draws levels, `peak` dB the brightest. */
export function draw(canvas, levels, peak) {
  const context = canvas.getContext("2d");
  [canvas.width, canvas.height] = [levels.length, levels[0].length];
  const image = context.createImageData(canvas.width, canvas.height);
  levels.forEach((column, x) => column.forEach((level, k) => {
    const t = Math.max(0, Math.min(1, 1 + (level - peak) / RANGE));
    const at = 4 * ((canvas.height - 1 - k) * canvas.width + x);
    image.data.set([255 * Math.min(1, 1.6 * t), 255 * t ** 2, 255 * (0.35 * Math.sin(Math.PI * t) + 0.6 * t ** 6), 255], at);
  }));
  context.putImageData(image, 0, 0);
}
