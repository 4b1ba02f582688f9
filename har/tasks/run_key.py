"""What the weights of a training depend on, for the keys of runs and jobs."""

import ast
import hashlib
import importlib.util
import json
from functools import cache
from pathlib import Path

from har.config import RunConfig
from har.files import executed_code
from har.models.registry import find_model

# The registry lists all networks, and the one that is trained is followed by itself; the others score, draw and write what is trained.
NOTHING_TO_DO_WITH_WEIGHTS: tuple[str, ...] = ("har.files", "har.models.registry", "har.reporting", "har.tasks.run_key")
NOTHING_TO_DO_WITH_WEIGHTS += ("har.evaluation", "har.exporting", "har.runtime")
ROOTS = ("har.training.fit", "har.data.prepare", "har.data.splits")
KEY_LENGTH = 16


def run_key(config: RunConfig, data_digest: str) -> str:
    """Changes with anything the weights depend on: code, config (seed and fold are in it) and data."""
    content = json.dumps([code_digest(config.model.name), config.model_dump(mode="json"), data_digest], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:KEY_LENGTH]


@cache
def code_digest(model: str) -> str:
    """SHA-256 of the code that decides the weights of `model`."""
    return digest_of(sources(model))


def digest_of(modules: dict[str, bytes]) -> str:
    """SHA-256 of source files by the names of their modules; docstrings, comments and layout do not count."""
    digest = hashlib.sha256()
    for module, source in sorted(modules.items()):
        digest.update(module.encode() + b"\0" + executed_code(source) + b"\0")
    return digest.hexdigest()


def sources(model: str) -> dict[str, bytes]:
    """Modules that decide the weights of `model`, and their content.

    Follows the imports from the fit and from the network, so that a change of the reports leaves finished jobs valid.
    """
    from har.tasks import task_of  # whose modules need this one

    return sources_of([*ROOTS, find_model(model).network.__module__, type(task_of(model)).__module__])


def sources_of(modules: list[str]) -> dict[str, bytes]:
    """The content of modules and of all they import from their own packages, but for what decides no weights."""
    packages = {"har", *(module.split(".")[0] for module in modules)}  # another one has a model that an entry point names, or a script
    found: dict[str, bytes] = {}
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        if module not in found and not any(f"{module}.".startswith(f"{name}.") for name in NOTHING_TO_DO_WITH_WEIGHTS):
            spec = importlib.util.find_spec(module)
            found[module] = Path(str(spec.origin)).read_bytes() if spec else b""
            waiting += _imported(found[module], module if spec and spec.submodule_search_locations else module.rpartition(".")[0], packages)
    return found


def _imported(source: bytes, package: str, packages: set[str]) -> list[str]:
    """What the source of a module of `package` imports from `packages`."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.split(".")[0] in packages]
        elif isinstance(node, ast.ImportFrom):
            module = importlib.util.resolve_name("." * node.level + (node.module or ""), package) if node.level else str(node.module)
            if module.split(".")[0] in packages:
                found.append(module)
                found += [name for name in (f"{module}.{alias.name}" for alias in node.names) if _is_module(name)]
    return found


def _is_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False
