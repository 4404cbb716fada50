// What `Segmenter.predict` does in Python, for the ONNX file that `faceseg export` writes: photo in, mask out.
// demo.js runs it in a worker, so that the page answers while the network computes.

import * as ort from "./vendor/onnxruntime-web/ort.wasm.bundle.min.mjs";

const RUNTIME = new URL("./vendor/onnxruntime-web/ort-wasm-simd-threaded.wasm.gz", import.meta.url);

/** The `metadata_props` of an ONNX file as {key: value}: field 14 of the protocol buffer, each with key 1, value 2. */
export function metadata(bytes) {
  const props = {}, text = new TextDecoder();
  for (const [field, value] of fields(bytes)) {
    if (field !== 14) continue;
    const [key, content] = Array.from(fields(value), ([, part]) => text.decode(part));
    props[key] = content ?? "";
  }
  return props;
}

/** [number, bytes] of each field of a protocol buffer; numbers that it holds are passed over. */
function* fields(bytes) {
  let at = 0;
  const varint = () => {
    for (let value = 0, factor = 1; at < bytes.length; factor *= 128) {
      const byte = bytes[at++];
      value += (byte & 127) * factor;
      if (byte < 128) return value;
    }
    throw new Error("it ends too early");
  };
  while (at < bytes.length) {
    const tag = varint(), kind = tag & 7;
    if (kind === 0) { varint(); continue; }
    const length = kind === 2 ? varint() : kind === 1 ? 8 : kind === 5 ? 4 : NaN;
    if (!(at + length <= bytes.length)) throw new Error("it is damaged");
    yield [Math.floor(tag / 8), bytes.subarray(at, at += length)];
  }
}

/** One axis: which of `from` old pixels make up each of `to` new ones. Box: the mean of what a pixel covers; else
 *  bilinear, which where it shrinks widens to the old pixels that lie between (as torch's `antialias`). */
function taps(from, to, box) {
  const step = from / to, reach = box ? step / 2 : Math.max(1, step), count = Math.ceil(2 * reach) + 1;
  const first = new Int32Array(to), weights = new Float32Array(to * count);
  for (let i = 0; i < to; i++) {
    const centre = (i + 0.5) * step;
    first[i] = Math.max(0, Math.min(from - count, Math.floor(centre - reach)));
    let sum = 0;
    for (let k = 0; k < count; k++) {
      const j = first[i] + k;
      const covered = Math.min(j + 1, centre + reach) - Math.max(j, centre - reach);
      const weight = j < from ? Math.max(0, box ? covered : 1 - Math.abs(j + 0.5 - centre) / reach) : 0;
      sum += weights[i * count + k] = weight;
    }
    for (let k = 0; k < count; k++) weights[i * count + k] /= sum;
  }
  return { count, first, weights };
}

/** A plane [H, W] scaled to [h, w]; in `source` its values lie `stride` apart, from `offset` on. */
export function resample(source, [H, W], [h, w], box, stride = 1, offset = 0) {
  const across = taps(W, w, box), down = taps(H, h, box);
  const rows = new Float32Array(H * w), out = new Float32Array(h * w);
  for (let y = 0; y < H; y++) {
    for (let x = 0; x < w; x++) {
      let sum = 0, at = (y * W + across.first[x]) * stride + offset;
      const most = Math.min(across.count, W - across.first[x]);
      for (let k = 0; k < most; k++, at += stride) sum += across.weights[x * across.count + k] * source[at];
      rows[y * w + x] = sum;
    }
  }
  for (let y = 0; y < h; y++) {
    const most = Math.min(down.count, H - down.first[y]);
    for (let k = 0; k < most; k++) {
      const weight = down.weights[y * down.count + k], row = (down.first[y] + k) * w;
      if (weight) for (let x = 0; x < w; x++) out[y * w + x] += weight * rows[row + x];
    }
  }
  return out;
}

const round = x => (x % 1 === 0.5 ? 2 * Math.round(x / 2) : Math.round(x));  // half to even, as Python rounds
const sigmoid = x => 1 / (1 + Math.exp(-x));
const logit = p => { const q = Math.min(Math.max(p, 1e-7), 1 - 1e-7); return Math.log(q / (1 - q)); };

/** Where a photo of [H, W] lies in the network's input: scaled until it touches, centred. */
export function letterbox([H, W], [height, width]) {
  const scale = Math.min(height / H, width / W);
  const h = Math.max(1, round(H * scale)), w = Math.max(1, round(W * scale));
  return { h, w, top: Math.floor((height - h) / 2), left: Math.floor((width - w) / 2), shrinks: scale < 1 };
}

/** The photo's colours out of focus behind the person, planes [h, w] -> RGBA bytes. The person has no weight in it
 *  and so leaves no halo. Three running means along each axis come close to a Gaussian. */
export function outOfFocus(planes, person, h, w) {
  const radius = Math.max(1, Math.round(Math.max(h, w) / 40));
  const smooth = plane => {
    for (let pass = 0; pass < 6; pass++) plane = pass % 2 ? means(plane, w, h, radius) : means(plane, h, w, radius);
    return plane;
  };
  const weights = person.map(p => 1.001 - p);  // never 0: far inside the person there is nothing else to go by
  const total = smooth(weights), out = new Uint8ClampedArray(4 * h * w).fill(255);
  planes.forEach((plane, c) => {
    const sums = smooth(plane.map((value, i) => value * weights[i]));
    for (let i = 0; i < h * w; i++) out[4 * i + c] = sums[i] / total[i];
  });
  return out;
}

