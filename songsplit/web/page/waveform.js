// Draws a stem's waveform with the position and the loop. Clicks seek, and drags set the loop.

import { PEAKS_PER_SECOND } from "./song.js";

export class Waveform extends EventTarget {
  constructor(canvas, stem) {
    super();
    this.canvas = canvas;
    this.stem = stem;
    new ResizeObserver(() => this.draw()).observe(canvas);
    let start = null;
    const drag = (event) => {
      if (start === null) return;
      const [from, to] = [start, this.#seconds(event)].sort((a, b) => a - b);
      this.drag = (to - from) * this.#pixelsPerSecond() > 8 ? { from, to } : null;
      this.draw();
    };
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button) return; // not the main button
      start = this.#seconds(event);
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", drag);
    canvas.addEventListener("pointercancel", () => {
      start = this.drag = null;
      this.draw();
    });
    canvas.addEventListener("pointerup", (event) => {
      if (start === null) return;
      drag(event);
      const loop = this.drag;
      start = this.drag = null;
      const detail = loop ?? this.#seconds(event);
      this.dispatchEvent(new CustomEvent(loop ? "loop" : "seek", { detail }));
    });
  }

  show(song, { position = 0, loop = null, muted = false } = {}) {
    Object.assign(this, { song, position, loop, muted });
    this.draw();
  }

  draw() {
    const { canvas, song } = this;
    const scale = window.devicePixelRatio || 1;
    const width = Math.round(canvas.clientWidth * scale);
    const height = Math.round(canvas.clientHeight * scale);
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    const pen = canvas.getContext("2d");
    pen.clearRect(0, 0, width, height);
    if (!song?.length) return;
    const style = getComputedStyle(canvas);
    const colour = (name) => style.getPropertyValue(name).trim();
    const [heardColour, restColour] = (
      this.muted ? ["--wave-muted", "--wave-muted"] : ["--accent", "--wave"]
    ).map(colour);
    const perPixel = song.length / width;
    const loop = this.drag ?? this.loop;
    if (loop) {
      pen.fillStyle = colour("--loop");
      pen.fillRect(loop.from / perPixel, 0, (loop.to - loop.from) / perPixel, height);
    }
    const peaks = song.peaks[this.stem];
    const bar = Math.max(1, Math.round(2 * scale));
    for (let x = 0; x < width; x += bar + scale) {
      const begin = Math.floor(x * perPixel * PEAKS_PER_SECOND);
      const end = Math.max(begin + 1, Math.floor((x + bar + scale) * perPixel * PEAKS_PER_SECOND));
      if (begin >= peaks.length) break;
      let peak = 0;
      for (let i = begin; i < Math.min(end, peaks.length); i++) peak = Math.max(peak, peaks[i]);
      const size = Math.max(scale, Math.min(1, peak) ** 0.8 * height * 0.94);
      pen.fillStyle = x * perPixel < this.position ? heardColour : restColour;
      pen.fillRect(x, (height - size) / 2, bar, size);
    }
    pen.fillStyle = colour("--text");
    pen.fillRect(this.position / perPixel, 0, Math.max(1, scale), height);
  }

  #pixelsPerSecond() {
    return this.canvas.clientWidth / (this.song?.length || 1);
  }

  #seconds(event) {
    const place = event.clientX - this.canvas.getBoundingClientRect().left;
    return Math.min(Math.max(0, place / this.#pixelsPerSecond()), this.song?.length ?? 0);
  }
}
