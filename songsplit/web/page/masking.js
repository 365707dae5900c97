// STFT, band powers, masks, inverse STFT and overlap-add around the network.
// Computes the same as songsplit's dsp, models and inference packages.

import FFT from "./vendor/fft.mjs";

const EDGE_BINS = 16; // highest masked bins, whose mean is the mask of all bins above
const CHUNK = { seconds: 18, margin: 1.5, fade: 0.5 };
// Thresholds of the covariance of left and right, divided by the power of the louder one, and of
// their correlation.
const APART = { from: 0.1, until: 0.2 };
const OPPOSITE = { from: -0.4, until: 0 };

export class Masking {
  /** `config` is the model's configuration; `network` maps (4, bands, frames) to (2, bands, frames). */
  constructor(config, network) {
    Object.assign(this, { config, network });
    this.size = config.n_fft;
    this.hop = config.hop_length;
    this.bins = this.size / 2 + 1;
    this.fft = new FFT(this.size);
    this.window = Float64Array.from(
      { length: this.size },
      (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / this.size),
    );
    this.bandOf = bandOfBins(config.bands);
    this.bandCount = this.bandOf[this.bandOf.length - 1] + 1;
  }

  /**
   * Separate channels, one Float32Array each, at the model's rate. Yields blocks of the vocals: an
   * array with one Float32Array per channel.
   */
  async *vocals(channels) {
    const samples = channels[0].length;
    const grid = this.hop * 2 ** (this.config.widths.length - 1);
    const onGrid = (seconds) =>
      Math.max(1, Math.round((seconds * this.config.sample_rate) / grid)) * grid;
    const [chunk, margin, fade] = [CHUNK.seconds, CHUNK.margin, CHUNK.fade].map(onGrid);
    const step = chunk - 2 * margin - fade;
    const sides = new Sides(channels.length);
    let tail = null;
    for (let start = 0; ; start += step) {
      const isLast = start + chunk >= samples;
      const part = channels.map((channel) => channel.subarray(start, start + chunk));
      const made = await this.#chunk(part, sides);
      const begin = tail ? margin : 0;
      const end = isLast ? made[0].length : chunk - margin;
      if (tail) {
        made.forEach((channel, c) => {
          for (let i = 0; i < fade; i++) {
            const rise = (i + 1) / (fade + 1);
            channel[begin + i] = rise * channel[begin + i] + (1 - rise) * tail[c][i];
          }
        });
      }
      yield made.map((channel) => channel.slice(begin, isLast ? end : end - fade));
      if (isLast) return;
      tail = made.map((channel) => channel.slice(end - fade, end));
    }
  }

