// The page of awing: the picture with its faces, gauges, and what the keys of awing's window do.
//
// A WebSocket brings lines of JSON as text, each followed by its picture as JPEG where pictures are shown, and the state of
// the session. The page says which frame it has painted, so it is never sent more than it can paint.
"use strict";

const PALETTE = ["#5adcff", "#ffc454", "#96ff8c", "#ff8ccd", "#c4a8ff", "#ff9678"];
// Where a curve turns by more than this it has a corner, as at the ends of the lids and lips.
const CORNER_COSINE = 0.55;
const RECONNECT_MS = 1000;
const TEXT_INTERVAL_MS = 120;

const options = new URLSearchParams(location.search);
const isTransparent = options.has("transparent");
const isPlain = isTransparent || options.has("plain");
const hasGauges = !isPlain || options.has("gauges");
const $ = (id) => document.getElementById(id);

let socket = null;
let schemes = {};
let session = null;
// Set by the person or the address; null: as suits the source.
let mirrorChoice = options.has("mirror") ? options.get("mirror") !== "0" : null;
// The line whose picture has not come yet.
let awaited = null;
// What is painted next, and what was painted last.
let next = null;
let shown = null;
let isScheduled = false;
let painted = { count: 0, since: performance.now(), rate: 0 };
let delayMs = null;
let heard = null;
let blinks = { count: 0, id: null, last: null };
let textAt = 0;

// ---- The connection.

function connect() {
  const query = new URLSearchParams({ page: "" });
  if (!isTransparent) query.set("picture", "");
  if (options.has("token")) query.set("token", options.get("token"));
  socket = new WebSocket(`ws://${location.host}/ws?${query}`);
  socket.binaryType = "blob";
  socket.onopen = () => link("connected", true);
  socket.onmessage = (message) => receive(message.data);
  socket.onclose = () => {
    link("not connected", false);
    awaited = null;
    session = null;
    showSession();
    setTimeout(connect, RECONNECT_MS);
  };
}

function link(text, isOn) {
  $("link").textContent = text;
  $("link").classList.toggle("off", !isOn);
}

function send(message) {
  if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
}

function receive(data) {
  if (typeof data !== "string") return receivePicture(data);
  const message = JSON.parse(data);
  if (message.version) {
    awaited = message;
    countBlinks(message);
    if (isTransparent) present(message, null);
  } else if (message.status) {
    session = message.status;
    showSession();
  } else if (message.schemes) {
    schemes = message.schemes;
  } else if (message.delay_ms) {
    delayMs = message.delay_ms;
  }
}

async function receivePicture(blob) {
  const line = awaited;
  if (!line) return;
  let picture = null;
  try {
    picture = await createImageBitmap(blob);
  } catch {
    // A picture that can't be read is left out; its faces are shown.
  }
  present(line, picture);
}

function present(line, picture) {
  if (next && next.line.frame > line.frame) return picture?.close();
  next?.picture?.close();
  next = { line, picture };
  schedule();
}

function schedule() {
  if (!isScheduled) {
    isScheduled = true;
    requestAnimationFrame(paint);
  }
}

// Tells when the frame is on its way to the screen: messages come after the browser has painted.
const afterPaint = new MessageChannel();
afterPaint.port1.onmessage = (message) => send({ painted: message.data });

function paint() {
  isScheduled = false;
  const isNew = next !== null;
  if (isNew) {
    shown?.picture?.close();
    shown = next;
    next = null;
  }
  if (!shown) return;
  drawPicture();
  if (hasGauges) drawGauges();
  if (!isNew) return;
  painted.count += 1;
  const now = performance.now();
  if (now - painted.since > 1000) {
    painted = { count: 0, since: now, rate: (1000 * painted.count) / (now - painted.since) };
  }
  document.body.dataset.frame = shown.line.frame;
  afterPaint.port2.postMessage(shown.line.frame);
}

// ---- The picture.

