"""One door to the windows of a named data set, wherever its files are."""

import hashlib
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from har.config import RunConfig, WindowingConfig
from har.contract import TRANSITION_LABELS, HarError
from har.data import hapt, synthetic, uci_har
from har.data.archives import HAPT, UCI_HAR, ArchiveLayout, Reader, download, find_source, open_source
from har.data.cache import cache_key, data_root, last_source, load_or_build, remember_source
from har.data.download import fetch
from har.data.loaders import ENTRY_POINTS, DataSet, find_data_set, folder_of, load_recordings, prepare_loaded
from har.data.motionsense import MOTIONSENSE
from har.data.windowset import Description, WindowSet, cut_stretches, segments_of, windows_of
from har.plugins import offered_names
from har.recording import Recording
from har.signals.chain import PUBLISHED
from har.signals.windows import WindowRule

DATASETS = (uci_har.NAME, hapt.NAME, synthetic.NAME)
ARCHIVES = {uci_har.NAME: UCI_HAR, hapt.NAME: HAPT}
LOADED: tuple[DataSet, ...] = (MOTIONSENSE,)  # of one file each; installed packages may bring more


def data_set_names() -> list[str]:
    """Names of all data sets that can be asked for."""
    own = [*DATASETS, *(one.name for one in LOADED)]
    return [*own, *offered_names(ENTRY_POINTS, own)]


def loaded(dataset: str) -> DataSet | None:
    """The description of a data set that one file brings; None for the others.

    Raises:
        HarError: there is no such data set.
    """
    return None if dataset in DATASETS else find_data_set(dataset, LOADED, DATASETS)


def describe(dataset: str) -> Description:
    """What reports, model cards and pages say about a data set; of one that is not known here, its name alone."""
    own = {module.NAME: module.DESCRIPTION for module in (uci_har, hapt, synthetic)}
    if dataset in own:
        return own[dataset]
    try:
        return find_data_set(dataset, LOADED, DATASETS).description
    except HarError:  # results and bundles are also read where the package that brings the data set is not installed
        return Description(dataset)


def label_names(dataset: str, transitions: str = "drop") -> tuple[str, ...]:
    """Names of the activities of a data set.

    Raises:
        HarError: there is no such data set.
    """
    data = loaded(dataset)
    return TRANSITION_LABELS[transitions] if data is None else data.labels


