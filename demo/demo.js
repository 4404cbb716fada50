// The page: where a picture comes from, what is shown of it, and what is said. The network itself lies in network.js.

const LARGEST = 4_000_000;  // pixels of a photo; larger ones are scaled down, or phones run out of memory
const BLOCKED = "The camera is blocked. Allow it for this page beside the browser's address, then press Webcam again.";
const CAMERA = {
  NotAllowedError: BLOCKED,
  SecurityError: BLOCKED,
  NotFoundError: "No camera was found. Connect one, or choose a photo.",
  NotReadableError: "The camera is in use by another program. Close that program, then press Webcam again.",
};
const NAMES = {
  cutout: "Cut-out", blur: "Blurred background", colour: "Colour as background", picture: "Picture as background",
  mask: "Mask", original: "Original",
};
// A module with one function, which gives back a vector: only an engine with SIMD finds it valid.
const SIMD = [
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11,
];

const $ = id => document.getElementById(id);
const view = $("view"), video = $("video");
const [photo, mask, ground] = [0, 1, 2].map(() => document.createElement("canvas"));
const photoContext = photo.getContext("2d", { willReadFrequently: true });

let mode = "cutout", answer = null, name = "picture";
let picture = evening();  // the background, until the reader chooses one
let turn = 0;         // counts the sources: what belongs to an earlier one is not shown any more
let stream = null;    // of the camera
let recent = [], told = 0;  // the last frames and what they took, milliseconds; when that was told last

function say(text, bad = false) {
  $("line").textContent = text;
  $("line").className = bad ? "bad" : "";
}

// --- The network, in a worker ----------------------------------------------------------------------------------------

let worker, last = Promise.resolve();

function start() {
  // A worker made from a blob obeys the Content-Security-Policy of this page; one made from a file would not.
  const script = `import { serve } from ${JSON.stringify(new URL("network.js", import.meta.url))}; serve(self);`;
  worker = new Worker(URL.createObjectURL(new Blob([script], { type: "text/javascript" })), { type: "module" });
}

/** What the worker answers to a message. It gets one at a time; the next one waits. */
function ask(message, transfer) {
  const reply = last.then(() => new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => (data.error ? reject(new Error(data.error)) : resolve(data));
    worker.onerror = () => reject(new Error("This browser cannot run the network. A newer version of it may."));
    worker.postMessage(message, transfer);
  }));
  last = reply.catch(() => {});
  return reply;
}

async function load(bytes, file) {
  const megabytes = (bytes.byteLength / 1e6).toFixed(1);
  say(`Loading the network, ${megabytes} MB and its runtime ...`);
  const { size, classes, about } = await ask({ model: bytes, name: file }, [bytes]);
  const parts = [`${file}, ${megabytes} MB`, `input ${size.join(" x ")} (height x width)`, classes.join(", ")];
  $("about").textContent = `Network: ${parts.join("; ")}. ${about}`;
  $("sources").disabled = $("modes").disabled = false;
}

// --- From a frame to what is seen ------------------------------------------------------------------------------------

/** Put a picture on the canvas that the network reads, transparent parts white. */
function lay(source, width, height) {
  if (photo.width !== width || photo.height !== height) Object.assign(photo, { width, height });
  photoContext.fillStyle = "white";
  photoContext.fillRect(0, 0, width, height);
  photoContext.imageSmoothingQuality = "high";
  photoContext.drawImage(source, 0, 0, width, height);
}

/** Segment what lies on that canvas and show it, unless another source has come meanwhile. */
async function segment(mine, live = false) {
  const started = performance.now(), { width, height } = photo;
  const pixels = photoContext.getImageData(0, 0, width, height).data;
  const blur = !live || mode === "blur";
  const now = await ask({ pixels, width, height, blur }, [pixels.buffer]);
  if (mine !== turn) return;
  answer = now;
  put(mask, new ImageData(now.mask, width, height));
  if (now.ground) put(ground, now.ground);
  draw();
  report(now.milliseconds, performance.now() - started, live);
}

/** How long it took: for the camera the median of the last frames, told twice a second. */
function report(network, all, live) {
  const now = performance.now();
  if (!live) recent = [];
  recent = [...recent.filter(frame => frame.at > now - 2000), { at: now, network, all }];
  if (live && now - told < 500) return;
  told = now;
  const median = key => recent.map(frame => frame[key]).sort((a, b) => a - b)[recent.length >> 1].toFixed(0);
  const times = [`network ${median("network")} ms`, `in all ${median("all")} ms`];
  const seconds = (now - recent[0].at) / 1000;
  const rate = (recent.length - 1) / seconds;
  if (live && seconds) times.push(`${rate.toFixed(rate < 10 ? 1 : 0)} frames per second`);
  $("times").textContent = [`${photo.width} x ${photo.height} pixels`, ...times].join(", ");
}