// A canvas in the pixels of the screen, cleared.
function begin(canvas) {
  const density = window.devicePixelRatio || 1;
  const width = Math.round(canvas.clientWidth * density);
  const height = Math.round(canvas.clientHeight * density);
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
  }
  const pen = canvas.getContext("2d");
  pen.setTransform(1, 0, 0, 1, 0, 0);
  pen.clearRect(0, 0, width, height);
  pen.scale(density, density);
  return [pen, canvas.clientWidth, canvas.clientHeight];
}

function isMirrored() {
  return mirrorChoice ?? session?.is_live ?? false;
}

function drawPicture() {
  const { line, picture } = shown;
  const [pen, width, height] = begin($("picture"));
  const scale = Math.min(width / line.width, height / line.height);
  const left = (width - scale * line.width) / 2;
  const top = (height - scale * line.height) / 2;
  const mirrored = isMirrored();
  $("stage").style.setProperty("--ratio", (line.width / line.height).toFixed(3));
  if (picture) {
    pen.save();
    if (mirrored) {
      pen.translate(width, 0);
      pen.scale(-1, 1);
    }
    pen.drawImage(picture, left, top, scale * line.width, scale * line.height);
    pen.restore();
  }
  const place = ([x, y]) => {
    const column = scale * (x + 0.5);
    return [mirrored ? left + scale * line.width - column : left + column, top + scale * (y + 0.5)];
  };
  for (const face of line.faces) drawFace(pen, line, face, place, scale);
}

function drawFace(pen, line, face, place, scale) {
  const side = Math.max(face.box[2], face.box[3]) * scale;
  const width = Math.min(3.2, Math.max(1.3, 0.008 * side));
  const color = PALETTE[(face.id + PALETTE.length - 1) % PALETTE.length];
  const points = face.landmarks.map(place);
  pen.lineCap = pen.lineJoin = "round";
  const curves = new Path2D();
  for (const [indices, isClosed] of schemes[line.scheme] ?? []) {
    smooth(curves, indices.map((i) => points[i]), isClosed);
  }
  pen.strokeStyle = "#0008";
  pen.lineWidth = width + 2;
  pen.stroke(curves);
  pen.strokeStyle = color;
  pen.lineWidth = width;
  pen.stroke(curves);
  pen.fillStyle = "#fff";
  points.forEach(([x, y], i) => {
    pen.globalAlpha = 0.12 + 0.88 * face.confidence[i];
    pen.beginPath();
    pen.arc(x, y, 0.85 * width, 0, 7);
    pen.fill();
  });
  pen.globalAlpha = 1;
}

// A cubic through the points; corners stay corners.
function smooth(path, points, isClosed) {
  const count = points.length;
  const at = (i) => (isClosed ? points[(i + count) % count] : points[i]);
  const tangent = (i) => {
    const [before, here, after] = [at(i - 1), at(i), at(i + 1)];
    if (!before || !after) return [0, 0];
    const [ax, ay, bx, by] = [here[0] - before[0], here[1] - before[1], after[0] - here[0], after[1] - here[1]];
    const cosine = (ax * bx + ay * by) / (Math.hypot(ax, ay) * Math.hypot(bx, by));
    return cosine > CORNER_COSINE ? [(ax + bx) / 6, (ay + by) / 6] : [0, 0];
  };
  path.moveTo(...points[0]);
  for (let i = 0; i < (isClosed ? count : count - 1); i += 1) {
    const [from, to, start, end] = [at(i), at(i + 1), tangent(i), tangent(i + 1)];
    path.bezierCurveTo(from[0] + start[0], from[1] + start[1], to[0] - end[0], to[1] - end[1], to[0], to[1]);
  }
}

// ---- The gauges, of the face that came first.

function firstFace() {
  const faces = shown.line.faces.filter((face) => face.signals);
  return faces.reduce((first, face) => (first && first.id < face.id ? first : face), null);
}

