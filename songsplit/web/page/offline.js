// Caches the page for offline use, and isolates it, so that it can use several threads.
// Each version of the site has its own cache, because files of two versions may not match.
const SITE = `songsplit ${self.registration.scope}`;
const CACHE = `${SITE} VERSION`; // `songsplit app --export` writes the version
const ISOLATED = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
  "Cross-Origin-Resource-Policy": "same-origin",
};

self.addEventListener("install", (event) => {
  self.skipWaiting();
  event.waitUntil(keepAll());
});

self.addEventListener("activate", (event) => {
  event.waitUntil(Promise.all([removeOthers(), self.clients.claim()]));
});

self.addEventListener("fetch", (event) => {
  const isOwn = new URL(event.request.url).origin === self.location.origin;
  if (event.request.method === "GET" && isOwn) event.respondWith(answer(event.request));
});

async function keepAll() {
  const engine = await (await fetch("api/engine", { cache: "no-cache" })).json();
  const cache = await caches.open(CACHE);
  await cache.addAll(["./", ...engine.files].map((file) => new Request(file, { cache: "no-cache" })));
}

async function removeOthers() {
  const isOld = (name) => name.startsWith(`${SITE} `) && name !== CACHE;
  const others = (await caches.keys()).filter(isOld);
  await Promise.all(others.map((name) => caches.delete(name)));
}

/** Serve cached files, and cache others. The browser checks for a new version at each visit. */
async function answer(request) {
  const cache = await caches.open(CACHE);
  let found = await cache.match(request, { ignoreSearch: true });
  if (!found) {
    found = await fetch(request).catch(() => null);
    if (!found) return Response.error();
    if (found.ok) await cache.put(request, found.clone());
  }
  const headers = new Headers(found.headers);
  for (const [name, value] of Object.entries(ISOLATED)) headers.set(name, value);
  return new Response(found.body, { status: found.status, headers });
}
