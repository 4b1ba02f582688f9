"""YAML files as plain values: text keys, and values that JSON has too."""

import math
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from har.errors import HarError
from har.files import read_small

MAX_BYTES = 100_000
MAX_VALUES = 10_000  # aliases repeat what they name: a file of ten lines can hold 10^9 values
MAX_DEPTH = 20
MAX_DIGITS = 30


class _Loader(yaml.SafeLoader):
    """Refuses a key that appears twice, of which YAML keeps the last; reads a date as text."""

    yaml_implicit_resolvers = {  # noqa: RUF012 # as PyYAML declares it
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        lines: dict[Hashable, int] = {}
        for key_node, _ in node.value:
            line = key_node.start_mark.line + 1
            if key_node.tag == "tag:yaml.org,2002:merge":  # it hides duplicates, and a few lines of it make 10^9 keys
                raise HarError("config", f"line {line}: the merge key << is not supported; write the keys out")
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise HarError(
                    "config", f"line {line}: the key {key!r:.80} is not text; expected a name, in quotes where YAML reads something else"
                )
            if key in lines:
                raise HarError("config", f"line {line}: the key {key!r:.80} was already given in line {lines[key]}; remove one of the two")
            lines[key] = line
        return super().construct_mapping(node, deep)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, TypeError, AttributeError, LookupError, OverflowError) as error:
            if not isinstance(node, yaml.ScalarNode):
                raise
            # PyYAML makes numbers of text such as 0x_ by int(), which raises its own errors.
            reason = str(error).split(";")[0]
            raise HarError(
                "config", f"line {node.start_mark.line + 1}: {node.value!r:.40} cannot be read as {node.tag.split(':')[-1]} ({reason})"
            ) from None


def read_yaml(path: Path, what: str, example: str) -> Any:
    """Read a YAML file.

    Args:
        path: of the file.
        what: it is, for messages: ``config``.
        example: of such a file, for messages.

    Returns:
        Text, numbers, booleans, None, lists, and dicts with text keys.

    Raises:
        HarError: it is missing, too large or not YAML, a key appears twice, or a value is none of these.
    """
    try:
        content = _Loader(read_small(path, f"a {what}: a YAML file such as {example}", MAX_BYTES)).get_single_data()
    except OSError as error:
        raise HarError("config", f"cannot read the {what} {path} ({error.strerror}); expected a YAML file such as {example}") from None
    except HarError as error:
        raise HarError("config", f"{path}, {error}" if str(error).startswith("line ") else str(error)) from None
    except (yaml.YAMLError, ValueError, TypeError, AttributeError, LookupError, RecursionError) as error:
        raise HarError("config", f"{path} is not valid YAML: {' '.join(str(error).split()) or type(error).__name__}") from None
    _check(content, path)
    return content


def _check(content: Any, path: Path) -> None:
    """Refuse values that a config cannot hold, and more values than a config has."""
    waiting, count = [(content, "", 0)], 0
    while waiting:
        value, place, depth = waiting.pop()
        count += 1
        if count > MAX_VALUES or depth > MAX_DEPTH:
            raise HarError(
                "config", f"{path} holds more than {MAX_VALUES:,} values, or more than {MAX_DEPTH} levels, aliases counted; make it smaller"
            )
        parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        waiting += [(each, f"{place}.{key}" if place else str(key), depth + 1) for key, each in parts]
        for text in value if isinstance(value, dict) else [value]:
            if isinstance(text, str) and any("\ud800" <= sign <= "\udfff" for sign in text):
                raise HarError("config", f"{path}: {place}: {text!r:.80} is not text that can be written as UTF-8")
        if isinstance(value, int) and abs(value) >= 10**MAX_DIGITS:
            raise HarError(
                "config", f"{path}: {place}: a whole number of {math.log10(abs(value)):.0f} digits; expected at most {MAX_DIGITS}"
            )
        if value is not None and not isinstance(value, dict | list | str | int | float):
            raise HarError(
                "config", f"{path}: {place}: found a {type(value).__name__}; expected text, a number, true, false, a list or a section"
            )