def load_dataset(
    name: str,
    *,
    channels: str = "raw6",
    archive: Path | str | None = None,
    allow_download: bool = False,
    seed: int = 0,
    difficulty: float | None = None,
    transitions: str = "drop",
    windowing: WindowingConfig | None = None,
) -> WindowSet:
    """The labelled windows of a data set, from the cache or made now.

    Args:
        name: ``uci-har``, ``hapt``, ``synthetic``, ``motionsense``, or a `DataSet` of an installed package.
        channels: ``raw6``, what a phone delivers: total acceleration with gravity (g) and angular velocity (rad/s); or ``uci9``, the nine
            channels published with UCI HAR, which adds body acceleration (g).
        archive: a zip or folder with the data set; else HAR_DATA_DIR, the last prepared copy or an earlier download is used.
        allow_download: fetch the official archive of UCI HAR or HAPT where there is no copy.
        seed: of the synthetic data set.
        difficulty: of the synthetic data set alone, from 0 (easy) over 1 (the default) to 2 (hard).
        transitions: what becomes of HAPT's postural transitions: ``drop``, ``keep`` or ``unknown``, see `hapt.read`.
        windowing: how the recordings are cut; by default as the published windows of UCI HAR. Other windows of UCI HAR are
            cut out of its continuous segments.

    Returns:
        Windows ``x`` of shape (window, time, channel), float32, 50 Hz, by default 128 samples each, a stride of 64; with their label ``y``,
        subject, recording and first sample.

    Raises:
        HarError: the data set is unknown, absent or damaged, an option is not for it or out of range, or no window fits.

    Examples:
        >>> import har
        >>> windows = har.load_dataset("synthetic")
        >>> windows.x.shape
        (5040, 128, 6)
        >>> windows.labels[windows.y[0]]
        'WALKING_DOWNSTAIRS'
    """
    windowing, dataset = windowing or WindowingConfig(), name
    if transitions != "drop" and dataset != hapt.NAME:
        raise HarError(f"{dataset} has no postural transitions to {transitions}; they are in {hapt.NAME} alone: --dataset {hapt.NAME}")
    if difficulty is not None and dataset != synthetic.NAME:
        raise HarError(f"{dataset} has no difficulty, only generated data have one; remove it, or name the data set synthetic")
    if dataset == synthetic.NAME:
        difficulty = synthetic.DIFFICULTY if difficulty is None else difficulty
        windows = _prepare_synthetic(seed, difficulty, windowing)
    elif dataset == uci_har.NAME:
        # The published windows have one size and stride; they stand in the key so that own windows never collide.
        settings = WindowingConfig().settings()
        published = _prepare_archive(uci_har.NAME, UCI_HAR, archive, allow_download, settings, uci_har.read)
        windows = published if windowing.settings() == settings else _cut_anew(published, windowing)
    elif dataset == hapt.NAME:
        labels = hapt.label_names(transitions)

        def build(read_file: Reader) -> WindowSet:
            recordings = hapt.read(read_file, transitions=transitions)
            return windows_of(
                recordings,
                window_size=windowing.window_size,
                stride=windowing.step,
                dataset=hapt.NAME,
                synthetic=False,
                to_uci9=PUBLISHED.apply,
                labels=labels,
                rule=_rule(windowing),
            )

        settings = windowing.settings() | {"transitions": transitions, "chain": asdict(PUBLISHED)}
        windows = _prepare_archive(hapt.NAME, HAPT, archive, allow_download, settings, build)
    else:
        windows = prepare_loaded(
            find_data_set(dataset, LOADED, DATASETS),
            archive,
            window_size=windowing.window_size,
            stride=windowing.step,
            rule=_rule(windowing),
            settings=windowing.settings(),
        )
    return windows.select_channels(channels)


def read_recordings(
    dataset: str, *, archive: Path | str | None = None, seed: int = 0, difficulty: float | None = None, transitions: str = "drop"
) -> list[Recording]:
    """The continuous recordings of `dataset` as a phone delivers them: raw, unfiltered, with a label for every sample or none (-1).

    The arguments are those of `load_dataset`; nothing is cached, HAPT's text files are parsed in seconds.

    Raises:
        HarError: the data set has no continuous recordings, is absent or damaged.
    """
    if dataset == uci_har.NAME:
        raise HarError(
            f"{dataset} was published as windows and has no continuous recordings; take those of the same people: --dataset {hapt.NAME}"
        )
    if dataset == hapt.NAME:
        with open_source(source_of(hapt.NAME, HAPT, archive), HAPT) as (read_file, _):
            return hapt.read(read_file, transitions=transitions)
    if dataset == synthetic.NAME:
        return synthetic.read_dataset(synthetic_recordings(seed, synthetic.DIFFICULTY if difficulty is None else difficulty))
    data = find_data_set(dataset, LOADED, DATASETS)
    return list(load_recordings(data, folder_of(data, archive)))


def check_source(dataset: str, archive: Path | str | None = None) -> None:
    """Find out before anything is read that there is no copy of a data set.

    Raises:
        HarError: there is no such data set, or no copy of it.
    """
    if dataset == synthetic.NAME:
        if archive is not None:
            raise HarError(f"{synthetic.NAME} data are generated and read from no archive; leave --archive out, or name another --dataset")
    elif dataset in ARCHIVES:
        source_of(dataset, ARCHIVES[dataset], archive)
    else:
        folder_of(find_data_set(dataset, LOADED, DATASETS), archive)


