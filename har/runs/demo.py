"""The whole way on synthetic data: what `make demo` shows."""

from collections.abc import Callable
from pathlib import Path

from har.data.prepare import load_dataset, synthetic_recordings
from har.data.synthetic import NAME
from har.recording import read_recording
from har.redaction import redacted
from har.runs.comparison import comparison
from har.runs.export import best_run, export
from har.runs.register import log_bundle
from har.runs.train import train
from har.runtime.recognizer import load_model, verify
from har.runtime.timeline import timeline_text
from har.tracking.store import tracking_uri

BUNDLE = Path("export/bundle-synthetic")
DEMO_SUBJECT = 2  # a test subject, whom no model has seen


def run_demo(models: list[str], runs: Path, *, epochs: int, progress: bool, say: Callable[[str], None] = print) -> None:
    """Generate, train, compare, export, verify and predict, on synthetic data alone."""
    say("== 1. Synthetic recordings (never evidence about people)")
    windows = load_dataset(NAME)
    recordings = synthetic_recordings()
    say(f"{len(windows)} synthetic windows of {len(set(windows.subject.tolist()))} virtual subjects; recordings in {recordings}")

    say(f"\n== 2. Training {len(models)} models on synthetic data, {epochs} epochs each")
    trained = [train(model, dataset=NAME, epochs=epochs, runs=runs, progress=progress, say=say) for model in models]

    say("\n== 3. Comparison on the validation subjects, SYNTHETIC data")
    say(comparison(runs / NAME)[1])

    say("\n== 4. Export of the best model trained on synthetic data")
    run = best_run(trained)
    result = export(run, BUNDLE)
    log_bundle(run, BUNDLE, runs)
    say(f"{run.origin.run} -> {BUNDLE}: {result.bytes / 1000:.0f} kB")
    say(f"onnxruntime against torch, {result.parity_windows} synthetic windows at batch 1, 2 and 7: largest difference {result.parity:.1e}")
    golden, largest = verify(BUNDLE)
    say(f"{golden} golden synthetic windows hold; largest difference {largest:.1e}")

    path = recordings / f"synthetic_s{DEMO_SUBJECT:02d}.csv"
    say(f"\n== 5. A synthetic recording through the exported model: har predict --bundle {BUNDLE} {path}")
    recognizer = load_model(BUNDLE)
    recording = read_recording(path)
    say(timeline_text(recording.name, recognizer.bundle, recognizer.predict_recording(recording)))

    say(f"\n== Done on synthetic data. Runs are tracked in {redacted(tracking_uri(runs))}. Next:")
    say("  make dashboard                        the synthetic runs in MLflow, on 127.0.0.1:5000")
    say("  make data train evaluate export       the real data, UCI HAR (ARCHIVE=PATH for a copy at hand)")
    say(f"  .venv/bin/har verify --bundle {BUNDLE}   checks the synthetic bundle again")