function put(canvas, image) {
  if (canvas.width !== image.width || canvas.height !== image.height) {
    Object.assign(canvas, { width: image.width, height: image.height });
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
}

/** Compose photo, mask and background on the visible canvas. */
function draw() {
  if (!answer || (mode === "blur" && !answer.ground)) return;  // the next frame will have one
  const { width, height } = photo, context = view.getContext("2d");
  if (view.width !== width || view.height !== height) Object.assign(view, { width, height });
  const layer = (operation, source) => {
    context.globalCompositeOperation = operation;
    context.imageSmoothingQuality = "high";
    if (typeof source === "string") { context.fillStyle = source; context.fillRect(0, 0, width, height); return; }
    const scale = Math.max(width / source.width, height / source.height);  // covers the frame, what is over is cropped
    const [w, h] = [source.width * scale, source.height * scale];
    context.drawImage(source, (width - w) / 2, (height - h) / 2, w, h);
  };
  if (mode === "original") {
    layer("copy", photo);
  } else {
    const behind = { mask: "black", blur: ground, colour: $("colour").value, picture }[mode];
    layer("copy", mask);
    if (mode !== "mask") layer("source-in", photo);
    if (behind) layer("destination-over", behind);
  }
  view.hidden = false;
  view.classList.toggle("mirrored", name === "webcam");  // what is saved is not
  view.setAttribute("aria-label", `${NAMES[mode]}. The person covers ${percent(answer.share)} of the picture.`);
  document.body.dataset.drawn = 1 + +(document.body.dataset.drawn ?? 0);
}

const percent = share => `${(100 * share).toFixed(0)} %`;

/** An evening sky. */
function evening() {
  const sky = Object.assign(document.createElement("canvas"), { width: 320, height: 240 });
  const context = sky.getContext("2d"), colours = context.createLinearGradient(0, 0, 0, 240);
  [[0, "#27406b"], [0.5, "#a86f8f"], [0.75, "#f2a65a"], [1, "#f7d488"]].forEach(stop => colours.addColorStop(...stop));
  context.fillStyle = colours;
  context.fillRect(0, 0, 320, 240);
  return sky;
}

// --- Where a picture comes from --------------------------------------------------------------------------------------

/** Show a still picture: an <img> that has been loaded. */
async function still(image, called) {
  const mine = stop(), pixels = image.naturalWidth * image.naturalHeight;
  const shrink = Math.min(1, Math.sqrt(LARGEST / pixels));
  const [width, height] = [image.naturalWidth, image.naturalHeight].map(side => Math.max(1, Math.floor(side * shrink)));
  const megapixels = `${(pixels / 1e6).toFixed(0)} megapixels`;
  const large = shrink < 1 ? ` It has ${megapixels} and was scaled down to ${width} x ${height}.` : "";
  lay(image, width, height);
  name = called;
  answer = null;
  await segment(mine);
  if (mine === turn) say(`${called}: the person covers ${percent(answer.share)} of the picture.${large}`);
}

async function loaded(address, called) {
  const image = new Image();
  image.src = address;
  try {
    await new Promise((resolve, reject) => Object.assign(image, { onload: resolve, onerror: reject }));
  } catch {
    throw new Error(`${called} is no picture that this browser can read. JPEG, PNG and WebP are.`);
  } finally {
    URL.revokeObjectURL(address);
  }
  if (!image.naturalWidth) throw new Error(`${called} has no size in pixels. Choose a JPEG or PNG.`);
  return image;
}

async function open(file) {
  if (!file) return;
  if (/\.onnx$/i.test(file.name)) {
    await load(await file.arrayBuffer(), file.name);
    if (!stream && answer) await segment(turn);
    say(`${file.name} is the network now.`);
    return;
  }
  await still(await loaded(URL.createObjectURL(file), file.name), file.name);
}

/** End the source of now; the number of the next one. */
function stop() {
  stream?.getTracks().forEach(track => track.stop());
  stream = null;
  video.srcObject = null;
  recent = [];
  $("webcam").textContent = "Webcam";
  $("webcam").setAttribute("aria-pressed", "false");
  return ++turn;
}

async function webcam() {
  if (stream) {  // the last frame stays, as a still picture
    const mine = stop();
    if (answer) await segment(mine);
    say("The webcam is off. Its last frame stays here.");
    return;
  }
  if (!navigator.mediaDevices) throw new Error("Browsers open the camera on https pages and on http://127.0.0.1 only.");
  let own;
  try {
    own = await navigator.mediaDevices.getUserMedia({ video: { width: 640, height: 480, facingMode: "user" } });
  } catch (error) {
    throw new Error(CAMERA[error.name] ?? `The camera cannot be used (${error.message || error.name}).`);
  }
  const mine = stop();
  stream = own;
  name = "webcam";
  $("webcam").textContent = "Stop";
  $("webcam").setAttribute("aria-pressed", "true");
  say("The webcam is on. Its pictures stay in this page.");
  own.getVideoTracks()[0].onended = () => { stop(); say("The camera has stopped.", true); };
  video.srcObject = own;
  try {
    await video.play();
    await play(mine);
  } catch (error) {
    if (mine !== turn) return;  // stopped before it began
    stop();
    throw error;
  }
}

/** Segment the newest frame, again and again: frames that come while the network computes are left out. */
async function play(mine) {
  let fresh = true, wake = () => {};
  const next = video.requestVideoFrameCallback?.bind(video) ?? requestAnimationFrame;
  const arrived = () => {
    fresh = true;
    wake();
    if (mine === turn) next(arrived);
  };
  next(arrived);
  while (mine === turn) {
    if (!fresh) await new Promise(resolve => { wake = resolve; });
    fresh = false;
    if (mine !== turn) return;
    lay(video, video.videoWidth, video.videoHeight);
    await segment(mine, true);
  }
}

// --- What the reader does --------------------------------------------------------------------------------------------

/** An event's work, whose errors become the line that is read. */
const handle = work => async event => {
  try { await work(event); } catch (error) { say(error.message, true); }
};

$("choose").onclick = () => $("file").click();
$("file").onchange = handle(async () => {
  const [file] = $("file").files;
  $("file").value = "";  // the same file may be chosen again
  await open(file);
});
$("webcam").onclick = handle(webcam);
const astronaut = async () => still(await loaded("astronaut.jpg", "The astronaut"), "The astronaut");
$("astronaut").onclick = handle(astronaut);

$("modes").onchange = handle(async event => {
  if (event.target.name !== "mode") return;
  mode = event.target.value;
  $("colours").hidden = mode !== "colour";
  $("behind").hidden = mode !== "picture";
  if (!stream) draw();
});
$("colour").oninput = draw;
$("behind").onclick = () => $("ground").click();
$("ground").onchange = handle(async () => {
  const [file] = $("ground").files;
  if (!file) return;
  const image = await loaded(URL.createObjectURL(file), file.name);
  const scale = Math.min(1, 2000 / Math.max(image.naturalWidth, image.naturalHeight));
  picture = document.createElement("canvas");
  picture.width = Math.max(1, image.naturalWidth * scale);
  picture.height = Math.max(1, image.naturalHeight * scale);
  picture.getContext("2d").drawImage(image, 0, 0, picture.width, picture.height);
  draw();
});
$("save").onclick = () => view.toBlob(blob => {
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob) });
  link.download = `${name.replace(/\.[^.]*$/, "").replaceAll(" ", "_")}_${mode}.png`;
  link.click();
  URL.revokeObjectURL(link.href);
});

document.ondragover = event => { event.preventDefault(); $("stage").classList.add("over"); };
document.ondragleave = () => $("stage").classList.remove("over");
document.ondrop = handle(async event => {
  event.preventDefault();
  $("stage").classList.remove("over");
  await open(event.dataTransfer.files[0]);
});
document.onpaste = handle(async event => open(event.clipboardData.files[0]));

handle(async () => {
  if (typeof WebAssembly === "undefined") {
    throw new Error("WebAssembly is switched off in this browser, and the network cannot run without it.");
  }
  if (!WebAssembly.validate(new Uint8Array(SIMD))) {
    throw new Error("This browser has no WebAssembly SIMD, which the network needs. A newer browser or machine has.");
  }
  start();
  const response = await fetch("model.onnx");
  if (!response.ok) throw new Error(`model.onnx is missing beside this page (the server says ${response.status}).`);
  await load(await response.arrayBuffer(), "model.onnx");
  await astronaut();
})();
