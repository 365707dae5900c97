// The page: the queue of songs, the shown song and its controls.

import { findEngine } from "./engine.js";
import { Player, render } from "./player.js";
import { Song, STEMS } from "./song.js";
import { Waveform } from "./waveform.js";

const find = (selector) => document.querySelector(selector);
const lanes = Object.fromEntries(
  STEMS.map((stem) => {
    const lane = find(`[data-stem=${stem}]`);
    const parts = {
      mute: lane.querySelector(".mute"),
      solo: lane.querySelector(".solo"),
      level: lane.querySelector(".level input"),
      waveform: new Waveform(lane.querySelector("canvas"), stem),
    };
    return [stem, parts];
  }),
);
const GUIDE = 0.13; // the vocals' level in the practice preset, about -18 dB
const PRESETS = {
  song: { vocals: 1, instrumental: 1 },
  karaoke: { vocals: 0, instrumental: 1 },
  acapella: { vocals: 1, instrumental: 0 },
  practice: { vocals: GUIDE, instrumental: 1 },
};
const LOOP_SECONDS = 8; // if no region is selected
const MIME = { wav: "audio/wav", flac: "audio/flac", mp3: "audio/mpeg", m4a: "audio/mp4" };

const CANCELLED = "Cancelled.";
const MOST_HELD = 6; // songs in memory; three minutes take about 130 MB

const songs = [];
let engine = null;
let shown = null;
let player = null;
let working = null; // the song being separated, and its AbortController
let original = false;

// Adding and separating songs.

function add(name, source) {
  const song = new Song(name);
  song.source = source;
  song.button = document.createElement("button");
  song.button.type = "button";
  song.button.addEventListener("click", () => show(song));
  const item = document.createElement("li");
  item.append(song.button);
  find("#queue").append(item);
  songs.push(song);
  if (!shown || shown.state === "failed") show(song);
  update(song);
  work();
}

async function work() {
  if (working || !engine) return;
  const song = songs.find((candidate) => candidate.state === "queued");
  if (!song) return;
  const abort = new AbortController();
  working = { song, abort };
  song.state = "working";
  update(song);
  try {
    await engine.separate({
      ...song.source,
      name: song.name,
      model: find("#model").value,
      quality: find("#quality").value,
      signal: abort.signal,
      on: (message) => arrived(song, message),
    });
    song.state = "done";
    releaseOldest();
  } catch (error) {
    song.state = "failed";
    song.message = abort.signal.aborted ? CANCELLED : error.message;
  }
  working = null;
  update(song);
  work();
}

/** Release the oldest song's samples; the song is separated again when it is shown. */
function releaseOldest() {
  const held = songs.filter((s) => s.state === "done" && s !== shown && !s.downloads);
  if (held.length >= MOST_HELD) held[0].release();
}

function arrived(song, message) {
  if (message.type === "waiting") song.message = "Waiting for another song.";
  if (message.type === "start") {
    song.message = "";
    song.begin(message);
  }
  if (message.type === "stems") {
    song.append(message);
    if (song === shown) player.arrived();
  }
  update(song);
}

function update(song) {
  drawQueue();
  if (song !== shown) return;
  drawStatus();
  drawPlace();
  drawLanes();
}

function notice(text) {
  find("#notice").textContent = text;
  find("#notice").hidden = !text;
}

// The shown song.

function show(song) {
  if (song === shown) return;
  player?.close();
  shown = song;
  if (song.state === "released") song.state = "queued";
  player = new Player(song);
  player.addEventListener("change", drawTransport);
  notice("");
  find("#drop").classList.add("small");
  find("#song").hidden = false;
  find("#title").textContent = song.title;
  setLevels(PRESETS.song);
  setSpeed(100, 0);
  setPressed(find("#loop"), false);
  drawQueue();
  drawStatus();
  drawTransport();
  drawLanes();
  work();
}

function drawQueue() {
  find("#queue-section").hidden = songs.length < 2;
  for (const song of songs) {
    const failed = song.message === CANCELLED ? "cancelled" : "failed";
    const state = { queued: "waiting", working: share(song), failed }[song.state];
    song.button.textContent = state ? `${song.title} (${state})` : song.title;
    song.button.setAttribute("aria-current", song === shown);
  }
}

function share(song) {
  if (!song.expected) return "separating";
  return `${Math.min(100, Math.floor((100 * song.seconds) / song.expected))} %`;
}