function drawGauges() {
  const face = firstFace();
  const signals = face?.signals;
  const color = face ? PALETTE[(face.id + PALETTE.length - 1) % PALETTE.length] : "#93a3b8";
  drawHead(signals, color);
  drawEyes(signals, color);
  drawMouth(signals, color);
  const now = performance.now();
  if (now - textAt < TEXT_INTERVAL_MS) return;
  textAt = now;
  const text = (id, value, format) => {
    $(id).textContent = value === null || value === undefined ? "–" : format(value);
  };
  const degrees = (value) => `${Math.round(value)}°`;
  const percent = (value) => `${Math.round(100 * value)} %`;
  text("yaw", signals?.yaw_deg, degrees);
  text("pitch", signals?.pitch_deg, degrees);
  text("roll", signals?.roll_deg, degrees);
  text("away", signals?.translation_cm?.[2], (cm) => `${Math.round(cm)} cm`);
  text("open-right", signals?.eye_open_right, percent);
  text("open-left", signals?.eye_open_left, percent);
  text("gaze", signals?.gaze_yaw_deg, (yaw) => `${Math.round(yaw)}° ${Math.round(signals.gaze_pitch_deg)}°`);
  text("blinks", blinks.count, String);
  text("open", signals?.mouth_open, percent);
  text("wide", signals?.mouth_wide, percent);
  const shapes = signals?.shapes;
  text("smile", shapes?.mouthSmileLeft, () => percent((shapes.mouthSmileLeft + shapes.mouthSmileRight) / 2));
  const vowel = Object.entries(signals?.visemes ?? {}).reduce((a, b) => (b[1] > (a?.[1] ?? 0.15) ? b : a), null);
  text("vowel", vowel?.[0], String);
  if ($("all").open) listShapes(shapes);
  if (!isPlain) {
    $("rate").hidden = !painted.rate || delayMs === null;
    text("frames", painted.rate, Math.round);
    text("delay", delayMs, Math.round);
  }
}

// A head as a net of lines, turned by the rotation: x to the right in the picture, y up, z towards the viewer.
function drawHead(signals, color) {
  const [pen, width, height] = begin($("head"));
  const radius = 0.4 * height;
  const flip = isMirrored() ? -1 : 1;
  const [x, y, z, w] = signals?.rotation ?? [0, 0, 0, 1];
  const turn = ([a, b, c]) => {
    const [tx, ty, tz] = [2 * (y * c - z * b), 2 * (z * a - x * c), 2 * (x * b - y * a)];
    return [a + w * tx + y * tz - z * ty, b + w * ty + z * tx - x * tz, c + w * tz + x * ty - y * tx];
  };
  const at = (v) => {
    const [a, b, c] = turn(v);
    return [width / 2 + flip * radius * a, height / 2 - radius * b, c];
  };
  const line = (points, style, thickness) => {
    pen.strokeStyle = style;
    pen.lineWidth = thickness;
    for (let i = 1; i < points.length; i += 1) {
      const depth = (points[i][2] + points[i - 1][2]) / 2;
      pen.globalAlpha = depth > 0 ? 0.9 : 0.16;
      pen.beginPath();
      pen.moveTo(points[i - 1][0], points[i - 1][1]);
      pen.lineTo(points[i][0], points[i][1]);
      pen.stroke();
    }
  };
  const skin = (longitude, latitude) => {
    const around = Math.cos(latitude);
    return at([0.84 * around * Math.sin(longitude), 1.08 * Math.sin(latitude), 0.9 * around * Math.cos(longitude)]);
  };
  const steps = [...Array(25).keys()].map((i) => i / 24);
  pen.lineCap = "round";
  for (const longitude of [-90, -60, -30, 0, 30, 60, 90, 120, 150, 180, 210, 240]) {
    const angle = (longitude * Math.PI) / 180;
    line(steps.map((t) => skin(angle, (t - 0.5) * Math.PI)), longitude === 0 ? color : "#5b6f8a", longitude === 0 ? 2 : 1);
  }
  for (const latitude of [-50, -25, 0, 25, 50]) {
    line(steps.map((t) => skin(2 * Math.PI * t, (latitude * Math.PI) / 180)), "#5b6f8a", 1);
  }
  const tip = at([0, -0.05, 1.45]);
  line([at([0, 0.2, 0.88]), tip, at([0, -0.28, 0.87])], color, 2.5);
  pen.globalAlpha = 1;
  for (const side of [-1, 1]) {
    const eye = skin(side * 0.42, 0.3);
    pen.fillStyle = eye[2] > 0 ? "#e8eef6" : "#e8eef628";
    pen.beginPath();
    pen.arc(eye[0], eye[1], 3.4, 0, 7);
    pen.fill();
  }
}

