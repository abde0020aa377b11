"""How requests are served: an ASGI front that reads, waits and sends without threads, and Flask in a few of them."""
