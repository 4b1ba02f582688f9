"""The manifest of a bundle: one reader for every format, its types and ranges, and what this version can deliver."""

import json
import math
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from har.contract import SENSORS, Sensor, SignalSpec, channels_of, kind_of
from har.errors import HarError
from har.files import read_small
from har.recording.limits import BOTH

FORMAT = 3  # written; format 2 is converted when it is read
MANIFEST, MODEL, STREAMING = "manifest.json", "model.onnx", "streaming.onnx"
VECTORS, CARD = "test_vectors.json", "MODEL_CARD.md"
MODELS = (MODEL, "model.int8.onnx", "model.small.onnx", STREAMING)  # files that name activities
SCHEMA = Path(__file__).with_name("manifest.schema.json")
REQUIRED_2 = (
    *("model", "labels", "input", "output", "opset", "dataset", "synthetic", "files", "tolerance"),
    *("temperature", "unknown", "stream", "models"),
)  # entries of format 2
# What reading JSON of another structure raises; the last two where lists stand in lists without end, and for numbers beyond any float.
MALFORMED = (KeyError, IndexError, TypeError, ValueError, AttributeError, RecursionError, OverflowError)
AGAIN = "export again: har export"
TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None), "integer": int, "number": (int, float)}
DEFAULTS: dict[str, Any] = {
    "model": "unnamed",
    "datasets": [],
    "unknown": {"below": None, "answered": 1.0, "right": None, "fitted_on": "no subjects"},
    "metrics": {},
    "tolerance": 1e-5,
    "left_out": {},
    "tested": [],
    "robustness": [],
}  # of entries that a manifest may leave out


@cache
def schema() -> dict[str, Any]:
    """The JSON schema of the format that is written."""
    return json.loads(SCHEMA.read_text(encoding="utf-8"))


def read_manifest(path: Path) -> dict[str, Any]:
    """Read a manifest: converted to the format that is written, validated, and completed where it leaves out what it may.

    Raises:
        OSError: there is no such file.
        HarError: it is not JSON, of an unknown format, breaks the schema, or asks for what this version cannot deliver.
    """
    try:
        content = json.loads(read_small(path, "a bundle's manifest"))
    except (ValueError, RecursionError) as error:
        raise HarError("bundle-invalid", f"{path} is not valid JSON ({error}); {AGAIN}") from None
    found = content.get("schema_version") if isinstance(content, dict) else None
    if found not in (2, FORMAT) or isinstance(found, float):
        raise HarError("bundle-invalid", f"{path} has schema version {found!r}, expected 2 or {FORMAT}; export again with this version")
    try:
        missing = next((name for name in REQUIRED_2 if name not in content), None) if found == 2 else None
        manifest = convert(content) if missing is None else {}
        fault = f"has no entry {missing!r}" if missing else next(faults(manifest, schema()), None) or _misfit(manifest)
    except MALFORMED as error:
        fault = f"has another structure than format {found} ({type(error).__name__}: {error})"
    if fault is not None:
        raise HarError("bundle-invalid", f"{path} {fault}; {AGAIN}")
    return completed(manifest)


def completed(said: dict[str, Any]) -> dict[str, Any]:
    """Entries of format 3, with the defaults of those that may be left out."""
    spec = said.get("spec", {})
    stream = {"kind": "ring_buffer", "hop": spec.get("stride")}
    name = "samples" if said.get("stream", stream)["kind"] == "state" else "windows"
    others = {"run": said.get("model", DEFAULTS["model"]), "stream": stream, "input": {"name": name}, "outputs": {"probabilities": {}}}
    return DEFAULTS | others | said


