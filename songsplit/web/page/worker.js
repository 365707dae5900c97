// The worker of the browser engine, which runs the network in ONNX Runtime.

import { Masking } from "./masking.js";
import * as ort from "./vendor/ort.wasm.min.mjs";

ort.env.wasm.wasmPaths = new URL("./vendor/", import.meta.url).href;
ort.env.logLevel = "error";

let loading = null;

async function load(model, threads) {
  ort.env.wasm.numThreads = threads;
  const session = await ort.InferenceSession.create(model.file, { executionProviders: ["wasm"] });
  const bands = model.config.bands.reduce(
    ([count, start], [stop, width]) => [count + (stop - start) / width, stop],
    [0, 0],
  )[0];
  return new Masking(model.config, async (powers, frames) => {
    const input = new ort.Tensor("float32", powers, [1, 4, bands, frames]);
    const { masks } = await session.run({ powers: input });
    const values = masks.data;
    return values;
  });
}

self.onmessage = async ({ data: { model, threads, channels } }) => {
  try {
    loading ??= load(model, threads);
    const masking = await loading;
    if (!channels) {
      self.postMessage({ type: "ready" });
      return;
    }
    let start = 0;
    for await (const vocals of masking.vocals(channels)) {
      const frames = vocals[0].length;
      const instrumental = channels.map((channel, c) =>
        channel.slice(start, start + frames).map((value, i) => value - vocals[c][i]),
      );
      start += frames;
      const buffers = [...vocals, ...instrumental].map((samples) => samples.buffer);
      self.postMessage({ type: "stems", vocals, instrumental }, buffers);
    }
    self.postMessage({ type: "end" });
  } catch (error) {
    self.postMessage({ type: "error", message: error.message });
  }
};
