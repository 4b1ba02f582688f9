"""Many runs: sweeps, searches and their reports."""
