// The engine of the player on the home page: it fetches the stems that were made with the site.

for (const place of ["header", "#drop", ".hint", ".cards", "footer"]) {
  document.querySelector(place).hidden = true;
}

export async function findEngine() {
  const models = [{ name: "default", terms: "" }];
  const songs = ["Lithium, by Software-Entwicklungskit (CC0)"];
  return { capabilities: { formats: [], models, qualities: [], songs, version: "" }, separate };
}

async function separate({ on }) {
  const context = new OfflineAudioContext(1, 1, 44100);
  const read = async (stem) => {
    const file = await fetch(`${stem}.mp3`);
    const audio = await context.decodeAudioData(await file.arrayBuffer());
    return Array.from({ length: audio.numberOfChannels }, (_, c) => audio.getChannelData(c));
  };
  const [vocals, instrumental] = await Promise.all([read("vocals"), read("instrumental")]);
  const [channels, seconds] = [vocals.length, vocals[0].length / context.sampleRate];
  on({ type: "start", sampleRate: context.sampleRate, channels, seconds, song: "" });
  on({ type: "stems", vocals, instrumental });
}
