// The engine without a server: the browser separates songs in a worker.

import { encode } from "./encoding.js";

const MOST_THREADS = 4;

export class BrowserEngine {
  constructor(capabilities) {
    [this.model] = capabilities.models;
    this.capabilities = { ...capabilities, sampleRate: this.model.config.sample_rate };
    // Several threads need a cross-origin isolated page.
    this.threads = globalThis.crossOriginIsolated
      ? Math.min(MOST_THREADS, navigator.hardwareConcurrency || 1)
      : 1;
    this.#start();
    navigator.serviceWorker?.register("offline.js");
  }

  async separate({ file, name, signal, on }) {
    const { sampleRate } = this.capabilities;
    const channels = await decode(file, name, sampleRate);
    signal.throwIfAborted();
    on({
      type: "start",
      sampleRate,
      channels: channels.length,
      seconds: channels[0].length / sampleRate,
      song: "",
    });
    const ended = new Promise((resolve, reject) => {
      signal.addEventListener("abort", () => reject(signal.reason), { once: true });
      this.worker.onmessage = ({ data }) => {
        if (data.type === "stems") on(data);
        if (data.type === "end") resolve();
        if (data.type === "error") reject(new Error(data.message));
      };
      const buffers = channels.map((samples) => samples.buffer);
      this.worker.postMessage({ channels }, buffers);
    });
    try {
      await Promise.race([ended, this.failed]);
    } catch (error) {
      // Only a new worker stops a computation in WebAssembly and loads the model again.
      this.worker.terminate();
      this.#start();
      throw error;
    }
  }

  encode(channels, { sampleRate, format }) {
    return encode(channels, sampleRate, format);
  }

  #start() {
    this.worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
    this.failed = new Promise((_, reject) => {
      this.worker.onerror = (event) => reject(new Error(event.message || "the worker failed"));
    });
    this.failed.catch(() => {}); // separate() reports the error
    const file = new URL(this.model.file, document.baseURI).href;
    this.worker.postMessage({ model: { ...this.model, file }, threads: this.threads });
  }
}

async function decode(file, name, sampleRate) {
  if (!file.size) throw new Error(`${name}: the file is empty`);
  try {
    const bytes = await file.arrayBuffer();
    const audio = await new OfflineAudioContext(1, 1, sampleRate).decodeAudioData(bytes);
    return Array.from({ length: audio.numberOfChannels }, (_, c) => audio.getChannelData(c).slice());
  } catch {
    throw new Error(
      `This browser cannot read ${name}. Use an MP3, M4A, FLAC or WAV file, or songsplit app.`,
    );
  }
}
