"""For `make docs`: pages that show a file of the repository, and links that leave the folder of the pages.

A page whose head says ``source: export/README.md`` shows that file, one that says ``modules: [har.contract, har.data]`` the docstrings of
these modules, and of all modules in a package. A link to a file that is no page is checked: to another page's source it becomes a link to
that page, a picture is copied to the site, and any other file is named, because the site does not hold it.
"""

import os
import re
from pathlib import Path, PurePosixPath
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.utils import meta

LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s#]+)(#[^)\s]*)?\)")
PICTURES = (".png", ".svg")
COPIED = "files"  # folder of the site for pictures from elsewhere in the repository
SOURCES = "har_sources"  # where the hook keeps, in the config's extra values, which page shows which file


def on_files(files: Files, config: Any) -> Files:
    """Find the pages that show a file, and take the pictures of `results/` to the site."""
    root = Path(config.config_file_path).parent
    sources = {}
    for file in files.documentation_pages():
        source = meta.get_data(file.content_string)[1].get("source")
        if source:
            if not (root / source).is_file():
                raise PluginError(f"docs/{file.src_uri} shows {source}, which is not there")
            sources[source] = file.src_uri
    config.extra[SOURCES] = sources
    for path in sorted((root / "results").rglob("*")):
        if path.suffix in PICTURES:
            files.append(File.generated(config, f"{COPIED}/{path.relative_to(root).as_posix()}", abs_src_path=str(path)))
    return files


def _modules(root: Path, name: str) -> list[str]:
    """A module, or all modules of a package."""
    place = root.joinpath(*name.split("."))
    if not place.is_dir():
        return [name]
    inside = sorted(path.relative_to(root).with_suffix("") for path in place.rglob("*.py") if not path.name.startswith("_"))
    return [".".join(path.parts) for path in inside]


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Put the file in its place and mend its links."""
    root = Path(config.config_file_path).parent
    if "modules" in page.meta:
        found = [module for name in page.meta["modules"] for module in _modules(root, name)]
        return markdown + "".join(f"\n::: {module}\n" for module in found)
    source = page.meta.get("source")
    place = PurePosixPath(source) if source else PurePosixPath("docs", page.file.src_uri)
    if source:
        markdown = (root / source).read_text(encoding="utf-8")

    def mended(found: re.Match[str]) -> str:
        picture, text, target, anchor = found[1], found[2], found[3], found[4] or ""
        if ":" in target:
            return found[0]
        inside = PurePosixPath(os.path.normpath(place.parent / target))
        if not (root / inside).exists():
            raise PluginError(f"{place} links to {target}, which is not there")
        name = str(inside)
        if inside.parts[0] == "docs":
            wanted = str(PurePosixPath(*inside.parts[1:]))
        elif name in config.extra[SOURCES]:
            wanted = config.extra[SOURCES][name]
        elif inside.suffix in PICTURES and files.get_file_from_path(f"{COPIED}/{name}"):
            wanted = f"{COPIED}/{name}"
        else:
            return text if text.strip("`") == name else f"{text} (`{name}`)"
        return f"{picture}[{text}]({os.path.relpath(wanted, PurePosixPath(page.file.src_uri).parent)}{anchor})"

    parts = re.split(r"(```.*?```)", markdown, flags=re.DOTALL)  # code stays as it is
    return "".join(part if part.startswith("```") else LINK.sub(mended, part) for part in parts)
