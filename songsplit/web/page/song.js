// A song whose stems arrive: samples in chunks, and peaks for the waveforms.

export const STEMS = ["vocals", "instrumental"];
/** Number of peaks per second. */
export const PEAKS_PER_SECOND = 50;

export class Song {
  constructor(name) {
    this.name = name;
    this.title = name.replace(/(.)\.[^.]+$/, "$1");
    this.state = "queued"; // then working, then done, failed, or released
    this.message = "";
    this.downloads = 0; // in progress
    this.#clear();
  }

  /** Release the memory of the samples. */
  release() {
    this.state = "released";
    this.#clear();
  }

  /** Set the properties of the samples; `seconds` may be null or an estimate. */
  begin({ sampleRate, channels, seconds, song }) {
    Object.assign(this, { sampleRate, channels, expected: seconds, id: song, state: "working" });
    this.startedAt = performance.now();
  }

  get seconds() {
    return this.sampleRate ? this.frames / this.sampleRate : 0;
  }

  /** The length to draw: the expected length until the song is complete. */
  get length() {
    return this.state === "done" ? this.seconds : Math.max(this.expected ?? 0, this.seconds);
  }

  /** Append samples: for each stem an array with one Float32Array per channel. */
  append(stems) {
    const frames = stems.vocals[0].length;
    this.chunks.push({ start: this.frames, frames, ...stems });
    for (const stem of STEMS) this.#addPeaks(stem, stems[stem], frames);
    this.frames += frames;
  }

  /** Copy `frames` samples of a stem from `start` on; one Float32Array per channel. */
  samples(stem, start = 0, frames = this.frames) {
    const out = Array.from({ length: this.channels }, () => new Float32Array(frames));
    for (const chunk of this.chunks) {
      const from = Math.max(start, chunk.start);
      const to = Math.min(start + frames, chunk.start + chunk.frames);
      if (from >= to) continue;
      out.forEach((channel, index) =>
        channel.set(chunk[stem][index].subarray(from - chunk.start, to - chunk.start), from - start),
      );
    }
    return out;
  }

  #clear() {
    this.chunks = []; // {start, frames, vocals: [Float32Array, ...], instrumental: [...]}
    this.frames = 0;
    this.peaks = { vocals: [], instrumental: [] };
  }

  #addPeaks(stem, channels, frames) {
    const peaks = this.peaks[stem];
    const step = this.sampleRate / PEAKS_PER_SECOND;
    for (let i = 0; i < frames; i++) {
      const place = Math.floor((this.frames + i) / step);
      let peak = peaks[place] ?? 0;
      for (const channel of channels) {
        const value = Math.abs(channel[i]);
        if (value > peak) peak = value;
      }
      peaks[place] = peak;
    }
  }
}
