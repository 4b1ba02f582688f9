"""One door to the windows of a named data set, wherever its files are."""

import hashlib
import json
import os
from pathlib import Path

from har.contract import STRIDE, WINDOW_SIZE, HarError, nearest
from har.data import synthetic, uci_har
from har.data.archives import download, find_source, open_source
from har.data.cache import cache_key, load_or_build
from har.data.windowset import WindowSet, windows_of

DATASETS = (uci_har.NAME, synthetic.NAME)


def data_root() -> Path:
    """Folder for downloads, generated recordings and the cache: HAR_CACHE_DIR, else ``data`` in the working directory."""
    return Path(os.environ.get("HAR_CACHE_DIR") or "data").expanduser()


def prepare(
    dataset: str,
    *,
    archive: Path | str | None = None,
    allow_download: bool = False,
    seed: int = 0,
    difficulty: float = synthetic.DIFFICULTY,
) -> WindowSet:
    """Windows of `dataset`, with the channels of ``contract.UCI9``, from the cache or made now.

    Args:
        dataset: ``uci-har`` or ``synthetic``.
        archive: a zip or folder with UCI HAR; else HAR_DATA_DIR, the last prepared copy or an earlier download is used.
        allow_download: fetch the official archive where there is no copy.
        seed: of the synthetic data set.
        difficulty: of the synthetic data set, from 0 (easy) to 2 (hard).

    Raises:
        HarError: the data set is unknown, absent or damaged, or the difficulty is none.
    """
    if dataset == synthetic.NAME:
        return _prepare_synthetic(seed, difficulty)
    if dataset == uci_har.NAME:
        return _prepare_uci_har(archive, allow_download)
    raise HarError(f"unknown data set {dataset!r}; {nearest(dataset, DATASETS)}")


def _prepare_synthetic(seed: int, difficulty: float) -> WindowSet:
    folder = synthetic_recordings(seed, difficulty)
    settings = {"dataset": synthetic.NAME, "window_size": WINDOW_SIZE, "stride": STRIDE}

    def build() -> WindowSet:
        recordings = synthetic.read_dataset(folder)
        return windows_of(recordings, window_size=WINDOW_SIZE, stride=STRIDE, dataset=synthetic.NAME, synthetic=True)

    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.csv")):
        digest.update(path.name.encode() + path.read_bytes())
    return load_or_build(data_root() / "cache", cache_key(digest.hexdigest(), settings), build)


def synthetic_recordings(seed: int = 0, difficulty: float = synthetic.DIFFICULTY) -> Path:
    """Folder with the raw recordings of the synthetic data set, generated where they are not there yet."""
    return synthetic.write_dataset(data_root(), seed, difficulty=difficulty)


def _prepare_uci_har(archive: Path | str | None, allow_download: bool) -> WindowSet:
    root = data_root()
    pointer = root / "cache" / f"{uci_har.NAME}.json"
    source = find_source(archive, root / "downloads")
    if source is None and archive is None and pointer.is_file():
        source = Path(json.loads(pointer.read_text())["source"])
        if not source.exists():
            raise HarError(
                f"UCI HAR was prepared from {source}, which is gone; name it again: har data prepare --dataset uci-har --archive PATH"
            )
    if source is None:
        if not allow_download:
            raise HarError(
                "UCI HAR is not prepared; run `har data prepare --dataset uci-har` "
                "(with --archive PATH, or HAR_DATA_DIR set, for a copy at hand)"
            )
        source = download(root / "downloads")
    with open_source(source) as (read_file, source_digest):
        # The published windows have one size and stride; they stand in the key so that own windows never collide.
        settings = {"dataset": uci_har.NAME, "window_size": WINDOW_SIZE, "stride": STRIDE}
        key = cache_key(source_digest, settings)
        windows = load_or_build(root / "cache", key, lambda: uci_har.read(read_file))
    pointer.write_text(json.dumps({"source": str(source.resolve()), "key": key}))
    return windows