def convert(content: dict[str, Any]) -> dict[str, Any]:
    """Entries of format 2, all of a manifest or those in a model's metadata, as those of format 3.

    Raises:
        KeyError, TypeError, AttributeError, ValueError: they have another structure.
    """
    if "spec" in content or "input" not in content or content.get("schema_version") == FORMAT:
        return content
    said, given = dict(content), dict(content["input"])
    # As it is written, so that a unit that does not fit its channel, or another order, is found afterwards.
    sensors: list[dict[str, Any]] = []
    for channel in given.pop("channels"):
        name = next((sensor for sensor, (_, own) in SENSORS.items() if channel["name"] in own), channel["name"])
        if not sensors or (sensors[-1]["name"], sensors[-1]["unit"]) != (name, channel["unit"]):
            sensors.append({"name": name, "unit": channel["unit"], "channels": []})
        sensors[-1]["channels"].append(channel["name"])
    moved = {name: given.pop(name) for name in ("sample_rate_hz", "window_size", "stride", "axes") if name in given}
    said["spec"] = {"sensors": sensors, "labels": said.pop("labels", []), **moved}
    said["input"], output = given, dict(said.pop("output", {}))
    said["outputs"] = {output.pop("name", "probabilities"): output}
    terms, renamed = said.pop("licence", {}), {"dataset": "name", "data_digest": "digest"}
    dataset = {renamed.get(name, name): said.pop(name) for name in ("dataset", "synthetic", "data_digest") if name in said}
    dataset |= said.pop("dataset_description", {})
    said["datasets"] = [dataset | {new: terms[old] for old, new in (("training_data", "licence"), ("cite", "cite")) if old in terms}]
    if "code_and_weights" in terms:
        said["licence"] = terms["code_and_weights"]
    if "files" in said:
        models = said.pop("models")
        left_out = {name: dict(entry) for name, entry in models.items() if "left_out" in entry}
        said["left_out"] = {name: {"reason": entry.pop("left_out"), **entry} for name, entry in left_out.items()}
        said["files"] = {name: {"sha256": digest, **models.get(name, {})} for name, digest in said["files"].items()}
        said["schema_version"] = FORMAT
    return said


def faults(value: Any, rule: dict[str, Any], place: str = "") -> Iterator[str]:
    """What breaks a JSON schema, a phrase for each; of the keywords, those that `manifest.schema.json` uses are known.

    Args:
        value: as `json.loads` gives it.
        rule: schema of the value.
        place: of the value, such as ``stream.hop``.
    """
    if "$ref" in rule:
        rule = schema()["$defs"][rule["$ref"].rpartition("/")[2]]
    where, shown = place or "the manifest", f"{json.dumps(value)[:60]}"
    names = rule.get("type", [])
    kinds = [names] if isinstance(names, str) else names
    if kinds and not any(_is(value, kind) for kind in kinds):
        yield f"has {where} = {shown}, expected {' or '.join(kinds)}"
        return
    if "const" in rule and (value != rule["const"] or isinstance(value, bool) != isinstance(rule["const"], bool)):
        yield f"has {where} = {shown}, expected {json.dumps(rule['const'])}"
    if "enum" in rule and value not in rule["enum"]:
        yield f"has {where} = {shown}, expected one of {', '.join(map(str, rule['enum']))}"
    for word in ("oneOf", "anyOf"):
        if word in rule:
            nearest, *others = sorted((list(faults(value, option, place)) for option in rule[word]), key=len)
            if nearest:
                yield nearest[0]
            elif word == "oneOf" and [] in others:
                yield f"has {where} = {shown}, which may hold one of two things, not both"
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        yield from _number_faults(value, rule, where)
    if isinstance(value, str):
        if len(value) < rule.get("minLength", 0):
            yield f"has {where} = {shown}, expected a text that is not empty"
        if "pattern" in rule and not re.search(rule["pattern"], value):
            yield f"has {where} = {shown}, expected what matches {rule['pattern']}"
    if isinstance(value, list):
        yield from _list_faults(value, rule, place, where)
    if isinstance(value, dict):
        yield from _object_faults(value, rule, place, where)


def _is(value: Any, kind: str) -> bool:
    if kind == "integer" and isinstance(value, float):
        return value.is_integer()  # false also of NaN and infinity
    if kind in ("integer", "number") and isinstance(value, bool):
        return False
    if isinstance(value, float) and not math.isfinite(value):
        return False
    return isinstance(value, TYPES[kind])  # type: ignore[arg-type]


def _number_faults(value: float, rule: dict[str, Any], where: str) -> Iterator[str]:
    for word, broken, text in (
        ("minimum", lambda limit: not value >= limit, "at least"),
        ("maximum", lambda limit: not value <= limit, "at most"),
        ("exclusiveMinimum", lambda limit: not value > limit, "more than"),
    ):
        if word in rule and broken(rule[word]):
            yield f"has {where} = {value}, expected {text} {rule[word]}"


