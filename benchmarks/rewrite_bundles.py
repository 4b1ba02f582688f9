"""Bring the ONNX files of bundles whose training checkpoints are gone to what `har export` writes today.

    python benchmarks/rewrite_bundles.py [export/pretrained/default ...]

Each ONNX file gets `har.exporting.graph_rewrites.carry_not_finite`, if it does not have it yet. The new file must answer the golden windows
and 10,000 random ones with the same bits as the old one, alone and in batches. Then checksums, sizes, the runtimes that
``results/device/conformance.csv`` names for these very bytes, and the model card are written anew; the bundle is replaced only after it was
verified. The manifest gets the data set's description of today. To run again, also after `benchmarks/conformance.py`.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import onnx

from har.data.prepare import describe
from har.exporting.bundle_folder import finish, staged
from har.exporting.bundle_writer import tested_in
from har.exporting.graph_rewrites import carry_not_finite
from har.exporting.onnx_file import check_graph, write_model
from har.runs.export import tested_files
from har.runtime.bundle import golden_values, read_bundle, sha256
from har.runtime.manifest import CARD, MODEL, VECTORS
from har.runtime.session import open_session, run_windows

ROOT = Path(__file__).parents[1]
RANDOM_WINDOWS, SEED = 10_000, 0
LARGEST = (2.0, 4.0)  # standard deviations of random windows in g and rad/s, beyond most motion


def rewritten(old: Path, new: Path, windows: np.ndarray) -> None:
    """Write `new`, which answers `windows` with the bits of `old`, or end the script."""
    model = onnx.load(old, load_external_data=False)
    carry_not_finite(model)
    check_graph(model)
    write_model(model, new, {entry.key: entry.value for entry in model.metadata_props})
    sessions = open_session(old), open_session(new)
    for size, some in ((64, windows), (1, windows[:500])):
        before, after = (run_windows(session, some, batch_size=size) for session in sessions)
        if before.tobytes() != after.tobytes():
            sys.exit(f"rewrite_bundles: {old} answers a window with other bits after the change; it stays as it is")


def rewrite(folder: Path) -> None:
    """Rewrite one bundle in its place."""
    bundle = read_bundle(folder)
    manifest = bundle.manifest
    shape = bundle.spec.window_size, len(bundle.spec.channels)
    random = np.random.default_rng(SEED).normal(size=(RANDOM_WINDOWS, *shape)) * np.repeat(LARGEST, 3)
    golden = golden_values(json.loads((folder / VECTORS).read_text(encoding="utf-8")))
    windows = np.concatenate((golden, random.astype(np.float32)))
    with staged(folder) as temporary:
        names = [name for name in manifest["files"] if name != CARD]
        for name in names:
            if name.endswith(".onnx"):
                rewritten(folder / name, temporary / name, windows)
            else:
                (temporary / name).write_bytes((folder / name).read_bytes())
        manifest["files"] = {name: entry for name, entry in manifest["files"].items() if name != CARD}
        for dataset in manifest["datasets"]:
            dataset |= describe(dataset["name"]).texts()
        manifest["tested"] = tested_in(tested_files(ROOT / "results"), sha256(temporary / MODEL))
        finish(temporary, manifest)
    print(f"{folder}: {sum(name.endswith('.onnx') for name in names)} ONNX files, same bits on {len(windows)} windows")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", nargs="*", type=Path, default=sorted((ROOT / "export/pretrained").glob("*")))
    for folder in parser.parse_args().bundle:
        rewrite(folder)


if __name__ == "__main__":
    main()
