// The engine that uses songsplit's local server.

const BROKEN_OFF =
  "The connection to songsplit was lost. Check that songsplit is running and the song still exists.";

export class LocalEngine {
  constructor(capabilities) {
    this.capabilities = capabilities;
  }

  /** Separate a file or, with `given`, a song from the server's command line. */
  async separate({ file, given, name, model, quality, signal, on }) {
    const query = new URLSearchParams({ name, model, quality });
    if (given !== undefined) query.set("given", given);
    const body = given === undefined ? file : null;
    const answer = await post(`api/separate?${query}`, { body, signal });
    let channels = 0;
    for await (const { head, data } of messages(answer.body)) {
      if (head.type === "error") throw new Error(head.message);
      if (head.type === "end") return;
      if (head.type === "start") channels = head.channels;
      on(head.type === "stems" ? { type: "stems", ...split(data, channels) } : head);
    }
    throw new Error(BROKEN_OFF);
  }

  async encode(channels, { sampleRate, format, song, stem }) {
    const query = new URLSearchParams({ format, rate: sampleRate, channels: channels.length, song });
    if (stem) query.set("stem", stem);
    const answer = await post(`api/encode?${query}`, { body: new Blob(channels) });
    return answer.blob();
  }
}

async function post(address, options) {
  const answer = await fetch(address, { method: "POST", ...options }).catch((error) => {
    throw error.name === "AbortError" ? error : new Error(BROKEN_OFF);
  });
  if (!answer.ok) throw new Error((await answer.json()).error);
  return answer;
}

async function* messages(stream) {
  const reader = stream.getReader();
  let held = new Uint8Array(0);
  const fill = async (count) => {
    const pieces = [held];
    let length = held.length;
    while (length < count) {
      const { done, value } = await reader.read().catch((error) => {
        throw error.name === "AbortError" ? error : new Error(BROKEN_OFF);
      });
      if (done) return false;
      pieces.push(value);
      length += value.length;
    }
    held = join(pieces, length);
    return true;
  };
  while (await fill(4)) {
    const size = new DataView(held.buffer, held.byteOffset).getUint32(0, true);
    if (!(await fill(4 + size))) return;
    const head = JSON.parse(new TextDecoder().decode(held.subarray(4, 4 + size)));
    if (!(await fill(4 + size + head.bytes))) return;
    const data = held.slice(4 + size, 4 + size + head.bytes);
    held = held.slice(4 + size + head.bytes);
    yield { head, data: new Float32Array(data.buffer) };
  }
}

function join(pieces, length) {
  const all = new Uint8Array(length);
  let place = 0;
  for (const piece of pieces) {
    all.set(piece, place);
    place += piece.length;
  }
  return all;
}

function split(samples, channels) {
  const frames = samples.length / channels / 2;
  const part = (index) => samples.subarray(index * frames, (index + 1) * frames);
  const stem = (first) => Array.from({ length: channels }, (_, index) => part(first + index));
  return { vocals: stem(0), instrumental: stem(channels) };
}
