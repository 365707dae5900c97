// WAV files of 24 bits.

const BYTES = 3;
const FULL_SCALE = 2 ** 23 - 1;

/** Turn samples, one Float32Array a channel, into a WAV file; too loud ones are turned down. */
export function wav(channels, sampleRate) {
  const frames = channels[0].length;
  const length = frames * channels.length * BYTES;
  const view = new DataView(new ArrayBuffer(44 + length));
  const text = (place, word) => [...word].forEach((c, i) => view.setUint8(place + i, c.charCodeAt(0)));
  text(0, "RIFF");
  view.setUint32(4, 36 + length, true);
  text(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true);
  view.setUint16(22, channels.length, true);
  view.setUint32(24, sampleRate, true);
  view.setUint32(28, sampleRate * channels.length * BYTES, true);
  view.setUint16(32, channels.length * BYTES, true);
  view.setUint16(34, 8 * BYTES, true);
  text(36, "data");
  view.setUint32(40, length, true);
  let peak = 1;
  for (const channel of channels) {
    for (const value of channel) peak = Math.max(peak, Math.abs(value));
  }
  let place = 44;
  for (let i = 0; i < frames; i++) {
    for (const channel of channels) {
      const value = Math.round((channel[i] / peak) * FULL_SCALE);
      view.setUint16(place, value & 0xffff, true);
      view.setInt8(place + 2, value >> 16);
      place += BYTES;
    }
  }
  return new Blob([view], { type: "audio/wav" });
}
