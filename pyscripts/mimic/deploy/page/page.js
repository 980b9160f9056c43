import { draw, fromWav, spectrogram, toWav } from "./sound.js";

const id = (name) => document.getElementById(name);
const COLUMNS = 800, UNSURE = 0.5;
let urls = [], busy = false, recording = null;

function say(status, error = "") {
  id("status").textContent = status;
  id("error").textContent = error;
}

async function describe() {
  const server = await (await fetch("models")).json();
  const parts = [];
  if (server.enhances) parts.push(`removes noise with ${server.enhancer || "an enhancer"}`);
  if (server.writes) parts.push(`writes down what was spoken with ${server.recogniser || "a recogniser"}`);
  id("about").textContent = `This page ${parts.join(" and ")}, on the machine that serves it.`;
  const more = server.ffmpeg ? ", M4A, MP4, WebM and whatever else ffmpeg reads" : " (M4A and WebM need ffmpeg, which is not installed)";
  id("limits").textContent = `WAV, FLAC, MP3, Ogg, AIFF, CAF, SPHERE${more}; up to ${server.max_minutes} minutes and `
    + `${server.max_mb} MB. Nothing is kept.`;
}

async function send(blob, name) {
  if (busy) return;
  busy = true;
  id("record").disabled = true;
  id("result").hidden = true;
  say(`Listening to ${name} …`);
  try {
    const response = await fetch("listen", { method: "POST", body: blob });
    const answer = await response.json();
    if (!response.ok) throw new Error(answer.error);
    show(answer);
    say(`${name}: ${answer.seconds.toFixed(1)} s`);
  } catch (error) {
    say("", error instanceof TypeError ? "The server does not answer: is it still running?" : error.message);
  } finally {
    busy = false;
    id("record").disabled = false;
  }
}

function show(answer) {
  urls.forEach((url) => URL.revokeObjectURL(url));
  urls = [];
  id("result").hidden = false;
  id("enhanced").hidden = !answer.after;
  id("written").hidden = !answer.transcript;
  const pictures = {};
  for (const side of ["before", "after"]) {
    if (!answer[side]) continue;
    const bytes = Uint8Array.from(atob(answer[side]), (c) => c.charCodeAt(0));
    const url = URL.createObjectURL(new Blob([bytes], { type: "audio/wav" }));
    urls.push(url);
    id(side).src = url;
    pictures[side] = spectrogram(fromWav(bytes), COLUMNS);
    if (side === "after") id("save").href = url;
  }
  // One scale for both: what is darker after is quieter.
  const peak = pictures.before.reduce((most, column) => Math.max(most, ...column), -100);
  for (const side in pictures) draw(id(`spectrum-${side}`), pictures[side], peak);
  if (answer.transcript) write(answer.transcript);
}

function write(transcript) {
  const words = transcript.segments.flatMap((segment) => segment.words);
  const player = id("enhanced").hidden ? id("before") : id("after");
  id("text").replaceChildren(...words.map((word) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = word.word;
    button.title = `${word.start.toFixed(2)} s, confidence ${word.confidence.toFixed(2)}`;
    button.classList.toggle("unsure", word.confidence < UNSURE);
    button.addEventListener("click", () => { player.currentTime = word.start; player.play(); });
    return button;
  }));
  if (!words.length) id("text").textContent = "No words were recognised.";
}

async function start() {
  say("");
  const constraints = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
  try {
    if (!navigator.mediaDevices) throw new Error("the browser allows it only on localhost or over https");
    const stream = await navigator.mediaDevices.getUserMedia({ audio: constraints });
    const context = new AudioContext();
    await context.audioWorklet.addModule("recorder.js");
    const node = new AudioWorkletNode(context, "recorder", { numberOfOutputs: 0 });
    recording = { stream, context, parts: [] };
    node.port.onmessage = ({ data }) => recording?.parts.push(data);
    context.createMediaStreamSource(stream).connect(node);
  } catch (error) {
    say("", `No recording: ${error.message}`);
    return;
  }
  id("record").textContent = "Stop";
  id("record").setAttribute("aria-pressed", "true");
  say("Recording …");
}

function stop() {
  const { stream, context, parts } = recording;
  recording = null;
  stream.getTracks().forEach((track) => track.stop());
  const rate = context.sampleRate;
  context.close();
  id("record").textContent = "Record";
  id("record").setAttribute("aria-pressed", "false");
  send(toWav(parts, rate), "the recording");
}

id("record").addEventListener("click", () => (recording ? stop() : start()));
id("file").addEventListener("change", () => { const [file] = id("file").files; if (file) send(file, file.name); });
for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();  // else the browser leaves the page to show the file
    id("drop").classList.toggle("over", kind === "dragenter" || kind === "dragover");
    if (kind === "drop" && event.dataTransfer.files.length) send(event.dataTransfer.files[0], event.dataTransfer.files[0].name);
  });
}
describe().catch(() => {});  // the sentence of the page stays
