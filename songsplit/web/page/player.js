// Plays the stems of a song in sync, each at its own level, also while they arrive.

import { STEMS } from "./song.js";

const AHEAD_SECONDS = 3; // timers of hidden pages run once a second
const TICK_MS = 100;
const RAMP_SECONDS = 0.015; // against clicks

export class Player extends EventTarget {
  constructor(song) {
    super();
    this.song = song;
    this.levels = { vocals: 1, instrumental: 1 };
    this.loop = null; // {from, to} in seconds
    this.tempo = 1;
    this.key = 0;
    this.playing = false; // whether the user has pressed play
    this.running = false; // whether sound is playing, which starts after a delay
    this.waiting = false; // for samples, at another tempo or key
    this.place = 0; // start of playback in seconds
    this.turn = 0; // number of starts and stops
    this.fed = 0; // chunks passed to the node for tempo and key
  }

  /** The position in seconds. */
  get position() {
    if (!this.running || this.waiting) return this.place;
    const now = this.context.currentTime;
    if (this.isStretched) {
      const position = this.place + Math.max(0, now - this.since) * this.tempo;
      const loop = this.#bounds();
      if (loop && position > loop.to) {
        return loop.from + ((position - loop.from) % (loop.to - loop.from));
      }
      return Math.min(position, this.song.seconds);
    }
    const current = this.segments.findLast((segment) => segment.time <= now);
    if (!current) return this.place;
    return current.place + Math.min(now - current.time, current.seconds);
  }

  async play() {
    if (this.playing || !this.song.frames) return;
    this.playing = true;
    this.dispatchEvent(new Event("change"));
    await this.#start();
  }

  pause() {
    this.#stop();
    if (!this.playing) return;
    this.playing = false;
    this.dispatchEvent(new Event("change"));
  }

  /** Move to a position and continue to play. */
  async seek(seconds) {
    this.#stop();
    this.place = Math.min(Math.max(0, seconds), this.song.seconds);
    this.dispatchEvent(new Event("change"));
    if (this.playing) await this.#start();
  }

  async setLoop(loop) {
    const place = this.position;
    this.loop = loop;
    await this.seek(loop && (place < loop.from || place >= loop.to) ? loop.from : place);
  }

  async setSpeed(tempo, key) {
    this.#stop();
    Object.assign(this, { tempo, key });
    if (this.playing) await this.#start();
  }

  setLevels(levels) {
    Object.assign(this.levels, levels);
    if (!this.context) return;
    for (const stem of STEMS) {
      const { gain } = this.gains[stem];
      gain.setTargetAtTime(this.levels[stem], this.context.currentTime, RAMP_SECONDS);
    }
  }

  /** Use new samples. */
  arrived() {
    if (!this.node) return;
    this.#feed();
    if (this.waiting) this.#startStretched();
  }

  close() {
    this.pause();
    this.context?.close();
    this.context = null;
  }

  async #start() {
    const turn = ++this.turn;
    try {
      this.#prepare();
      await this.context.resume();
      if (turn !== this.turn) return; // a later start or stop replaces this one
      if (this.tempo !== 1 || this.key !== 0) {
        this.stretch ??= makeStretch(this.context, this.song.channels, this.gains);
        this.node = await this.stretch;
        if (turn !== this.turn) return;
        this.#feed();
      }
    } catch (error) {
      if (turn !== this.turn) return;
      this.stretch = null;
      this.pause();
      throw error;
    }
    const loop = this.#bounds();
    if (loop && this.place >= loop.to) this.place = loop.from;
    if (this.place >= this.song.seconds && this.song.state !== "working") this.place = 0;
    this.isStretched = this.tempo !== 1 || this.key !== 0;
    this.running = true;
    this.timer = setInterval(() => this.#tick(), TICK_MS);
    if (this.isStretched) this.#startStretched();
    else this.#startPlain();
  }

