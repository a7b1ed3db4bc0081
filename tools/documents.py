"""Build the site of the documentation into build/docs/site: the pages of docs/, the references, diagrams as pictures.

It needs the packages of requirements/docs.txt, mermaid of tools/site/package.json, the built package of clients/typescript, and
Chromium, which draws the diagrams. The site asks no other host for anything.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorSet

import document_commands
import document_diagrams
import document_grpc
import document_links
import document_pages
import document_rest
import document_typescript
import proto
from mercato.rpcs import rpcs

ROOT = Path(__file__).parent.parent
BUILD = ROOT / "build/docs"
PACKAGES = ROOT / ".venv/docs"
"""The programs of the site, apart from ours."""
MERMAID = PACKAGES / "node_modules/mermaid/dist/mermaid.min.js"


CLIENT = ("mercato.client.Client", "mercato.async_client.AsyncClient", "mercato.errors", "mercato.sessions", "mercato.money")
"""Classes and modules that the reference of Python documents, beside the services."""


def gather(pages: Path) -> None:
    """Write all pages of the site, and all that they show, below a directory."""
    diagrams = document_pages.gather(pages)
    for number, svg in enumerate(document_diagrams.draw(diagrams, MERMAID)):
        (pages / f"images/diagram-{number}.svg").write_text(svg, encoding="utf-8")
    openapi = json.loads((ROOT / proto.OPENAPI).read_text(encoding="utf-8"))
    _write(pages / "reference/rest", document_rest.pages(openapi))
    _write(pages / "reference/commands", {"index.md": document_commands.page()})
    _write(pages / "reference/python", {"index.md": _python()})
    _write(pages / "reference/typescript", document_typescript.pages(document_typescript.read()))
    _write(pages / "reference/grpc", document_grpc.pages(_descriptors()))


def _python() -> str:
    """Return the page whose directives stand for the docstrings of the Python client."""
    names = (*CLIENT, *(f"mercato._services.sync.{each}" for each in sorted({rpc.service.rpartition(".")[2] for rpc in rpcs()})))
    return "# Python\n\n" + "\n\n".join(f"::: {name}" for name in names) + "\n"


def _write(folder: Path, pages: dict[str, str]) -> None:
    folder.mkdir(parents=True)
    for name, text in pages.items():
        (folder / name).write_text(text, encoding="utf-8")


def _descriptors() -> FileDescriptorSet:
    with tempfile.NamedTemporaryFile(suffix=".binpb") as file:
        proto.protoc("--include_source_info", f"--descriptor_set_out={file.name}")
        return FileDescriptorSet.FromString(Path(file.name).read_bytes())


def build(into: Path = BUILD) -> Path:
    """Build the site below a directory, and return its folder; raises ValueError for a link that leads nowhere."""
    shutil.rmtree(into, ignore_errors=True)
    pages = into / "pages"
    pages.mkdir(parents=True)
    gather(pages)
    shutil.copy(ROOT / "tools/site/zensical.toml", into / "zensical.toml")
    (into / "clients").symlink_to(ROOT / "clients/python")
    command = [str(PACKAGES / "python/bin/zensical"), "build", "--clean", "--strict"]
    done = subprocess.run(command, cwd=into, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ValueError(f"zensical could not build the site:\n{done.stdout}{done.stderr}")
    site = into / "site"
    if wrong := [*document_links.broken(site), *document_links.foreign(site)]:
        raise ValueError("links that lead nowhere, or to another host:\n" + "\n".join(wrong))
    return site


def main() -> int:
    """Build the site."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    try:
        print(build().relative_to(ROOT) / "index.html")
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
