// The page's side of widgets.MaskOverlay: a canvas that is blended here, without asking the kernel.
// `decide`, `errorKinds` and `blend` give byte for byte what the functions of the same meaning give in Python;
// tests/unit/test_widgets.py compares them.

const IGNORE = 255;

/** Class of every pixel from levels 0..255 of [C, H, W]: person where 1 - P(background) passes the threshold. */
export function decide(levels, channels, threshold) {
  const pixels = levels.length / channels, classes = new Uint8Array(pixels), limit = threshold * 255;
  for (let i = 0; i < pixels; i++) {
    if (channels === 1) { classes[i] = levels[i] > limit ? 1 : 0; continue; }
    if (255 - levels[i] <= limit) continue;
    let best = 1;
    for (let c = 2; c < channels; c++) if (levels[c * pixels + i] > levels[best * pixels + i]) best = c;
    classes[i] = best;
  }
  return classes;
}

/** 0 right or not counted, 1 missed, 2 invented, 3 another class. */
export function errorKinds(prediction, truth) {
  return prediction.map((p, i) => {
    const t = truth[i];
    if (t === IGNORE || p === t) return 0;
    return p === 0 ? 1 : t === 0 ? 2 : 3;
  });
}

/** RGBA bytes of a mask laid over a photo [H, W, 3]. Only the classes in `visible` are drawn. */
export function blend(photo, mask, palette, opacity, visible, grey = false) {
  const f = Math.fround, out = new Uint8ClampedArray(mask.length * 4);
  const weights = new Float32Array(256), tables = {};
  for (const c of visible) weights[c] = opacity;
  for (const c of visible) {  // what a channel becomes: worked out once for its 256 values, not for every pixel
    const keep = f(1 - weights[c]);
    tables[c] = [0, 1, 2].map(k => {
      const add = f(f(palette[3 * c + k]) * weights[c]);
      return Uint8ClampedArray.from({ length: 256 }, (_, v) => f(f(v * keep) + add));  // rounds half to even, as numpy
    });
  }
  for (let i = 0, n = mask.length; i < n; i++) {
    let r = photo[3 * i], g = photo[3 * i + 1], b = photo[3 * i + 2];
    if (grey) r = g = b = Math.floor((r + g + b) / 3);
    const table = tables[mask[i]];
    if (table) { r = table[0][r]; g = table[1][g]; b = table[2][b]; }
    out[4 * i] = r; out[4 * i + 1] = g; out[4 * i + 2] = b; out[4 * i + 3] = 255;
  }
  return out;
}

/** What the canvas shows for a state {photo, truth, levels, channels, layer, ...}: RGBA bytes. */
export function paint(state) {
  const { photo, truth, levels, channels, threshold, layer, palette, errorPalette, opacity, visible } = state;
  if (layer === "photo") return blend(photo, truth, palette, 0, []);
  if (layer === "true mask") return blend(photo, truth, palette, opacity, visible);
  const prediction = decide(levels, channels, threshold);
  if (layer === "prediction") return blend(photo, prediction, palette, opacity, visible);
  return blend(photo, errorKinds(prediction, truth), errorPalette, opacity, [1, 2, 3], true);
}

const FIT = 540;  // at zoom 1 a picture is at most this wide, in CSS pixels
const REDRAW = ["photo", "truth", "levels", "threshold", "layer", "opacity", "visible"];

