"""The model card (Mitchell et al. 2019), written from the manifest alone, so that it cannot say anything else."""

from typing import Any

from har.contract import TEST_SUBJECTS, SignalSpec
from har.data.prepare import describe
from har.reporting import markdown
from har.runtime.manifest import MODELS

SYNTHETIC = "> **Trained on SYNTHETIC data.** Its answers say nothing about people; it shows that the way from data to device works.\n\n"
MEASURED = "Windows of validation subjects, with the network of this config and seed that did not train on them."
NOT_FITTED = "not fitted: "
HELD_OUT = "held-out subjects of the training part"


def model_card(manifest: dict[str, Any]) -> str:
    """Markdown for people who decide whether to use the model.

    Args:
        manifest: of the bundle, without its checksums.
    """
    spec, datasets = SignalSpec.from_json(manifest["spec"]), manifest["datasets"]
    about = [describe(dataset["name"]) for dataset in datasets]
    placement, axes = (" or ".join(dict.fromkeys(data[key] for data in datasets if data.get(key))) for key in ("placement", "axes"))
    terms, cite = (list(dict.fromkeys(data[key] for data in datasets)) for key in ("licence", "cite"))
    limits, official = dict.fromkeys(each.limits for each in about), all(each.official for each in about)
    sensors = " and ".join(spec.sensor_names)
    if spec.window_size is None:
        reads = f"every sample of a phone's {sensors}, and what it kept of the samples before,"
    else:
        reads = f"{spec.window_size / spec.sample_rate_hz:.2f} s of a phone's {sensors}"
    sections = [
        f"# {manifest['run']}, seed {manifest['seed']}\n\n"
        + (SYNTHETIC if any(data["synthetic"] for data in datasets) else "")
        + f"A network of kind `{manifest['model']}` with {manifest['parameters']:,} parameters. It names what a person does from "
        f"{reads} at {spec.sample_rate_hz:g} Hz: {', '.join(spec.labels)}.",
        "## Intended use\n\nActivity diaries, posture statistics, apps that adapt to what a person does, teaching and research. "
        "The phone is worn as in the training data"
        + (f" ({placement})" if placement else "")
        + (", mounted in any way" if "mounting" in manifest else "")
        + f"; axes: {spec.axes}"
        + (f"; in the training data {axes}" if axes else "")
        + ". Not for medical decisions, the detection of falls, or watching people who have not agreed.",
        "## Data\n\n"
        + "".join(
            f"`{data['name']}`, digest `{data['digest'][:16]}`: {data.get('subjects', 'see the data set')}"
            + (f", worn {data['placement']}. " if data.get("placement") else ". ")
            for data in datasets
        )
        + f"Subjects, never windows, were split into training, validation and test. Terms: {'; '.join(terms)}.",
    ]
    sections += [_scores(_whose(name, found, official=official), found) for name, found in manifest["metrics"].items()]
    sections += [_sureness(manifest), _files(manifest)]
    if "mounting" in manifest:
        sections.append(_mounting(manifest["mounting"]))
    if manifest["robustness"]:
        sections.append(_robustness(manifest["robustness"]))
    sections.append(
        "## Limits\n\n"
        "- People, phones and pockets that are not like those of the data get worse answers, and the model does not know it.\n"
        "- It names one of the labels above, or `UNKNOWN` below its threshold, also when a person does something else: cycling, driving, a "
        "change of posture.\n"
        + "".join(f"- {text}\n" for text in limits if text)
        + "- Whether one person's movements are recognised cannot be told from averages: see the worst person above."
    )
    sections.append(
        f"## Licence\n\nCode and weights: {manifest['licence']}. Training data: {'; '.join(terms)}."
        + (f" Cite: {'; '.join(filter(None, cite))}." if any(cite) else "")
        + f"\n\nMade by wearable-har {manifest['versions']['wearable-har']} at commit {manifest['commit']}."
    )
    return "\n\n".join(sections) + "\n"


def _whose(split: str, found: dict[str, Any], *, official: bool) -> str:
    """Whose scores these are, for a title."""
    if split == "validation":
        return HELD_OUT
    tested = {row["subject"] for row in found["per_subject"]}
    return f"the {'official ' * (official and tested <= set(TEST_SUBJECTS))}test subjects"


