// The page's side of widgets.TryYourPhoto: a file is sent to the kernel in parts, each well below the 10 MiB at
// which JupyterLab's server cuts the connection.

const PART = 2 ** 22, MOST = 2 ** 28;

function render({ model, el }) {
  const root = Object.assign(document.createElement("div"), { className: "faceseg-upload" });
  const label = Object.assign(document.createElement("label"), { textContent: "Your photo: " });
  const input = Object.assign(document.createElement("input"), { type: "file", accept: "image/*" });
  input.dataset.lmSuppressShortcuts = "true";
  const line = document.createElement("div");
  line.setAttribute("role", "status");
  label.append(input);
  root.append(label, line);
  el.append(root);

  const follow = () => {
    line.textContent = model.get("message");
    line.classList.toggle("faceseg-failed", model.get("failed"));
  };
  const tell = (message, failed = false) => {
    model.set({ message, failed });
    model.save_changes();
    follow();
  };
  input.addEventListener("change", async () => {
    const file = input.files[0];
    if (!file) return;
    input.value = "";  // so that the same file can be chosen again
    if (file.size > MOST) return tell(`${file.name}: ${Math.round(file.size / 2 ** 20)} MB is too large; at most 256 MB`, true);
    tell(`${file.name}: reading`);
    const last = Math.max(0, Math.ceil(file.size / PART) - 1);
    for (let part = 0; part <= last; part++) {
      const bytes = await file.slice(part * PART, (part + 1) * PART).arrayBuffer();
      model.send({ name: file.name, part, last }, undefined, [bytes]);
    }
  });

  follow();
  model.on("change:message change:failed", follow);
  return () => model.off("change:message change:failed", follow);
}

export default { render };
