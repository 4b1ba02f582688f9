"""Windows and recordings of a named data set, wherever its files are."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from har.config import RunConfig, WindowingConfig
from har.data import hapt, synthetic, uci_har
from har.data.archives import HAPT, UCI_HAR, ArchiveLayout, fetch, find_source, folder_digest, open_source
from har.data.cache import cache_key, data_root, last_source, load_or_build, remember_source
from har.data.loaders import ENTRY_POINTS, DataSet, digests_of, find_folder, load_recordings
from har.data.motionsense import MOTIONSENSE
from har.data.windowset import Description, WindowSet, cut_channels, cut_stretches, segments_of, windows_of
from har.errors import HarError
from har.plugins import load_offered, not_usable, offered_names
from har.recording import Recording
from har.signals.filters import PUBLISHED, SensorChain
from har.signals.windows import WindowRule

OWN: dict[str, Description] = {one.name: one for one in (UCI_HAR, HAPT, synthetic.DESCRIPTION, MOTIONSENSE)}  # packages may bring more


def data_set_names() -> list[str]:
    """Names of all data sets that can be asked for."""
    return [*OWN, *offered_names(ENTRY_POINTS, OWN)]


def _find(dataset: str) -> Description:
    """The data set with this name, of this project or of an installed package, which takes the place of none of ours.

    Raises:
        HarError: no such data set, names the nearest; or a package offers it and it cannot be used.
    """
    if dataset in OWN:
        return OWN[dataset]
    offered, where = load_offered(ENTRY_POINTS, "data set", dataset, OWN)
    if isinstance(offered, DataSet) and offered.name == dataset:
        return offered
    raise not_usable("data set", dataset, where, offered, "a har.data.loaders.DataSet")


def describe(dataset: str) -> Description:
    """What reports, model cards and pages say about a data set; of one that is not known here, its name alone."""
    try:
        return _find(dataset)
    except HarError:  # results and bundles are also read where the package that brings the data set is not installed
        return Description(dataset, dataset, ())


def label_names(dataset: str, transitions: str = "drop") -> tuple[str, ...]:
    """Names of the activities of a data set.

    Raises:
        HarError: there is no such data set.
    """
    return hapt.label_names(transitions) if dataset == hapt.NAME else _find(dataset).labels


@dataclass(frozen=True)
class _Copy:
    """A copy of a data set that is open.

    Attributes:
        digest: of its content.
        read: its continuous recordings.
        labels: of the recordings.
        place: where it is; None where it was generated.
        settings: of the reading, for the key of the cache.
        published: its windows, where there are no recordings.
        chain: filters of the recordings.
    """

    digest: str
    read: Callable[[], list[Recording]]
    labels: tuple[str, ...]
    place: Path | None
    settings: dict[str, Any] = field(default_factory=dict)
    published: Callable[[], WindowSet] | None = None
    chain: SensorChain | None = None
    synthetic: bool = False


@contextmanager
def _opened(
    dataset: str,
    archive: Path | str | None,
    *,
    allow_download: bool = False,
    seed: int = 0,
    difficulty: float | None = None,
    transitions: str = "drop",
) -> Iterator[_Copy]:
    if transitions != "drop" and dataset != hapt.NAME:
        raise HarError(
            "dataset-option",
            f"{dataset} has no postural transitions to {transitions}; they are in {hapt.NAME} alone: --dataset {hapt.NAME}",
        )
    if difficulty is not None and dataset != synthetic.NAME:
        raise HarError(
            "dataset-option", f"{dataset} has no difficulty, only generated data have one; remove it, or name the data set synthetic"
        )
    data, labels = _find(dataset), label_names(dataset, transitions)
    if not isinstance(data, ArchiveLayout | DataSet):
        folder = synthetic_recordings(seed, synthetic.DIFFICULTY if difficulty is None else difficulty)
        yield _Copy(folder_digest(folder, ("*.csv",)) or "", lambda: synthetic.read_dataset(folder), labels, None, synthetic=True)
        return
    place = source_of(data, archive, allow_download=allow_download)
    if isinstance(data, DataSet):
        digest, loader = digests_of(data, place)
        own: dict[str, Any] = {"version": data.version, "labels": list(labels), "loader": loader}
        yield _Copy(digest, lambda: list(load_recordings(data, place)), labels, place, own, synthetic=data.synthetic)
        return
    with open_source(place, data) as (read_file, digest):
        if dataset == uci_har.NAME:
            yield _Copy(digest, _no_recordings, labels, place, published=lambda: uci_har.read(read_file))
        else:
            settings = {"transitions": transitions, "chain": asdict(PUBLISHED)}
            yield _Copy(digest, lambda: hapt.read(read_file, transitions=transitions), labels, place, settings, chain=PUBLISHED)


def _no_recordings() -> list[Recording]:
    raise HarError(
        "dataset-option",
        f"{uci_har.NAME} was published as windows and has no continuous recordings; take those of the same people: --dataset {hapt.NAME}",
    )


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
        channels: ``raw6``, what a phone delivers: total acceleration with gravity (g) and angular velocity (rad/s); ``acc3``, the total
            acceleration alone; or ``uci9``, which adds body acceleration (g) to ``raw6``: the published one of UCI HAR, otherwise derived
            from the recordings.
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
    windowing = windowing or WindowingConfig()
    settings = windowing.settings()
    rule = WindowRule(
        windowing.label_rule, windowing.min_purity, windowing.padding, windowing.min_recorded, cross_labels=windowing.cross_labels
    )
    with _opened(name, archive, allow_download=allow_download, seed=seed, difficulty=difficulty, transitions=transitions) as copy:
        cut: dict[str, Any] = {"window_size": windowing.window_size, "stride": windowing.step, "rule": rule}
        cut |= {"dataset": name, "synthetic": copy.synthetic, "labels": copy.labels}
        # The body acceleration of published windows was filtered over whole recordings: it cannot be derived, and is cached as well.
        kept = cut_channels(channels) if copy.published is None else "uci9"

        def build() -> WindowSet:
            if copy.published is None:
                return windows_of(copy.read(), channels=kept, chain=copy.chain, **cut)
            windows = copy.published()
            return windows if settings == WindowingConfig().settings() else cut_stretches(segments_of(windows), windows.channels, **cut)

        key = cache_key(copy.digest, {"dataset": name, "channels": kept} | copy.settings | settings)
        windows = load_or_build(data_root() / "cache", key, build).select_channels(channels)
    if copy.place is not None:
        remember_source(name, copy.place)
    return windows


def prepared(config: RunConfig, archive: Path | str | None = None) -> WindowSet:
    """The windows that a config asks for."""
    data = config.data
    return load_dataset(
        data.dataset,
        channels=data.channels,
        archive=archive,
        difficulty=data.difficulty,
        transitions=data.transitions,
        windowing=config.windowing,
    )


def read_recordings(dataset: str, *, archive: Path | str | None = None, **options: Any) -> list[Recording]:
    """The continuous recordings of `dataset` as a phone delivers them: raw, unfiltered, with a label for every sample or none (-1).

    The arguments, with ``seed``, ``difficulty`` and ``transitions``, are those of `prepare`; nothing is cached.

    Raises:
        HarError: the data set has no continuous recordings, is absent or damaged.
    """
    if dataset == uci_har.NAME:
        return _no_recordings()
    with _opened(dataset, archive, **options) as copy:
        return copy.read()


def check_source(dataset: str, archive: Path | str | None = None) -> None:
    """Find out before anything is read that there is no copy of a data set.

    Raises:
        HarError: there is no such data set, or no copy of it.
    """
    data = _find(dataset)
    if isinstance(data, ArchiveLayout | DataSet):
        source_of(data, archive)
    elif archive is not None:
        raise HarError(
            "dataset-option", f"{data.name} data are generated and read from no archive; leave --archive out, or name another --dataset"
        )


def synthetic_recordings(seed: int = 0, difficulty: float = synthetic.DIFFICULTY) -> Path:
    """Folder with the raw recordings of the synthetic data set, generated where they are not there yet."""
    return synthetic.write_dataset(data_root(), seed, difficulty=difficulty)


def source_of(data: ArchiveLayout | DataSet, archive: Path | str | None = None, *, allow_download: bool = False) -> Path:
    """The copy of a data set to read: `archive`, else in HAR_DATA_DIR, an earlier download, or the last prepared copy.

    Raises:
        HarError: there is none, or the last prepared copy is gone.
    """
    downloads, command = data_root() / "downloads", f"har data prepare --dataset {data.name}"
    source = find_folder(archive, data) if isinstance(data, DataSet) else find_source(archive, downloads, data)
    source = source or last_source(data.name)
    if source is not None and source.exists():
        return source
    if source is not None:
        raise HarError(
            "archive-missing", f"{data.title} was prepared from {source}, which is gone; name it again: {command} --archive PATH"
        )
    if isinstance(data, DataSet):
        where = f"; get it from {data.url}" if data.url else ""
        raise HarError("archive-missing", f"{data.name} is not prepared; name its folder: {command} --archive DIR{where}")
    if not allow_download:
        raise HarError(
            "archive-missing",
            f"{data.title} is not prepared; run `{command}` (with --archive PATH, or HAR_DATA_DIR set, for a copy at hand)",
        )
    return fetch(downloads, data.url, data.sha256, check=None if data.sha256 else hapt.check_content)