def _scores(whose: str, found: dict[str, Any]) -> str:
    unit = "samples" if "samples" in found else "windows"
    people = [(row["subject"], row[unit], f"{100 * row['accuracy']:.1f}") for row in found["per_subject"]]
    by_person, who = markdown(("person", unit, "accuracy, per cent"), people), f"{found['who']}: {found['subjects']} subjects"
    if unit == "samples":
        per_sample = f"accuracy {100 * found['accuracy']:.2f} %, macro-F1 {100 * found['macro_f1']:.2f} %"
        return f"## Scores on {whose}\n\n{who}, {found[unit]} samples.\n\nPer sample: {per_sample}.\n\n{by_person}"
    scores = [
        (title, f"{100 * score['value']:.2f}", f"{100 * score['low']:.1f} to {100 * score['high']:.1f}")
        for title, score in (("accuracy", found["accuracy"]), ("macro-F1", found["macro_f1"]))
    ]
    activities = [(row["activity"], row["windows"], "-" if row["f1"] is None else f"{100 * row['f1']:.1f}") for row in found["per_class"]]
    worst = min(found["per_subject"], key=lambda row: row["accuracy"])
    return "\n\n".join(
        [
            f"## Scores on {whose}",
            f"{who}, {found['windows']} windows. The interval (95 %) comes from resampling subjects.",
            markdown(("score", "per cent", "interval"), scores),
            markdown(("activity", "windows", "F1, per cent"), activities),
            by_person,
            f"The worst person, number {worst['subject']}, has {100 * worst['accuracy']:.1f} %.",
        ]
    )


def _sureness(manifest: dict[str, Any]) -> str:
    temperature, unknown = manifest["temperature"], manifest["unknown"]
    value, fitted_on = temperature["value"], temperature["fitted_on"]
    default = fitted_on.startswith(NOT_FITTED)
    text = "## Confidence\n\n"
    if default:
        text += f"The temperature of its probabilities is {value:g} and was not fitted: {fitted_on.removeprefix(NOT_FITTED)}. "
    else:
        text += f"The temperature of its probabilities is {value:.3f}, fitted on {fitted_on}. "
    if unknown["below"] is None or unknown["right"] is None:
        return text + 'There is no threshold below which a client says "unknown": every answer counts.'
    text += f'Below a probability of {unknown["below"]:.2f}{", the default," * default} a client says "unknown"'
    return (
        f"{text}: of those windows {100 * unknown['answered']:.1f} % get an answer, and {100 * unknown['right']:.1f} % of the answers are "
        "right."
    )


def _files(manifest: dict[str, Any]) -> str:
    models = {name: entry for name, entry in manifest["files"].items() if name in MODELS} | manifest.get("left_out", {})
    rows = []
    for name, entry in models.items():
        if "reason" in entry:
            rows.append((name, f"{entry['kind']}: left out, {entry['reason']}", "", "", ""))
            continue
        judged = "label_agreement" in entry
        compared = (f"{100 * entry['label_agreement']:.2f} %", f"{100 * entry['accuracy_change']:+.2f} points") if judged else ("", "")
        rows.append((name, entry["kind"], f"{entry['bytes'] / 1000:.0f}", *compared))
    ran = ", ".join(f"{row['runtime']} {row['version']} on {row['processor']}" for row in manifest["tested"])
    judged_on = {entry["judged_on"] for entry in models.values() if "judged_on" in entry}
    sections = ["## Files", markdown(("file", "what", "kB", "same activity", "accuracy"), rows, "llr")]
    sections += [f"The golden windows held in {ran}."] if ran else []
    return "\n\n".join([*sections, *(f"Compared with the float file on {who}." for who in sorted(judged_on))])


def _robustness(rows: list[dict[str, Any]]) -> str:
    columns = {"accuracy": "accuracy, per cent"}
    if "in_stream" in rows[0]:
        columns = {"accuracy": "window by window, per cent", "in_stream": "in a stream, per cent"}
    cells = [(row["disturbance"], *(f"{100 * row[name]:.1f}" for name in columns)) for row in rows]
    return f"## When it is worn or read otherwise\n\n{MEASURED}\n\n{markdown(('disturbance', *columns.values()), cells)}"


def _mounting(said: dict[str, Any]) -> str:
    return (
        "## Mounting\n\n"
        f"`model.onnx` takes any mounting. Along a stream, `{said['estimator']}` ({said['estimator_run']}) tells from walking how the "
        f"phone is mounted ({said['directions']}); from then on windows are turned into place and `{said['model']}` "
        f"({said['model_run']}) answers, "
        "which knows how the phone leans: sitting, standing and lying are told apart by that."
    )