def _rule(windowing: WindowingConfig) -> WindowRule:
    return WindowRule(
        windowing.label_rule, windowing.min_purity, windowing.padding, windowing.min_recorded, cross_labels=windowing.cross_labels
    )


def _cut_anew(published: WindowSet, windowing: WindowingConfig) -> WindowSet:
    """Other windows of the same recordings, from their continuous segments, cached like the published ones."""

    def build() -> WindowSet:
        return cut_stretches(
            segments_of(published),
            published.channels,
            window_size=windowing.window_size,
            stride=windowing.step,
            dataset=published.dataset,
            synthetic=published.synthetic,
            labels=published.labels,
            rule=_rule(windowing),
        )

    key = cache_key(published.digest, {"dataset": published.dataset, "segments": True} | windowing.settings())
    return load_or_build(data_root() / "cache", key, build)


def _prepare_synthetic(seed: int, difficulty: float, windowing: WindowingConfig) -> WindowSet:
    folder = synthetic_recordings(seed, difficulty)
    settings = {"dataset": synthetic.NAME, "seed": seed, "difficulty": float(difficulty)} | windowing.settings()

    def build() -> WindowSet:
        return windows_of(
            synthetic.read_dataset(folder),
            window_size=windowing.window_size,
            stride=windowing.step,
            dataset=synthetic.NAME,
            synthetic=True,
            rule=_rule(windowing),
        )

    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.csv")):
        digest.update(path.name.encode() + path.read_bytes())
    return load_or_build(data_root() / "cache", cache_key(digest.hexdigest(), settings), build)


def synthetic_recordings(seed: int = 0, difficulty: float = synthetic.DIFFICULTY) -> Path:
    """Folder with the raw recordings of the synthetic data set, generated where they are not there yet."""
    return synthetic.write_dataset(data_root(), seed, difficulty=difficulty)


def _prepare_archive(
    dataset: str,
    layout: ArchiveLayout,
    archive: Path | str | None,
    allow_download: bool,
    settings: dict[str, Any],
    build: Callable[[Reader], WindowSet],
) -> WindowSet:
    source = source_of(dataset, layout, archive, allow_download=allow_download)
    cache = data_root() / "cache"
    with open_source(source, layout) as (read_file, source_digest):
        key = cache_key(source_digest, {"dataset": dataset} | settings)
        windows = load_or_build(cache, key, lambda: build(read_file))
    remember_source(dataset, source, key)
    return windows


def source_of(dataset: str, layout: ArchiveLayout, archive: Path | str | None = None, *, allow_download: bool = False) -> Path:
    """The copy of a data set to read: `archive`, else in HAR_DATA_DIR, an earlier download, or the last prepared copy.

    Raises:
        HarError: there is none, or the last prepared copy is gone.
    """
    downloads = data_root() / "downloads"
    source = find_source(archive, downloads, layout)
    if source is None:
        source = last_source(dataset)
        if source is not None and not source.exists():
            raise HarError(
                f"{layout.title} was prepared from {source}, which is gone; "
                f"name it again: har data prepare --dataset {dataset} --archive PATH"
            )
    if source is None:
        if not allow_download:
            raise HarError(
                f"{layout.title} is not prepared; run `har data prepare --dataset {dataset}` "
                "(with --archive PATH, or HAR_DATA_DIR set, for a copy at hand)"
            )
        # UCI HAR's official archive has a known SHA-256; of HAPT's none was published, so its content is compared.
        source = download(downloads) if layout is UCI_HAR else fetch(downloads, layout.url, None, check=hapt.check_content)
    return source


def prepared(config: RunConfig, archive: Path | str | None = None) -> WindowSet:
    """The windows of the data set a config asks for, all channels."""
    data = config.data
    options: dict[str, Any] = {"difficulty": data.difficulty, "windowing": config.windowing, "transitions": data.transitions}
    return load_dataset(data.dataset, channels="uci9", archive=archive, **options)
