"""Pure functions on numpy arrays, shared by training and device. Needs numpy; scipy only inside the offline filters."""
