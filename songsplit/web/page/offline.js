// Keeps the page for use without a network, and isolates it, which lets it compute in threads.

const CACHE = "songsplit";
const ISOLATED = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
  "Cross-Origin-Resource-Policy": "same-origin",
};

self.addEventListener("install", (event) => {
  self.skipWaiting();
  event.waitUntil(keepAll());
});

self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

self.addEventListener("fetch", (event) => {
  const isOwn = new URL(event.request.url).origin === self.location.origin;
  if (event.request.method === "GET" && isOwn) event.respondWith(answer(event.request));
});

async function keepAll() {
  const engine = await (await fetch("api/engine", { cache: "no-cache" })).json();
  const cache = await caches.open(CACHE);
  await cache.addAll(["./", ...engine.files].map((file) => new Request(file, { cache: "no-cache" })));
}

/** Prefer the network, so that a new version is seen at once; what is kept serves without it. */
async function answer(request) {
  const cache = await caches.open(CACHE);
  const kept = await cache.match(request, { ignoreSearch: true });
  let found = kept;
  if (!kept || request.mode === "navigate" || request.url.endsWith("api/engine")) {
    found = await fetch(request).catch(() => kept);
    if (!found) return Response.error();
    if (found.ok && found !== kept) await cache.put(request, found.clone());
  }
  const headers = new Headers(found.headers);
  for (const [name, value] of Object.entries(ISOLATED)) headers.set(name, value);
  return new Response(found.body, { status: found.status, headers });
}
