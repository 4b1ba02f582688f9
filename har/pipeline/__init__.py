"""The whole job of one run: train, evaluate, export, log."""
