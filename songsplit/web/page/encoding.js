// Encodes WAV, FLAC and MP3 files in the browser, with a library that is loaded at first use.

const MP3_BITRATE = 256_000;
const CHUNK_SECONDS = 10;

/** Encode samples, one Float32Array per channel; samples that would clip are turned down. */
export async function encode(channels, sampleRate, format) {
  const most = { wav: Infinity, flac: 8, mp3: 2 }[format];
  if (channels.length > most) {
    throw new Error(`${format} files have at most ${most} channels, not ${channels.length}`);
  }
  const media = await import("./vendor/mediabunny.mjs");
  const codecs = { wav: "pcm-s24", flac: "flac", mp3: "mp3" };
  const outputs = {
    wav: media.WavOutputFormat,
    flac: media.FlacOutputFormat,
    mp3: media.Mp3OutputFormat,
  };
  if (format === "mp3" && !(await media.canEncodeAudio("mp3"))) {
    (await import("./vendor/mediabunny-mp3-encoder.mjs")).registerMp3Encoder();
  }
  if (format === "flac" && !(await media.canEncodeAudio("flac"))) {
    (await import("./vendor/mediabunny-flac-encoder.mjs")).registerFlacEncoder();
  }
  const target = new media.BufferTarget();
  const output = new media.Output({ format: new outputs[format](), target });
  const config = { codec: codecs[format], bitrate: format === "mp3" ? MP3_BITRATE : undefined };
  const source = new media.AudioSampleSource(config);
  output.addAudioTrack(source);
  await output.start();
  const scale = 1 / peak(channels);
  const step = CHUNK_SECONDS * sampleRate;
  for (let start = 0; start < channels[0].length; start += step) {
    const parts = channels.map((channel) =>
      channel.slice(start, start + step).map((value) => value * scale),
    );
    const data = new Float32Array(parts.length * parts[0].length);
    parts.forEach((part, c) => data.set(part, c * part.length));
    const sample = new media.AudioSample({
      data,
      format: "f32-planar",
      numberOfChannels: parts.length,
      sampleRate,
      timestamp: start / sampleRate,
    });
    await source.add(sample);
    sample.close();
  }
  await output.finalize();
  return new Blob([target.buffer]);
}

/** Return the largest absolute value, at least 1. */
function peak(channels) {
  let found = 1;
  for (const channel of channels) {
    for (const value of channel) found = Math.max(found, Math.abs(value));
  }
  return found;
}