function drawStatus() {
  const song = shown;
  const isWorking = song.state === "working";
  find("#progress").hidden = !isWorking;
  find("#cancel").hidden = !isWorking && song.state !== "queued";
  const bar = find("#progress");
  if (song.expected) bar.value = Math.min(1, song.seconds / song.expected);
  else bar.removeAttribute("value");
  const texts = { queued: "Waiting.", working: "Separating.", done: "Separated." };
  const text = song.message || texts[song.state] || "";
  let left = "";
  if (isWorking && song.frames && song.expected) {
    const passed = (performance.now() - song.startedAt) / 1000;
    left = `${clock(Math.ceil(passed * Math.max(0, song.expected / song.seconds - 1)))} left`;
  }
  find("#left").textContent = left;
  const isLost = song.state === "failed" && !song.frames;
  if (isLost) notice(song.message);
  const status = isLost ? "" : text;
  // Screen readers announce each change, so write only changes.
  if (find("#status").textContent !== status) find("#status").textContent = status;
  find("#player").hidden = isLost;
  find("#downloads").disabled = song.state !== "done";
  find("#play").disabled = find("#loop").disabled = !song.frames;
}

function drawTransport() {
  find("#play").textContent = player.playing ? "Pause" : "Play";
  drawPlace();
}

function drawPlace() {
  const seconds = player.position;
  find("#time").textContent = `${clock(seconds)} / ${clock(shown.length)}`;
  const seek = find("#seek");
  seek.max = shown.length || 1;
  seek.value = seconds;
  seek.setAttribute("aria-valuetext", `${clock(seconds)} of ${clock(shown.length)}`);
}

function drawLanes() {
  const levels = currentLevels();
  for (const stem of STEMS) {
    lanes[stem].waveform.show(shown, {
      position: player.position,
      loop: player.loop,
      muted: levels[stem] === 0,
    });
  }
}

function animate() {
  if (player?.playing) {
    drawPlace();
    drawLanes();
  }
  requestAnimationFrame(animate);
}