  async #chunk(channels, sides) {
    // The network does not depend on the level, but squares must fit the range of float32.
    let peak = 0;
    for (const channel of channels) {
      for (const value of channel) peak = Math.max(peak, Math.abs(value));
    }
    const { pairs, signs } = sides.decide(channels, peak);
    const scales = signs.map((sign) => sign * (peak || 1));
    const out = [];
    for (const [left, right] of pairs) {
      const made = await this.#pair(channels[left], channels[right], scales[left], scales[right]);
      if (left === right) out.push(made[0].map((value, i) => (value + made[1][i]) / 2));
      else out.push(...made);
    }
    return out;
  }

  async #pair(left, right, ...scales) {
    const spectra = this.#stft(left, right, ...scales);
    const frames = spectra.length;
    const masks = await this.network(this.#powers(spectra), frames);
    spectra.forEach((spectrum, t) => this.#apply(spectrum, masks, t, frames));
    return this.#inverse(spectra, left.length, ...scales);
  }

  /** Transform both channels at once, left as the real and right as the imaginary part. */
  #stft(left, right, leftScale, rightScale) {
    const { size, hop, window, fft } = this;
    const frames = 1 + Math.floor(left.length / hop);
    const input = new Float64Array(2 * size);
    const all = new Float64Array(2 * size);
    const [inLeft, inRight] = [1 / leftScale, 1 / rightScale];
    return Array.from({ length: frames }, (_, t) => {
      const first = t * hop - size / 2;
      const [begin, end] = [Math.max(0, -first), Math.min(size, left.length - first)];
      if (begin > 0 || end < size) input.fill(0);
      for (let i = begin; i < end; i++) {
        input[2 * i] = left[first + i] * window[i] * inLeft;
        input[2 * i + 1] = right[first + i] * window[i] * inRight;
      }
      fft.transform(all, input);
      return this.#channels(all);
    });
  }

  /** Return the spectra of two real signals from the spectrum of their complex sum. */
  #channels(all) {
    const { size, bins } = this;
    const spectrum = new Float32Array(4 * bins); // left real, left imaginary, right, right
    for (let k = 0; k < bins; k++) {
      const m = (size - k) % size;
      const [a, b, c, d] = [all[2 * k], all[2 * k + 1], all[2 * m], all[2 * m + 1]];
      spectrum[4 * k] = (a + c) / 2;
      spectrum[4 * k + 1] = (b - d) / 2;
      spectrum[4 * k + 2] = (b + d) / 2;
      spectrum[4 * k + 3] = (c - a) / 2;
    }
    return spectrum;
  }

  /** Mean powers of left, right, mid and side in each band. */
  #powers(spectra) {
    const { bandOf, bandCount } = this;
    const frames = spectra.length;
    const powers = new Float32Array(4 * bandCount * frames);
    const shares = new Float64Array(bandCount);
    for (const band of bandOf) shares[band] += 1;
    for (let band = 0; band < bandCount; band++) shares[band] = 1 / shares[band];
    // Sum frame by frame, because the values of a frame are far apart in the result.
    const own = new Float64Array(4 * bandCount);
    spectra.forEach((s, t) => {
      own.fill(0);
      for (let k = 0; k < bandOf.length; k++) {
        const [a, b, c, d] = [s[4 * k], s[4 * k + 1], s[4 * k + 2], s[4 * k + 3]];
        const band = bandOf[k];
        own[band] += a * a + b * b;
        own[bandCount + band] += c * c + d * d;
        own[2 * bandCount + band] += ((a + c) * (a + c) + (b + d) * (b + d)) / 4;
        own[3 * bandCount + band] += ((a - c) * (a - c) + (b - d) * (b - d)) / 4;
      }
      for (let i = 0; i < own.length; i++) powers[i * frames + t] = own[i] * shares[i % bandCount];
    });
    return powers;
  }

  #apply(spectrum, masks, t, frames) {
    const { bandOf, bandCount, bins } = this;
    const masked = bandOf.length;
    const own = new Float64Array(2 * bandCount);
    for (let i = 0; i < own.length; i++) own[i] = masks[i * frames + t];
    for (let channel = 0; channel < 2; channel++) {
      const first = channel * bandCount;
      let edge = 0;
      for (let k = masked - EDGE_BINS; k < masked; k++) edge += own[first + bandOf[k]] / EDGE_BINS;
      for (let k = 0; k < bins; k++) {
        const mask = k < masked ? own[first + bandOf[k]] : edge;
        spectrum[4 * k + 2 * channel] *= mask;
        spectrum[4 * k + 2 * channel + 1] *= mask;
      }
    }
  }

  /** Return the sum of the squared windows; all chunks but the last have the same length. */
  #weight(samples) {
    if (this.weights?.length === samples) return this.weights;
    const { size, hop, window } = this;
    this.weights = new Float32Array(samples);
    for (let t = 0; t <= Math.floor(samples / hop); t++) {
      const first = t * hop - size / 2;
      for (let i = Math.max(0, -first); i < Math.min(size, samples - first); i++) {
        this.weights[first + i] += window[i] ** 2;
      }
    }
    return this.weights;
  }

  #inverse(spectra, samples, leftScale, rightScale) {
    const { size, hop, window, fft, bins } = this;
    const left = new Float32Array(samples);
    const right = new Float32Array(samples);
    const weight = this.#weight(samples);
    const all = new Float64Array(2 * size);
    const signal = new Float64Array(2 * size);
    spectra.forEach((s, t) => {
      for (let k = 0; k < bins; k++) {
        const [a, b, c, d] = [s[4 * k], s[4 * k + 1], s[4 * k + 2], s[4 * k + 3]];
        all[2 * k] = a - d;
        all[2 * k + 1] = b + c;
        if (k > 0 && k < size / 2) {
          all[2 * (size - k)] = a + d;
          all[2 * (size - k) + 1] = c - b;
        }
      }
      fft.inverseTransform(signal, all);
      const first = t * hop - size / 2;
      const end = Math.min(size, samples - first);
      for (let i = Math.max(0, -first); i < end; i++) {
        left[first + i] += signal[2 * i] * window[i];
        right[first + i] += signal[2 * i + 1] * window[i];
      }
    });
    for (let i = 0; i < samples; i++) {
      left[i] *= leftScale / weight[i];
      right[i] *= rightScale / weight[i];
    }
    return [left, right];
  }
}

/**
 * Decides for each chunk how the left and right channels are passed to the network, as songsplit's
 * inference.pipeline does: separately if they have little in common, and with the right one
 * inverted if they are nearly opposite.
 */
class Sides {
  constructor(channels) {
    Object.assign(this, { channels, isApart: false, isOpposite: false, loudest: 0 });
  }

  /** Return pairs of channels for left and right, and a sign for each channel. */
  decide(channels, peak) {
    const single = channels.map((_, channel) => [channel, channel]);
    const signs = channels.map(() => 1);
    if (channels.length === 1) return { pairs: single, signs };
    const [left, right, both] = covariances(channels[0], channels[1]);
    const louder = Math.max(left, right);
    this.loudest = Math.max(this.loudest, louder);
    // Hysteresis keeps decisions from alternating. Chunks 20 dB below the loudest are ignored.
    if (peak && louder > this.loudest / 100) {
      this.isApart = Math.abs(both) < (this.isApart ? APART.until : APART.from) * louder;
      const most = this.isOpposite ? OPPOSITE.until : OPPOSITE.from;
      this.isOpposite = both < most * Math.sqrt(left * right);
    }
    if (this.isOpposite) signs[1] = -1;
    return { pairs: this.isApart ? single : [[0, 1], ...single.slice(2)], signs };
  }
}

/** Return the variances of left and right, and their covariance. */
function covariances(left, right) {
  const n = left.length;
  let [l, r, ll, rr, lr] = [0, 0, 0, 0, 0];
  for (let i = 0; i < n; i++) {
    l += left[i];
    r += right[i];
    ll += left[i] * left[i];
    rr += right[i] * right[i];
    lr += left[i] * right[i];
  }
  return [ll / n - (l / n) ** 2, rr / n - (r / n) ** 2, lr / n - (l * r) / n ** 2];
}

/** Return the number of the band of each bin; `bands` are pairs of a stop bin and a width. */
function bandOfBins(bands) {
  const out = [];
  let band = 0;
  for (const [stop, width] of bands) {
    for (; out.length < stop; band++) {
      for (let i = 0; i < width; i++) out.push(band);
    }
  }
  return Int32Array.from(out);
}
