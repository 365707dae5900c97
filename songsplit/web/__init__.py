"""A page in the browser: drop a song in, hear each stem on its own."""