function render({ model, el }) {
  const bytes = name => {
    const value = model.get(name);
    return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  };
  const make = (tag, parent, properties = {}) => {
    const node = Object.assign(document.createElement(tag), properties);
    parent.append(node);
    return node;
  };
  const set = (name, value) => { model.set(name, value); model.save_changes(); };
  const [width, height] = model.get("size"), names = model.get("names");

  const root = make("div", el, { className: "faceseg-overlay" });
  const side = make("div", root, { className: "faceseg-side" });  // first: a picture that grows does not move it
  const frame = make("div", root, { className: "faceseg-frame" });
  const canvas = make("canvas", frame, { width, height, tabIndex: 0 });
  canvas.setAttribute("role", "img");
  canvas.dataset.lmSuppressShortcuts = "true";
  const context = canvas.getContext("2d");

  const state = () => ({
    photo: bytes("photo"), truth: bytes("truth"), levels: bytes("levels"), channels: model.get("channels"),
    palette: model.get("palette").flat(), errorPalette: model.get("error_palette").flat(),
    threshold: model.get("threshold"), layer: model.get("layer"), opacity: model.get("opacity"),
    visible: model.get("visible"),
  });
  const draw = () => {
    const now = state();
    context.putImageData(new ImageData(paint(now), width, height), 0, 0);
    canvas.setAttribute("aria-label", `${now.layer} at threshold ${now.threshold.toFixed(2)}. ${model.get("description")}`);
    root.dataset.drawn = +(root.dataset.drawn || 0) + 1;  // a test can wait for it, then read the canvas
    classBox.disabled = now.layer === "photo" || now.layer === "error map";
  };

  const slider = (name, label, maximum = 1, step = 0.01) => {
    const row = make("label", side, { className: "faceseg-row" });
    make("span", row, { textContent: label });
    const input = make("input", row, { type: "range", min: step === 1 ? 1 : 0, max: maximum, step });
    const value = make("span", row);
    value.setAttribute("aria-hidden", "true");
    input.setAttribute("aria-label", label);
    input.dataset.lmSuppressShortcuts = "true";  // or JupyterLab takes its arrow keys
    const follow = () => {
      input.value = model.get(name);
      value.textContent = step === 1 ? `${model.get(name)}x` : (+model.get(name)).toFixed(2);
      input.setAttribute("aria-valuetext", value.textContent);
    };
    input.addEventListener("input", () => set(name, +input.value));
    model.on(`change:${name}`, follow);
    stops.push([`change:${name}`, follow]);
    follow();
  };
  const stops = [];

  const layerBox = make("fieldset", side);
  make("legend", layerBox, { textContent: "show" });
  const group = `layer-${Math.random().toString(36).slice(2)}`;
  const radios = model.get("layers").map(layer => {
    const label = make("label", layerBox);
    const radio = make("input", label, { type: "radio", name: group, value: layer });
    radio.dataset.lmSuppressShortcuts = "true";
    label.append(` ${layer}`);
    radio.addEventListener("change", () => set("layer", layer));
    return radio;
  });
  const followLayer = () => radios.forEach(radio => { radio.checked = radio.value === model.get("layer"); });
  followLayer();
  stops.push(["change:layer", followLayer]);
  model.on("change:layer", followLayer);

  slider("threshold", "threshold");
  slider("opacity", "opacity");
  slider("zoom", "zoom", 6, 1);

  const classBox = make("fieldset", side);
  make("legend", classBox, { textContent: "classes" });
  const boxes = names.map((name, c) => {
    if (c === 0) return null;  // background stays clear
    const label = make("label", classBox);
    const box = make("input", label, { type: "checkbox" });
    box.dataset.lmSuppressShortcuts = "true";
    const swatch = make("span", label, { className: "faceseg-swatch" });
    swatch.style.background = `rgb(${model.get("palette")[c]})`;
    label.append(` ${name}`);
    box.addEventListener("change", () => {
      const chosen = new Set(model.get("visible"));
      if (box.checked) chosen.add(c); else chosen.delete(c);
      set("visible", [...chosen].sort((a, b) => a - b));
    });
    return box;
  });
  const followClasses = () => boxes.forEach((box, c) => { if (box) box.checked = model.get("visible").includes(c); });
  followClasses();
  stops.push(["change:visible", followClasses]);
  model.on("change:visible", followClasses);

  const legend = make("div", side, { className: "faceseg-legend", hidden: !model.get("layers").includes("error map") });
  model.get("error_names").forEach((name, k) => {
    if (k === 0) return;
    const item = make("span", legend);
    make("span", item, { className: "faceseg-swatch" }).style.background = `rgb(${model.get("error_palette")[k]})`;
    item.append(` ${name}`);
  });
  const readout = make("div", side, { className: "faceseg-readout" });
  readout.setAttribute("role", "status");
  readout.textContent = "Point at a pixel, or move over the picture with the arrow keys.";

  let probe = [Math.floor(width / 2), Math.floor(height / 2)];
  const tell = () => {
    const [x, y] = probe, now = state(), i = y * width + x, n = width * height;
    const sample = new Uint8Array(now.channels);
    for (let c = 0; c < now.channels; c++) sample[c] = now.levels[c * n + i];
    const answer = decide(sample, now.channels, now.threshold)[0], truth = now.truth[i];
    const level = now.channels === 1 ? sample[0] : sample[answer];
    const what = now.channels === 1 ? names[1] : names[answer];
    const known = truth === IGNORE ? "not labelled" : names[truth];
    readout.textContent = `row ${y}, column ${x}: ${model.get("layers").includes("true mask") ? `truth ${known}, ` : ""}`
      + `prediction ${names[answer]}, P(${what}) = ${(level / 255).toFixed(2)}`;
  };
  canvas.addEventListener("pointermove", event => {
    const box = canvas.getBoundingClientRect();
    probe = [Math.min(width - 1, Math.max(0, Math.floor((event.clientX - box.left) / box.width * width))),
             Math.min(height - 1, Math.max(0, Math.floor((event.clientY - box.top) / box.height * height)))];
    tell();
  });
  canvas.addEventListener("keydown", event => {
    const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!move) return;
    event.preventDefault();
    event.stopPropagation();
    const far = event.shiftKey ? 10 : 1;
    probe = [Math.min(width - 1, Math.max(0, probe[0] + far * move[0])),
             Math.min(height - 1, Math.max(0, probe[1] + far * move[1]))];
    tell();
  });

  const zoom = () => { canvas.style.width = `${Math.min(width, FIT) * model.get("zoom")}px`; };
  zoom();
  stops.push(["change:zoom", zoom]);
  model.on("change:zoom", zoom);
  for (const name of REDRAW) {
    model.on(`change:${name}`, draw);
    stops.push([`change:${name}`, draw]);
  }
  draw();
  if (model.get("reveal")) {
    const sight = new ResizeObserver(() => {  // called once the overlay has a place in the page
      if (!root.isConnected || !root.offsetHeight) return;
      sight.disconnect();
      set("reveal", false);  // not again when a saved page is opened
      root.scrollIntoView({ block: "nearest" });
    });
    sight.observe(root);
  }
  return () => { for (const [event, action] of stops) model.off(event, action); };
}

export default { render };
