// The page's side of widgets.ReceptiveField: three pictures. A click or an arrow key chooses the pixel; the kernel
// answers with the maps.

function render({ model, el }) {
  const [height, width] = model.get("size"), titles = model.get("titles");
  const scale = Math.max(1, Math.floor(240 / width));
  const make = (tag, parent, properties = {}) => {
    const node = Object.assign(document.createElement(tag), properties);
    parent.append(node);
    return node;
  };
  const root = make("div", el, { className: "faceseg-field" });
  const row = make("div", root);
  const canvases = titles.map(title => {
    const figure = make("figure", row);
    make("figcaption", figure, { textContent: title });
    return make("canvas", figure, { width: width * scale, height: height * scale });
  });
  const readout = make("div", root);
  readout.setAttribute("role", "status");

  const draw = () => {
    const value = model.get("panels"), [y, x] = model.get("pixel");
    const panels = new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
    canvases.forEach((canvas, k) => {
      const image = new ImageData(width, height), first = 3 * k * width * height;
      for (let i = 0; i < width * height; i++) {
        for (let c = 0; c < 3; c++) image.data[4 * i + c] = panels[first + 3 * i + c];
        image.data[4 * i + 3] = 255;
      }
      const small = Object.assign(document.createElement("canvas"), { width, height });
      small.getContext("2d").putImageData(image, 0, 0);
      const context = canvas.getContext("2d");
      context.imageSmoothingEnabled = false;
      context.drawImage(small, 0, 0, width * scale, height * scale);
      for (const [colour, line] of [["black", 3], ["white", 1]]) {
        Object.assign(context, { strokeStyle: colour, lineWidth: line });
        context.strokeRect(x * scale - 1, y * scale - 1, scale + 2, scale + 2);
      }
    });
    readout.textContent = model.get("text");
    canvases[0].setAttribute("aria-label", `The photo. ${model.get("text")}`);
    root.dataset.drawn = +(root.dataset.drawn || 0) + 1;  // a test can wait for it
  };
  const choose = (y, x) => {
    model.set("pixel", [Math.min(height - 1, Math.max(0, y)), Math.min(width - 1, Math.max(0, x))]);
    model.save_changes();
  };
  for (const canvas of canvases) {
    canvas.addEventListener("click", event => {
      const box = canvas.getBoundingClientRect();
      choose(Math.floor((event.clientY - box.top) / box.height * height),
             Math.floor((event.clientX - box.left) / box.width * width));
    });
  }
  Object.assign(canvases[0], { tabIndex: 0 }).setAttribute("role", "img");
  canvases[0].dataset.lmSuppressShortcuts = "true";  // or JupyterLab takes its arrow keys
  canvases[0].addEventListener("keydown", event => {
    const move = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    if (!move) return;
    event.preventDefault();
    event.stopPropagation();
    const [y, x] = model.get("pixel");
    choose(y + move[0], x + move[1]);
  });
  draw();
  model.on("change:panels", draw);
  return () => model.off("change:panels", draw);
}

export default { render };
