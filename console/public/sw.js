// Shows a page that says so when there is no connection. Nothing of the API is ever cached.
const CACHE = "agentforge-offline-2";
const OFFLINE = "offline.html";
const SHOWN_OFFLINE = [OFFLINE, "offline.css", "favicon.svg"];

self.addEventListener("install", (event) => {
  event.waitUntil(
    caches
      .open(CACHE)
      .then((cache) => cache.addAll(SHOWN_OFFLINE))
      .then(() => self.skipWaiting()),
  );
});

self.addEventListener("activate", (event) => {
  event.waitUntil(
    caches
      .keys()
      .then((names) => Promise.all(names.filter((name) => name !== CACHE).map((name) => caches.delete(name))))
      .then(() => self.clients.claim()),
  );
});

self.addEventListener("fetch", (event) => {
  const url = new URL(event.request.url);
  if (event.request.mode === "navigate") {
    event.respondWith(fetch(event.request).catch(() => caches.match(OFFLINE)));
  } else if (SHOWN_OFFLINE.some((name) => url.pathname.endsWith(`/${name}`))) {
    event.respondWith(fetch(event.request).catch(() => caches.match(event.request)));
  }
});