function drawEyes(signals, color) {
  const [pen, width, height] = begin($("eyes"));
  const flip = isMirrored() ? -1 : 1;
  const [half, tall] = [Math.min(0.17 * width, 62), 0.29 * height];
  for (const side of ["right", "left"]) {
    const open = signals?.[`eye_open_${side}`] ?? null;
    // The person's right eye lies left in the picture.
    const x = width / 2 + flip * (side === "right" ? -1 : 1) * 0.25 * width;
    const y = height / 2;
    const lid = Math.max(0.02, Math.min(1.2, open ?? 0)) * tall;
    const shape = new Path2D();
    shape.moveTo(x - half, y);
    shape.quadraticCurveTo(x, y - 2 * lid, x + half, y);
    shape.quadraticCurveTo(x, y + 1.6 * lid, x - half, y);
    pen.fillStyle = open === null ? "#1b2636" : "#e8eef6";
    pen.fill(shape);
    if (open !== null && signals.gaze_yaw_deg !== null) {
      pen.save();
      pen.clip(shape);
      const iris = [x - (flip * half * signals.gaze_yaw_deg) / 42, y - (tall * signals.gaze_pitch_deg) / 32];
      for (const [size, style] of [[0.62 * tall, color], [0.28 * tall, "#0b0f15"]]) {
        pen.fillStyle = style;
        pen.beginPath();
        pen.arc(...iris, size, 0, 7);
        pen.fill();
      }
      pen.restore();
    }
    pen.strokeStyle = color;
    pen.lineWidth = 2;
    pen.stroke(shape);
  }
}

function drawMouth(signals, color) {
  const [pen, width, height] = begin($("mouth"));
  const shapes = signals?.shapes ?? {};
  const flip = isMirrored() ? -1 : 1;
  const value = (name) => shapes[name] ?? 0;
  const open = signals?.mouth_open ?? 0;
  const half = Math.min(0.3 * width, 92) * (0.62 + 0.3 * (signals?.mouth_wide ?? 0) - 0.3 * value("mouthPucker"));
  const middle = [width / 2 + flip * 14 * (value("mouthLeft") - value("mouthRight")), 0.42 * height];
  const corner = (side) => 0.26 * height * (value(`mouthSmile${side}`) - value(`mouthFrown${side}`));
  // The person's right corner lies left in the picture.
  const [before, after] = flip > 0 ? [corner("Right"), corner("Left")] : [corner("Left"), corner("Right")];
  const [left, right] = [[middle[0] - half, middle[1] - before], [middle[0] + half, middle[1] - after]];
  const gap = 0.5 * height * Math.min(open, 1.1);
  const lips = (upper, lower) => {
    const path = new Path2D();
    path.moveTo(...left);
    path.bezierCurveTo(left[0] + 0.5 * half, middle[1] - upper, right[0] - 0.5 * half, middle[1] - upper, ...right);
    path.bezierCurveTo(right[0] - 0.45 * half, middle[1] + lower, left[0] + 0.45 * half, middle[1] + lower, ...left);
    return path;
  };
  const outer = lips(0.13 * height, 0.2 * height + 1.3 * gap);
  pen.fillStyle = signals ? "#3a2533" : "#1b2636";
  pen.fill(outer);
  pen.strokeStyle = color;
  pen.lineWidth = 2;
  pen.lineJoin = "round";
  pen.stroke(outer);
  const inner = lips(0.01 * height, 0.02 * height + 1.2 * gap);
  pen.fillStyle = "#0b0f15";
  pen.fill(inner);
  pen.stroke(inner);
}

