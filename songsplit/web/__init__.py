"""The page: drop a song in and hear each stem."""