/** Running means along the rows of [h, w], transposed: [w, h]. Beyond the frame its last pixel goes on. */
function means(plane, h, w, radius) {
  const out = new Float32Array(h * w), size = 2 * radius + 1;
  for (let y = 0; y < h; y++) {
    const value = x => plane[y * w + Math.max(0, Math.min(w - 1, x))];
    let sum = 0;
    for (let x = -radius; x < radius; x++) sum += value(x);
    for (let x = 0; x < w; x++) {
      sum += value(x + radius);
      out[x * h + y] = sum / size;
      sum -= value(x - radius);
    }
  }
  return out;
}

async function runtime() {
  const response = await fetch(RUNTIME);
  if (!response.ok) throw new Error(`${RUNTIME.pathname} is missing on the server (${response.status})`);
  const bytes = new Uint8Array(await response.arrayBuffer());
  if (bytes[0] !== 0x1f) return bytes;  // some servers unpack it on the way
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
}

/** An ONNX file of `faceseg export`, ready to be asked. */
export class Network {
  static async load(bytes, name) {
    let about;
    try { about = metadata(bytes); } catch { throw new Error(`${name} is not an ONNX file, or it is damaged.`); }
    const network = new Network();
    try {
      network.size = JSON.parse(about.size);  // height, width
      network.classes = JSON.parse(about.classes);
    } catch {
      throw new Error(`${name} does not say how it is to be used. This page takes what "faceseg export" writes.`);
    }
    network.about = about.about ?? "";
    ort.env.wasm.numThreads = 1;  // more would need headers that a static host does not send, and bring little
    ort.env.wasm.wasmBinary ??= await runtime();
    try {
      network.session = await ort.InferenceSession.create(bytes, { executionProviders: ["wasm"] });
    } catch (error) {
      throw new Error(`${name} cannot be run here (${String(error.message ?? error).split("\n")[0].slice(0, 120)}).`);
    }
    const { inputNames, outputNames, inputMetadata: [given], outputMetadata: [answer] } = network.session;
    const fits = inputNames.join() === "photo" && outputNames.join() === "probability" && given.type === "float32"
      && given.shape.slice(1).join() === `3,${network.size}` && answer.shape.slice(2).join() === `${network.size}`;
    if (!fits) {
      const wanted = `"photo" of 3 x ${network.size.join(" x ")} to "probability"`;
      throw new Error(`${name} goes from "${inputNames}" to "${outputNames}", this page needs ${wanted}.`);
    }
    await network.predict(new Uint8ClampedArray(4 * 480 * 640), [480, 640]);  // the first run is slower than all others
    return network;
  }

  /** RGBA bytes of [H, W] -> the logits of the person [H, W], and what they were made of at the network's size.
   *  Of K classes all but the first, the background, count as person. */
  async predict(rgba, [H, W]) {
    const [height, width] = this.size, { h, w, top, left, shrinks } = letterbox([H, W], this.size);
    const input = new Float32Array(3 * height * width);  // padded with 0
    const planes = [0, 1, 2].map(c => resample(rgba, [H, W], [h, w], shrinks, 4, c).map(Math.round));
    planes.forEach((plane, c) => {
      for (let y = 0; y < h; y++) {
        input.set(plane.subarray(y * w, (y + 1) * w), (c * height + top + y) * width + left);
      }
    });
    const started = performance.now();
    const { probability } = await this.session.run({ photo: new ort.Tensor("float32", input, [1, 3, height, width]) });
    const milliseconds = performance.now() - started, person = new Float32Array(h * w);
    for (let y = 0; y < h; y++) {
      for (let x = 0; x < w; x++) {
        const p = probability.data[(top + y) * width + left + x];
        person[y * w + x] = probability.dims[1] === 1 ? p : 1 - p;
      }
    }
    if (!person.every(p => p >= -1e-5 && p <= 1 + 1e-5)) {
      throw new Error("The network answers what is no probability: damaged weights, or a training that diverged.");
    }
    const logits = resample(person.map(logit), [h, w], [H, W], false);
    return { logits, planes, person, h, w, milliseconds };
  }
}

/** White in the person's opacity, RGBA bytes, and the share of the photo that is person.
 *  As `cut_out` in Python: only probabilities between 0.1 and 0.9, those of the border, are see-through. */
export function opacity(logits) {
  const mask = new Uint8ClampedArray(4 * logits.length).fill(255), most = logit(0.9);
  let inside = 0;
  for (let i = 0; i < logits.length; i++) {
    const x = logits[i];
    if (x > 0) inside++;
    if (x < most) mask[4 * i + 3] = x > -most ? (sigmoid(x) - 0.1) * (255 / 0.8) : 0;
  }
  return { mask, share: inside / logits.length };
}

/** Answers the messages of the page, one at a time: {model, name}, or {pixels, height, width, blur}. */
export function serve(scope) {
  let network;
  scope.onmessage = async ({ data }) => {
    try {
      if (data.model) {
        network = await Network.load(new Uint8Array(data.model), data.name);
        scope.postMessage({ size: network.size, classes: network.classes, about: network.about });
        return;
      }
      const size = [data.height, data.width];
      const { logits, planes, person, h, w, milliseconds } = await network.predict(data.pixels, size);
      const answer = { ...opacity(logits), milliseconds };
      if (data.blur) answer.ground = new ImageData(outOfFocus(planes, person, h, w), w, h);
      scope.postMessage(answer, [answer.mask.buffer]);
    } catch (error) {
      scope.postMessage({ error: error.message || String(error) });
    }
  };
}
