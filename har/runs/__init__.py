"""One run from a config to a folder, and what is done with it."""
