"""Predictions, and every table and figure derived from them."""