def _list_faults(value: list[Any], rule: dict[str, Any], place: str, where: str) -> Iterator[str]:
    if not rule.get("minItems", 0) <= len(value) <= rule.get("maxItems", len(value)):
        yield f"has {len(value)} entries in {where}, expected {rule.get('minItems', 0)} to {rule.get('maxItems', 'any number')}"
    if rule.get("uniqueItems") and any(item in value[:index] for index, item in enumerate(value)):
        yield f"has an entry of {where} twice, expected different ones"
    for index, item in enumerate(value if "items" in rule else []):
        yield from faults(item, rule["items"], f"{place}[{index}]")


def _object_faults(value: dict[str, Any], rule: dict[str, Any], place: str, where: str) -> Iterator[str]:
    for name in rule.get("required", []):
        if name not in value:
            yield f"has no entry '{f'{place}.{name}'.lstrip('.')}'"
    known, others = rule.get("properties", {}), rule.get("additionalProperties", True)
    for name, item in value.items():
        inner = f"{place}.{name if name.isprintable() else json.dumps(name)}".lstrip(".")
        if "propertyNames" in rule and any(faults(name, rule["propertyNames"])):
            yield f"has an unknown entry '{inner}'"
        if name in known:
            yield from faults(item, known[name], inner)
        elif others is False:
            yield f"has an unknown entry '{inner}'"
        elif isinstance(others, dict):
            yield from faults(item, others, inner)


def _misfit(manifest: dict[str, Any]) -> str | None:
    """What fits the schema and does not fit together, or is nothing that this version delivers."""
    spec = SignalSpec.from_json(manifest["spec"])
    for sensor in spec.sensors:
        try:
            delivered = Sensor(sensor.name, SENSORS[kind_of(sensor.name)][0], channels_of(sensor.name))
        except HarError as error:
            return f"asks for an {error}"
        if sensor != delivered:
            asked, given = (", ".join(f"{channel} in {one.unit}" for channel in one.channels) for one in (sensor, delivered))
            return f"asks for {asked} of the {sensor.name}; this version delivers {given}"
    if len({sensor.name for sensor in spec.sensors}) < len(spec.sensors):
        return "names a sensor twice in its spec"
    if "mounting" in manifest and spec.sensor_names != BOTH:
        return f"estimates the mounting from {', '.join(spec.sensor_names)}; this version does it from {', '.join(BOTH)}"
    for label in spec.labels:
        if not label.isprintable() or label != label.strip():
            return f"has a label {label!r:.80}, expected a name in one printable line"
    needs, names = manifest.get("needs", {}), [sensor.name for sensor in spec.sensors]
    strange = next((name for name in needs.get("sensors", []) if name not in names), None)
    if strange is not None:
        return f"has needs.sensors with {strange!r}, which is no sensor of its spec"
    known = [*spec.labels]
    for node in manifest.get("activities", []):
        strange = next((name for name in node["of"] if name not in known), None)
        if strange is not None or node["name"] in known:
            return f"has activities.{node['name']}, whose name or parts ({strange}) are not a label or an entry before it"
        known.append(node["name"])
    stream = manifest.get("stream", {"kind": "ring_buffer", "hop": spec.stride})
    if stream["kind"] == "ring_buffer" and (spec.window_size is None or stream["hop"] != spec.stride):
        return f"streams with a hop of {stream['hop']}, but its spec has windows of {spec.window_size} samples, {spec.stride} apart"
    if stream["kind"] == "ring_buffer" and stream.get("samples", spec.window_size) != spec.window_size:
        return f"has stream.samples = {stream['samples']}, but its spec has windows of {spec.window_size} samples"
    main = STREAMING if stream["kind"] == "state" else MODEL
    mounting = manifest.get("mounting", {})
    for name in (main, VECTORS, *(mounting[key] for key in ("estimator", "model") if key in mounting)):
        if name not in manifest["files"]:
            return f"names no checksum for {name}"
    outside = next((name for name in manifest["files"] if Path(name).name != name), None)
    return None if outside is None else f"names the file {outside!r}, expected a name without a folder"