function listShapes(shapes) {
  const list = $("shapes");
  const entries = Object.entries(shapes ?? {});
  if (list.children.length !== entries.length) {
    list.replaceChildren(...entries.map(([name]) => {
      const item = document.createElement("li");
      const [label, value] = [document.createElement("span"), document.createElement("span")];
      label.textContent = name;
      item.append(document.createElement("i"), label, value);
      return item;
    }));
  }
  entries.forEach(([, value], i) => {
    const [bar, , number] = list.children[i].children;
    bar.style.width = `${100 * Math.min(1, value ?? 0)}%`;
    number.textContent = value === null ? "–" : value.toFixed(2);
  });
}

// Of the face that the gauges show; both eyes close at about the same time.
function countBlinks(line) {
  const faces = line.faces.filter((face) => face.signals);
  const face = faces.reduce((first, other) => (first && first.id < other.id ? first : other), null);
  if (face && face.id !== blinks.id) blinks = { count: 0, id: face.id, last: null };
  const ended = face?.signals.blink_ended_left ?? face?.signals.blink_ended_right;
  if (!ended) return;
  if (blinks.last === null || ended.start_s > blinks.last + 0.15) blinks.count += 1;
  blinks.last = ended.start_s;
}

// ---- The state of the session, and what the person asks for.

function showSession() {
  for (const button of document.querySelectorAll("#controls button")) button.disabled = !session;
  $("mirror").setAttribute("aria-pressed", isMirrored());
  if (!session) return;
  const { source, trouble, neutral, is_collecting, kept, tuning, is_tuned, message } = session;
  $("source").textContent = source;
  $("trouble").textContent = trouble ?? "";
  $("trouble").hidden = !trouble;
  $("neutral").textContent = { estimated: "estimated", awaited: "waits for a face", set: "set" }[neutral];
  $("kept").textContent = kept === 0 ? "none kept yet" : `${kept} kept`;
  $("collect").textContent = is_collecting ? "collecting" : "off";
  $("tune").textContent = tuning ? describe(tuning) : "off";
  $("progress").style.width = `${100 * (tuning?.done ?? 0)}%`;
  $("model").textContent = is_tuned ? "tuned" : is_tuned === false ? "bundled, a tuned one is there" : "bundled";
  document.querySelector("[data-action=collect]").setAttribute("aria-pressed", is_collecting);
  document.querySelector("[data-action=tune]").setAttribute("aria-pressed", tuning !== null);
  document.querySelector("[data-action=other-model]").disabled = is_tuned === null;
  // What was said before the page was opened is old.
  if (heard !== null && message && message.number !== heard) notice(message);
  heard = message?.number ?? 0;
}

function describe({ stage, left_s, before, now }) {
  if (left_s === null) return stage;
  const left = `${Math.floor(left_s / 60)}:${String(left_s % 60).padStart(2, "0")} left`;
  return now === null ? left : `${left}, error ${before.toFixed(1)} to ${now.toFixed(1)} %`;
}

let noticeEnds = null;

function notice({ text, shown_s }) {
  $("notice").textContent = text;
  $("notice").classList.add("shown");
  clearTimeout(noticeEnds);
  noticeEnds = setTimeout(() => $("notice").classList.remove("shown"), 1000 * shown_s);
}

function mirror() {
  mirrorChoice = !isMirrored();
  showSession();
  schedule();
}

document.body.classList.toggle("plain", isPlain);
document.body.classList.toggle("transparent", isTransparent);
document.documentElement.classList.toggle("see-through", isTransparent);
document.body.classList.toggle("with-gauges", hasGauges);
$("mirror").addEventListener("click", mirror);
for (const button of document.querySelectorAll("#controls button")) {
  button.addEventListener("click", () => send({ action: button.dataset.action }));
}
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  const key = event.key.toLowerCase();
  if (key === "m") return mirror();
  const button = [...document.querySelectorAll("#controls button")].find((button) => button.dataset.key.includes(key));
  if (!button || button.disabled) return;
  // The space key would also press the button that has the focus.
  event.preventDefault();
  send({ action: button.dataset.action });
});
addEventListener("resize", schedule);
showSession();
connect();
