"""Scripts that each produce one figure or one page of the documentation; not installed. Run ``python -m research.NAME`` in a clone."""
