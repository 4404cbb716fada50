// The page's side of widgets.DialView: one portrait at all settings of a dial, painted here without asking the kernel.
// `paint` and `count` give what `paint_setting` and `describe` give in Python; tests/unit/test_widgets_dial.py compares.

const IGNORE = 255, SURE = 242;

/** RGBA bytes of two pictures: the person on a darker background, and the errors on grey. */
export function paint(photo, truth, levels, palette) {
  const cut = new Uint8ClampedArray(4 * truth.length), errors = new Uint8ClampedArray(4 * truth.length);
  for (let i = 0; i < truth.length; i++) {
    const person = levels[i] > 127, grey = Math.floor((photo[3 * i] + photo[3 * i + 1] + photo[3 * i + 2]) / 3);
    const wrong = truth[i] !== IGNORE && person !== truth[i] > 0, colour = palette[person ? 2 : 1];
    for (let c = 0; c < 3; c++) {
      cut[4 * i + c] = person ? photo[3 * i + c] : Math.floor(photo[3 * i + c] * 2 / 5);
      errors[4 * i + c] = wrong ? Math.floor((3 * colour[c] + grey) / 4) : grey;
    }
    cut[4 * i + 3] = errors[4 * i + 3] = 255;
  }
  return { cut, errors };
}

/** Dice of a setting, its wrong pixels, and at how many of them the network was over 95 % sure. */
export function count(truth, levels) {
  let both = 0, predicted = 0, true_ = 0, wrong = 0, sure = 0;
  for (let i = 0; i < truth.length; i++) {
    if (truth[i] === IGNORE) continue;
    const person = levels[i] > 127, real = truth[i] > 0;
    both += person && real; predicted += person; true_ += real;
    if (person !== real) { wrong++; sure += levels[i] > SURE || levels[i] < 255 - SURE; }
  }
  return { dice: predicted + true_ ? 2 * both / (predicted + true_) : 1, wrong, sure };
}

const CURVE = { width: 200, height: 90, left: 36, right: 10, top: 10, bottom: 18 };  // CSS pixels

function render({ model, el }) {
  const [width, height] = model.get("size"), labels = model.get("labels"), n = width * height;
  const bytes = (name, k, each) => {
    const value = model.get(name);
    return new Uint8Array(value.buffer, value.byteOffset + k * each, each);
  };
  const setting = k => [bytes("photos", k, 3 * n), bytes("truths", k, n), bytes("levels", k, n)];
  const counts = labels.map((_, k) => count(...setting(k).slice(1)));
  const make = (tag, parent, properties = {}) => {
    const node = Object.assign(document.createElement(tag), properties);
    parent.append(node);
    return node;
  };
  const root = make("div", el, { className: "faceseg-dial" });
  const row = make("div", root);
  const canvases = ["prediction", "errors"].map(name => {
    const figure = make("figure", row);
    make("figcaption", figure, { textContent: name });
    const canvas = make("canvas", figure, { width, height });
    canvas.setAttribute("role", "img");
    return canvas;
  });

  const place = k => {
    const low = Math.min(...counts.map(c => c.dice)), high = Math.max(...counts.map(c => c.dice));
    const across = CURVE.width - CURVE.left - CURVE.right, down = CURVE.height - CURVE.top - CURVE.bottom;
    return [CURVE.left + across * k / Math.max(1, labels.length - 1),
            CURVE.top + (high > low ? down * (high - counts[k].dice) / (high - low) : down / 2)];
  };
  const curve = make("canvas", make("figure", row), { width: 2 * CURVE.width, height: 2 * CURVE.height });
  curve.setAttribute("role", "img");
  curve.setAttribute("aria-label", `Dice by setting: ${counts.map(c => c.dice.toFixed(3)).join(", ")}`);
  const pen = curve.getContext("2d");
  pen.scale(2, 2);
  const drawCurve = k => {
    const ink = getComputedStyle(root).color;
    pen.clearRect(0, 0, CURVE.width, CURVE.height);
    Object.assign(pen, { strokeStyle: "#0072b2", fillStyle: ink, lineWidth: 2, font: "11px sans-serif" });
    pen.fillText("Dice", CURVE.left, CURVE.height - 4);
    for (const c of new Set([Math.min(...counts.map(c => c.dice)), Math.max(...counts.map(c => c.dice))])) {
      pen.fillText(c.toFixed(3), 2, place(counts.findIndex(each => each.dice === c))[1] + 4);
    }
    pen.beginPath();
    labels.forEach((_, i) => pen.lineTo(...place(i)));
    pen.stroke();
    pen.beginPath();
    pen.arc(...place(k), 5, 0, 2 * Math.PI);
    pen.fillStyle = "#d55e00";
    pen.fill();
  };

  const label = make("label", root);
  make("span", label, { textContent: "setting " });
  const slider = make("input", label, { type: "range", min: 0, max: labels.length - 1, step: 1 });
  slider.setAttribute("aria-label", "setting");
  slider.dataset.lmSuppressShortcuts = "true";  // or JupyterLab takes its arrow keys
  const readout = make("div", root);
  readout.setAttribute("role", "status");

  const draw = () => {
    const k = model.get("setting"), [photo, truth, levels] = setting(k);
    const pictures = paint(photo, truth, levels, model.get("palette"));
    const { dice, wrong, sure } = counts[k];
    [pictures.cut, pictures.errors].forEach((picture, i) =>
      canvases[i].getContext("2d").putImageData(new ImageData(picture, width, height), 0, 0));
    drawCurve(k);
    readout.textContent = `${labels[k]}: Dice ${dice.toFixed(3)}, ${wrong} wrong pixels, over 95 % sure at ${sure} of them`;
    canvases[0].setAttribute("aria-label", `The predicted person. ${readout.textContent}`);
    canvases[1].setAttribute("aria-label", `Blue was missed, orange was invented. ${readout.textContent}`);
    slider.value = k;
    slider.setAttribute("aria-valuetext", labels[k]);
    root.dataset.drawn = +(root.dataset.drawn || 0) + 1;  // a test can wait for it, then read the canvas
  };
  slider.addEventListener("input", () => { model.set("setting", +slider.value); model.save_changes(); });
  draw();
  model.on("change:setting", draw);
  return () => model.off("change:setting", draw);
}

export default { render };
