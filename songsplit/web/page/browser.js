// The engine that needs no server: this browser separates by itself, in a worker.

import { encode } from "./encoding.js";

const MOST_THREADS = 4;

export class BrowserEngine {
  constructor(capabilities) {
    this.capabilities = capabilities;
    [this.model] = capabilities.models;
    // Threads need a page that is isolated from others; one thread always works.
    this.threads = globalThis.crossOriginIsolated
      ? Math.min(MOST_THREADS, navigator.hardwareConcurrency || 1)
      : 1;
    this.#start();
    navigator.serviceWorker?.register("offline.js");
  }

  async separate({ file, name, signal, on }) {
    const buffer = await decode(file, name, this.model.config.sample_rate);
    signal.throwIfAborted();
    const channels = Array.from({ length: buffer.numberOfChannels }, (_, c) =>
      buffer.getChannelData(c).slice(),
    );
    on({
      type: "start",
      sampleRate: buffer.sampleRate,
      channels: channels.length,
      seconds: buffer.duration,
      song: "",
    });
    await new Promise((resolve, reject) => {
      signal.addEventListener("abort", () => {
        // Nothing else ends a computation in WebAssembly.
        this.worker.terminate();
        this.#start();
        reject(signal.reason);
      });
      this.worker.onerror = (event) => reject(new Error(event.message || "the worker failed"));
      this.worker.onmessage = ({ data }) => {
        if (data.type === "stems") on(data);
        if (data.type === "end") resolve();
        if (data.type === "error") reject(new Error(data.message));
      };
      const buffers = channels.map((samples) => samples.buffer);
      this.worker.postMessage({ channels }, buffers);
    });
  }

  encode(channels, { sampleRate, format }) {
    return encode(channels, sampleRate, format);
  }

  #start() {
    this.worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
    const file = new URL(this.model.file, document.baseURI).href;
    this.worker.postMessage({ model: { ...this.model, file }, threads: this.threads });
  }
}

async function decode(file, name, sampleRate) {
  const bytes = await file.arrayBuffer();
  try {
    return await new OfflineAudioContext(1, 1, sampleRate).decodeAudioData(bytes);
  } catch {
    throw new Error(
      `this browser cannot read ${name}: choose a song as MP3, M4A, FLAC or WAV, or use songsplit app`,
    );
  }
}
