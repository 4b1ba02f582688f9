"""What other packages bring by entry points: found by name, imported, and refused in a sentence where it cannot be used."""

from collections.abc import Collection
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from har.errors import HarError, nearest


def offered_names(group: str, own: Collection[str]) -> list[str]:
    """Names that installed packages offer, those of this project left out: no package takes the place of one."""
    return list(dict.fromkeys(point.name for point in entry_points(group=group) if point.name not in own))


def load_offered(group: str, what: str, name: str, own: Collection[str]) -> tuple[Any, str]:
    """Import what an installed package offers under a name.

    Args:
        group: of entry points.
        what: it is, for messages: ``model`` or ``data set``.
        name: to look for, none of `own`.
        own: names that this project has itself, for the message.

    Returns:
        The object, and where it comes from, for messages.

    Raises:
        HarError: nobody offers it, several do, or it cannot be imported.
    """
    found = [point for point in entry_points(group=group) if point.name == name]
    if not found:
        raise HarError(
            "name-unknown",
            f"unknown {what} {name!r}; {nearest(name, [*own, *offered_names(group, own)])}; others come with packages that bring them",
        )
    if len({point.value for point in found}) > 1:
        raise HarError("plugin", f"{what} {name!r} is offered by several packages, {', '.join(map(_origin, found))}; uninstall all but one")
    where = _origin(found[0])
    try:
        return found[0].load(), where
    except Exception as error:  # whatever the import of another package raises
        raise HarError(
            "plugin", f"{what} {name!r} of {where} cannot be imported ({type(error).__name__}: {error}); fix or uninstall that package"
        ) from None


def not_usable(what: str, name: str, where: str, found: object, expected: str) -> HarError:
    """What to say of an object that is not what its group holds."""
    named = getattr(found, "name", None)
    shown = f"one named {named!r}" if isinstance(named, str) else f"{type(found).__name__} {found!r:.60}"
    return HarError("plugin", f"{what} {name!r} of {where} is {shown}, expected {expected} of that name")


def _origin(point: EntryPoint) -> str:
    return f"{point.dist.name if point.dist else 'an unknown package'} ({point.value})"