  #stop() {
    this.turn++;
    if (!this.running) return;
    this.place = this.position;
    this.running = this.waiting = false;
    clearInterval(this.timer);
    this.sources.forEach((source) => source.stop());
    this.sources.clear();
    this.node?.stop();
  }

  /** The loop, limited to the available part of the song. */
  #bounds() {
    if (!this.loop) return null;
    const { from, to } = this.loop;
    const end = this.song.state === "working" ? Infinity : this.song.seconds;
    return from < Math.min(to, end) ? { from, to: Math.min(to, end) } : null;
  }

  #prepare() {
    if (this.context) return;
    this.context = new AudioContext({ sampleRate: this.song.sampleRate });
    this.gains = {};
    for (const stem of STEMS) {
      this.gains[stem] = new GainNode(this.context, { gain: this.levels[stem] });
      this.gains[stem].connect(this.context.destination);
    }
    this.sources = new Set();
  }

  #startPlain() {
    // Whole frames, so that chunks follow each other without gaps.
    const rate = this.song.sampleRate;
    this.nextFrame = Math.ceil((this.context.currentTime + 0.05) * rate);
    this.next = Math.round(this.place * rate);
    this.segments = [];
    this.#tick();
  }

  #tick() {
    if (this.isStretched) {
      if (this.waiting && this.song.state !== "working") this.#end();
      else if (!this.#bounds() || this.#bounds().to > this.song.seconds) this.#checkEnd();
      return;
    }
    const { song, context } = this;
    const rate = song.sampleRate;
    const bounds = this.#bounds();
    const loop = bounds && {
      from: Math.round(bounds.from * rate),
      to: Math.round(bounds.to * rate),
    };
    while (this.nextFrame / rate < context.currentTime + AHEAD_SECONDS) {
      if (loop && this.next >= loop.to) this.next = loop.from;
      const chunk = song.chunks.find(
        (c) => c.start <= this.next && this.next < c.start + c.frames,
      );
      if (!chunk) {
        if (song.state !== "working") {
          if (context.currentTime >= this.nextFrame / rate) this.#end();
          return;
        }
        // The separation is slower than playback: wait for it.
        this.nextFrame = Math.max(this.nextFrame, Math.ceil((context.currentTime + 0.05) * rate));
        return;
      }
      const stop = Math.min(chunk.start + chunk.frames, loop ? loop.to : Infinity);
      this.#schedule(chunk, stop - this.next);
    }
    const kept = this.segments.findLastIndex((segment) => segment.time <= context.currentTime);
    if (kept > 0) this.segments.splice(0, kept);
  }

  #schedule(chunk, frames) {
    const rate = this.song.sampleRate;
    for (const stem of STEMS) {
      const buffer = new AudioBuffer({
        length: frames,
        numberOfChannels: this.song.channels,
        sampleRate: rate,
      });
      const from = this.next - chunk.start;
      chunk[stem].forEach((samples, channel) =>
        buffer.copyToChannel(samples.subarray(from, from + frames), channel),
      );
      const source = new AudioBufferSourceNode(this.context, { buffer });
      source.connect(this.gains[stem]);
      source.start(this.nextFrame / rate);
      source.onended = () => this.sources.delete(source);
      this.sources.add(source);
    }
    const time = this.nextFrame / rate;
    this.segments.push({ time, place: this.next / rate, seconds: frames / rate });
    this.nextFrame += frames;
    this.next += frames;
  }

  /** At the end of the available samples, wait for more or stop. */
  #checkEnd() {
    if (this.waiting || this.position < this.song.seconds) return;
    if (this.song.state !== "working") {
      this.#end();
      return;
    }
    this.place = this.position;
    this.waiting = true;
    this.node.stop();
  }

  #startStretched() {
    const loop = this.#bounds();
    this.waiting = false;
    this.since = this.context.currentTime + 0.1;
    this.node.schedule({
      active: true,
      output: this.since,
      input: this.place,
      rate: this.tempo,
      semitones: this.key,
      loopStart: loop?.from ?? 0,
      loopEnd: loop?.to ?? 0,
    });
  }

  #feed() {
    for (; this.fed < this.song.chunks.length; this.fed++) {
      const chunk = this.song.chunks[this.fed];
      this.node.addBuffers(STEMS.flatMap((stem) => chunk[stem].map((channel) => channel.slice())));
    }
  }

  #end() {
    this.pause();
    this.place = 0;
    this.dispatchEvent(new Event("change"));
  }
}

/** Create a node that changes tempo and key of all stems, connected to their gains. */
async function makeStretch(context, channels, gains) {
  const { default: SignalsmithStretch } = await import("./vendor/signalsmith-stretch.mjs");
  // The page's security policy refuses the default, a blob, so use a file.
  SignalsmithStretch.moduleUrl = new URL("./vendor/signalsmith-stretch.mjs", import.meta.url).href;
  const count = STEMS.length * channels;
  const node = await SignalsmithStretch(context, {
    numberOfInputs: 0,
    numberOfOutputs: 1,
    outputChannelCount: [count],
  });
  const splitter = new ChannelSplitterNode(context, { numberOfOutputs: count });
  node.connect(splitter);
  STEMS.forEach((stem, index) => {
    const merger = new ChannelMergerNode(context, { numberOfInputs: channels });
    for (let c = 0; c < channels; c++) splitter.connect(merger, index * channels + c, c);
    merger.connect(gains[stem]);
  });
  return node;
}

/** Render the whole mix: one Float32Array per channel. */
export async function render(song, { levels, tempo, key }) {
  if (tempo === 1 && key === 0) {
    const [first, ...others] = STEMS.map((stem) => [song.samples(stem), levels[stem]]);
    return first[0].map((channel, c) =>
      channel.map((value, i) => others.reduce((sum, [s, g]) => sum + g * s[c][i], first[1] * value)),
    );
  }
  const length = Math.ceil(song.frames / tempo);
  const context = new OfflineAudioContext(song.channels, length, song.sampleRate);
  const gains = {};
  for (const stem of STEMS) {
    gains[stem] = new GainNode(context, { gain: levels[stem] });
    gains[stem].connect(context.destination);
  }
  const node = await makeStretch(context, song.channels, gains);
  await node.addBuffers(STEMS.flatMap((stem) => song.samples(stem)));
  await node.schedule({ active: true, output: 0, input: 0, rate: tempo, semitones: key });
  const buffer = await context.startRendering();
  return Array.from({ length: song.channels }, (_, c) => buffer.getChannelData(c));
}
