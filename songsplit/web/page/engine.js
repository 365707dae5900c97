// Finds the engine that separates songs: songsplit's local server, or the browser.
//
// An engine has `capabilities` and two functions:
// separate({file, given, name, model, quality, signal, on}) calls `on` with
//   {type: "waiting"}, {type: "start", sampleRate, channels, seconds, song} and
//   {type: "stems", vocals, instrumental}, with one Float32Array per channel for each;
// encode(channels, {sampleRate, format, song, stem}) returns a file as a Blob.

import { BrowserEngine } from "./browser.js";
import { LocalEngine } from "./local.js";

/** Return the engine, or null if there is none. */
export async function findEngine() {
  const answer = await fetch("api/engine").catch(() => null);
  if (!answer?.ok) return null;
  const capabilities = await answer.json().catch(() => null);
  if (!capabilities) return null;
  return capabilities.kind === "local"
    ? new LocalEngine(capabilities)
    : new BrowserEngine(capabilities);
}
