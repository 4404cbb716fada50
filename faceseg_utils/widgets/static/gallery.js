// The page's side of widgets.Gallery: one button per photo. Sorting, filtering and the pictures come from Python.

function render({ model, el }) {
  const grid = document.createElement("div");
  grid.className = "faceseg-gallery";
  grid.setAttribute("role", "group");
  grid.setAttribute("aria-label", "photos");
  el.append(grid);

  const draw = () => grid.replaceChildren(...model.get("cards").map(card => {
    const button = Object.assign(document.createElement("button"), { type: "button" });
    button.dataset.index = card.index;
    button.dataset.lmSuppressShortcuts = "true";  // or JupyterLab takes Enter
    const picture = Object.assign(document.createElement("img"), { src: card.src, alt: card.alt });
    const caption = Object.assign(document.createElement("span"), { textContent: card.caption });
    button.append(picture, caption);
    button.addEventListener("click", () => { model.set("opened", card.index); model.save_changes(); });
    return button;
  }));
  const mark = () => grid.querySelectorAll("button").forEach(button =>
    button.setAttribute("aria-pressed", +button.dataset.index === model.get("opened")));
  const redraw = () => { draw(); mark(); };

  redraw();
  model.on("change:cards", redraw);
  model.on("change:opened", mark);
  return () => { model.off("change:cards", redraw); model.off("change:opened", mark); };
}

export default { render };
