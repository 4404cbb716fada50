// The page's side of widgets.Webcam. At most one frame is on its way to the kernel: the newest one goes when the answer
// to the last has come, and what the camera gave meanwhile is left out.

const SLOW = 5000;  // milliseconds after which the reader is told that the kernel has not answered yet
const CAMERA = {
  NotAllowedError: "The camera is blocked. Allow it for this page beside the browser's address, then start it again.",
  NotFoundError: "No camera was found. Connect one, then start it again.",
  NotReadableError: "The camera is in use by another program. Close that program, then start it again.",
};

function render({ model, el }) {
  const root = Object.assign(document.createElement("div"), { className: "faceseg-webcam" });
  const button = Object.assign(document.createElement("button"), { textContent: "Start the camera" });
  const canvas = Object.assign(document.createElement("canvas"), { hidden: true });
  const line = document.createElement("div");
  line.setAttribute("role", "status");
  canvas.setAttribute("role", "img");
  root.append(button, canvas, line);
  el.append(root);

  const video = Object.assign(document.createElement("video"), { muted: true, playsInline: true });
  const view = Math.random().toString(36).slice(2);  // a widget may be shown twice: each has its own frames
  let stream = null, sent = null, frame = 0, arrived = 0, taken = 0, waiting = 0, recent = [];

  const say = (text, failed = false) => {
    line.textContent = text;
    line.classList.toggle("faceseg-failed", failed);
  };
  say("The frames go to this notebook's kernel only (on Colab, that is a machine in the cloud).");

  /** Send the newest frame, unless an answer is due or the camera has given no newer one. */
  async function next() {
    if (!stream || sent || arrived === taken || !video.videoWidth) return;
    const scale = Math.min(1, model.get("side") / Math.max(video.videoWidth, video.videoHeight));
    const picture = document.createElement("canvas");
    picture.width = Math.round(video.videoWidth * scale);
    picture.height = Math.round(video.videoHeight * scale);
    picture.getContext("2d").drawImage(video, 0, 0, picture.width, picture.height);
    const mine = { number: ++frame, picture, at: performance.now(), left: arrived - taken - 1 };
    sent = mine;
    taken = arrived;
    const blob = await new Promise(done => picture.toBlob(done, "image/jpeg", 0.9));
    const bytes = await blob.arrayBuffer();
    if (sent !== mine) return;  // stopped meanwhile
    model.send({ view, frame: mine.number }, undefined, [bytes]);
    waiting = setTimeout(() => say("The kernel has not answered yet: is it running a cell?"), SLOW);
  }

  async function answered(content, buffers) {
    if (content.view !== view || content.frame !== sent?.number) return;  // another view's, or one of before the stop
    const { picture, at, left } = sent;
    clearTimeout(waiting);
    if (content.error) {
      stop();
      say(content.error, true);
      return;
    }
    const mask = await createImageBitmap(new Blob([buffers[0]], { type: "image/png" }));
    if (!stream) return;
    paint(picture, mask);
    recent = [...recent.slice(-19), { at: performance.now(), took: performance.now() - at, left }];
    const rate = recent.length > 1 ? 1000 * (recent.length - 1) / (recent.at(-1).at - recent[0].at) : 0;
    const skipped = recent.reduce((sum, one) => sum + one.left, 0);
    say(`${rate.toFixed(1)} frames per second; this one took ${recent.at(-1).took.toFixed(0)} ms from camera to mask, ` +
        `${content.milliseconds.toFixed(0)} of them in the kernel; ${skipped} of the last ${skipped + recent.length} left out`);
    root.dataset.drawn = content.frame;
    sent = null;
    next();
  }

  /** The person in colour, the rest grey and dim. */
  function paint(picture, mask) {
    if (canvas.width !== picture.width || canvas.height !== picture.height) {
      Object.assign(canvas, { width: picture.width, height: picture.height });
    }
    const context = canvas.getContext("2d"), layer = (operation, source) => {
      context.globalCompositeOperation = operation;
      context.drawImage(source, 0, 0, canvas.width, canvas.height);
    };
    layer("copy", mask);
    layer("source-in", picture);
    Object.assign(context, { filter: "grayscale(1)", globalAlpha: 0.3 });
    layer("destination-over", picture);
    Object.assign(context, { filter: "none", globalAlpha: 1 });
    canvas.hidden = false;
    canvas.setAttribute("aria-label", "The camera's picture; all but the person is grey and dim.");
  }

  function stop() {
    stream?.getTracks().forEach(track => track.stop());
    clearTimeout(waiting);
    stream = sent = video.srcObject = null;
    button.textContent = "Start the camera";
  }

  async function start() {
    if (!navigator.mediaDevices) throw new Error("Browsers open the camera on https pages and on localhost only.");
    let own;
    try {
      own = await navigator.mediaDevices.getUserMedia({ video: { width: 640, height: 480, facingMode: "user" } });
    } catch (error) {
      throw new Error(CAMERA[error.name] ?? `The camera cannot be used (${error.message || error.name}).`);
    }
    stream = own;
    recent = [];
    button.textContent = "Stop";
    own.getVideoTracks()[0].onended = () => { stop(); say("The camera has stopped.", true); };
    video.srcObject = own;
    await video.play();
    const request = video.requestVideoFrameCallback?.bind(video) ?? requestAnimationFrame;
    const tick = () => {
      if (stream !== own) return;
      arrived++;
      next();
      request(tick);
    };
    request(tick);
  }

  button.addEventListener("click", async () => {
    if (stream) {
      stop();
      say("The camera is off.");
      return;
    }
    try {
      say("");
      await start();
    } catch (error) {
      stop();
      say(error.message, true);
    }
  });
  model.on("msg:custom", answered);
  return () => {
    stop();
    model.off("msg:custom", answered);
  };
}

export default { render };