function clock(seconds) {
  const whole = Math.floor(seconds || 0);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

// Levels.

const isPressed = (button) => button.getAttribute("aria-pressed") === "true";
const setPressed = (button, pressed) => button.setAttribute("aria-pressed", pressed);

function currentLevels() {
  if (original) return { vocals: 1, instrumental: 1 };
  const soloed = STEMS.filter((stem) => isPressed(lanes[stem].solo));
  return Object.fromEntries(
    STEMS.map((stem) => {
      const silent = isPressed(lanes[stem].mute) || (soloed.length > 0 && !soloed.includes(stem));
      return [stem, silent ? 0 : Number(lanes[stem].level.value)];
    }),
  );
}

function applyLevels() {
  for (const { level } of Object.values(lanes)) {
    level.setAttribute("aria-valuetext", `${Math.round(100 * level.value)} %`);
  }
  player?.setLevels(currentLevels());
  if (shown) drawLanes();
}

function setOriginal(wanted) {
  original = wanted;
  setPressed(find("#original"), wanted);
  applyLevels();
}

function setLevels(levels) {
  for (const stem of STEMS) {
    lanes[stem].level.value = levels[stem];
    setPressed(lanes[stem].mute, false);
    setPressed(lanes[stem].solo, false);
  }
  setOriginal(false);
}

function setSpeed(tempo, key) {
  find("#tempo").value = tempo;
  find("#key").value = key;
  find("#tempo-value").textContent = `${tempo} %`;
  find("#key-value").textContent = key > 0 ? `+${key}` : `${key}`;
  const changed = player && (player.tempo !== tempo / 100 || player.key !== key);
  if (changed) player.setSpeed(tempo / 100, key).catch(explain);
}

// Downloads.

async function download(what, button) {
  // Disabling the button would take the focus away.
  if (button.ariaBusy === "true") return;
  const song = shown;
  const format = find("#format").value;
  const file = (bytes, stem) => ({ name: `${song.title} (${stem}).${format}`, input: bytes });
  const encode = (channels, stem) =>
    engine.encode(channels, { sampleRate: song.sampleRate, format, song: song.id, stem });
  button.ariaBusy = "true";
  song.downloads++;
  notice("");
  try {
    if (what === "all") {
      const { downloadZip } = await import("./vendor/client-zip.js");
      const parts = [];
      for (const stem of STEMS) parts.push(file(await encode(song.samples(stem), stem), stem));
      save(await downloadZip(parts).blob(), `${song.title}.zip`);
    } else {
      const settings = { levels: currentLevels(), tempo: player.tempo, key: player.key };
      const stem = what === "heard" ? "mix" : what;
      const samples = what === "heard" ? await render(song, settings) : song.samples(what);
      const made = file(await encode(samples, stem), stem);
      save(new Blob([made.input], { type: MIME[format] }), made.name);
    }
  } catch (error) {
    notice(`The download failed: ${error.message}`);
  } finally {
    button.ariaBusy = "false";
    song.downloads--;
  }
}

function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

// Events.

find("#files").addEventListener("change", (event) => {
  for (const file of event.target.files) add(file.name, { file });
  event.target.value = "";
});
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  find("#drop").classList.add("over");
});
document.addEventListener("dragleave", () => find("#drop").classList.remove("over"));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  find("#drop").classList.remove("over");
  if (find("#drop").hidden) return;
  for (const file of event.dataTransfer.files) add(file.name, { file });
});
find("#cancel").addEventListener("click", () => {
  if (working?.song === shown) working.abort.abort();
  else Object.assign(shown, { state: "failed", message: CANCELLED });
  update(shown);
  find("#title").focus(); // the button disappears
});
find("#play").addEventListener("click", toggle);
find("#original").addEventListener("click", () => setOriginal(!original));
find("#loop").addEventListener("click", () => {
  const from = Math.max(0, Math.min(player.position, shown.length - LOOP_SECONDS));
  setLoop(player.loop ? null : { from, to: Math.min(from + LOOP_SECONDS, shown.length) });
});
find("#seek").addEventListener("input", (event) => seek(Number(event.target.value)));
for (const stem of STEMS) {
  const { mute, solo, level, waveform } = lanes[stem];
  for (const button of [mute, solo]) {
    button.addEventListener("click", () => {
      setPressed(button, !isPressed(button));
      setOriginal(false);
    });
  }
  level.addEventListener("input", () => setOriginal(false));
  waveform.addEventListener("seek", (event) => seek(event.detail));
  waveform.addEventListener("loop", (event) => setLoop(event.detail));
}
for (const input of [find("#tempo"), find("#key")]) {
  input.addEventListener("input", () => {
    setSpeed(Number(find("#tempo").value), Number(find("#key").value));
  });
}
find("#reset").addEventListener("click", () => setSpeed(100, 0));
for (const button of document.querySelectorAll("[data-preset]")) {
  button.addEventListener("click", () => setLevels(PRESETS[button.dataset.preset]));
}
for (const button of document.querySelectorAll("[data-download]")) {
  button.addEventListener("click", () => download(button.dataset.download, button));
}
document.addEventListener("keydown", (event) => {
  if (!shown || event.ctrlKey || event.metaKey || event.altKey) return;
  const { tagName, type } = event.target;
  const isSlider = type === "range";
  if ((tagName === "INPUT" && !isSlider) || tagName === "SELECT") return;
  const keys = {
    " ": ["BUTTON", "SUMMARY"].includes(tagName) ? null : toggle,
    ArrowLeft: isSlider ? null : () => seek(player.position - 5),
    ArrowRight: isSlider ? null : () => seek(player.position + 5),
    o: () => setOriginal(!original),
    l: () => find("#loop").click(),
  };
  const act = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!act) return;
  event.preventDefault();
  if (!event.repeat || event.key.startsWith("Arrow")) act();
});

function toggle() {
  if (player.playing) player.pause();
  else player.play().catch(explain);
}

function seek(seconds) {
  player.seek(seconds).catch(explain);
  drawLanes();
}

function explain(error) {
  notice(`This browser cannot play the song: ${error.message}`);
}

function setLoop(loop) {
  player.setLoop(loop).catch(explain);
  drawLanes();
  setPressed(find("#loop"), Boolean(loop));
}

function option(value, text = value) {
  return new Option(text, value);
}

async function start() {
  engine = await findEngine();
  if (!engine) {
    find("#drop").hidden = true;
        notice("songsplit is not running. Start songsplit app again and open the address that it shows.");
    return;
  }
  const { formats, models, version, qualities, songs: given, sampleRate } = engine.capabilities;
  find("#format").replaceChildren(...formats.map((name) => option(name, name.toUpperCase())));
  find("#model").replaceChildren(...models.map((model) => option(model.name)));
  for (const choice of find("#quality").options) choice.hidden = !qualities.includes(choice.value);
  if (sampleRate) {
    find("#rate").textContent = `The stems have a sample rate of ${sampleRate / 1000} kHz.`;
  }
  find("#version").textContent = `songsplit ${version}`;
  const showLicence = () => {
    find("#terms").textContent = models.find((m) => m.name === find("#model").value).terms;
  };
  find("#model").addEventListener("change", showLicence);
  showLicence();
  given.forEach((name, index) => add(name, { given: index }));
  work(); // songs may have been dropped before the engine was found
}

start();
animate();
// For tests.
window.songsplit = { songs, render, player: () => player };
