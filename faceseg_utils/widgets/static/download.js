// A picture and a link that saves it, from bytes that are in the page already.

function render({ model, el }) {
  const bytes = model.get("png");
  const url = URL.createObjectURL(new Blob([bytes], { type: "image/png" }));
  const root = Object.assign(document.createElement("div"), { className: "faceseg-download" });
  const picture = Object.assign(document.createElement("img"), { src: url, alt: model.get("alt") });
  const link = Object.assign(document.createElement("a"), { href: url, download: model.get("name") });
  link.textContent = `Save ${model.get("name")}`;
  root.append(picture, link);
  el.append(root);
  return () => URL.revokeObjectURL(url);
}

export default { render };
