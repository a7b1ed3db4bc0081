"""Write the reference of the TypeScript client as Markdown, from the types of the built package."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypedDict

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "clients/typescript"
INTRODUCTION = """# TypeScript

The exports of `@mercato/client`. [The guide](../../typescript.md) tells how to use it.

- [Functions of the services](services.md)
- [Messages and enums](messages.md)
"""
SERVICES = """# Functions of the services

`shop` is what `connect` returns. `MessageInit<M>` has the fields of the message `M`, all of them optional.
"""
TITLES = {"node": "Only in @mercato/client/node", "web": "Only in @mercato/client/web", "index": "In all three entries"}
OF_THE_GENERATOR = re.compile(r"\n *\*(?: *\n *\*)? @generated from [^\n]*(?=\n)")
MESSAGE = re.compile(r'Message<"mercato\.v1\.([\w.]+)">')


class Export(TypedDict):
    """An export of an entry."""

    name: str
    file: str
    comment: str
    source: str


class Method(TypedDict):
    """A function of a service."""

    name: str
    comment: str
    type: str


class Service(TypedDict):
    """A service by the name of its attribute."""

    name: str
    methods: list[Method]


class Package(TypedDict):
    """The output of clients/typescript/scripts/reference.js."""

    entries: dict[str, list[Export]]
    services: list[Service]


def read() -> Package:
    """Return what the package exports, as its compiler sees it; raises ValueError if the package is not built."""
    command = [shutil.which("node") or "node", "scripts/reference.js"]
    done = subprocess.run(command, cwd=PACKAGE, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ValueError(f"the types of clients/typescript cannot be read:\n{done.stderr}")
    package: Package = json.loads(done.stdout)
    return package


def pages(package: Package) -> dict[str, str]:
    """Return the text of each page by its name."""
    shared = package["entries"]["index"]
    messages = [each for each in shared if is_message(each)]
    places = {each["name"] for each in messages}
    return {
        "index.md": "\n\n".join([INTRODUCTION.rstrip(), *_entries(package["entries"])]) + "\n",
        "services.md": "\n\n".join([SERVICES.rstrip(), *_services(package["services"], places)]) + "\n",
        "messages.md": "\n\n".join(["# Messages and enums", *(_export(each) for each in messages)]) + "\n",
    }


def is_message(export: Export) -> bool:
    """Return whether an export is a message or an enum, and not their description."""
    return export["file"].startswith("gen/mercato/") and re.match(r"export (type|declare enum)\b", export["source"]) is not None


def _entries(entries: Mapping[str, Sequence[Export]]) -> Iterator[str]:
    shared = {each["name"] for each in entries["index"]}
    for entry, title in TITLES.items():
        yield f"## {title}"
        own = (each for each in entries[entry] if entry == "index" or each["name"] not in shared)
        yield from (_export(each, entry) for each in own if not each["file"].startswith("gen/mercato/"))


def _export(export: Export, entry: str = "") -> str:
    name = export["name"]
    anchor = "-".join(filter(None, (entry, name.lower())))
    code = re.sub(r"/\*\*\n *\*/\n *", "", OF_THE_GENERATOR.sub("", export["source"]))
    return f"### {name} {{ #{anchor} }}\n\n{_prose(export['comment'])}\n\n```ts\n{code}\n```"


def _services(services: Sequence[Service], places: set[str]) -> Iterator[str]:
    for service in services:
        yield f"## shop.{service['name']} {{ #{service['name'].lower()} }}"
        for method in service["methods"]:
            type_ = MESSAGE.sub(r"\1", method["type"]).replace(" | undefined", "")
            named = [name for name in dict.fromkeys(re.findall(r"\w+", type_)) if name in places]
            links = ", ".join(f"[{name}](messages.md#{name.lower()})" for name in named)
            title = f"### {method['name']} {{ #{service['name'].lower()}-{method['name'].lower()} }}"
            yield f"{title}\n\n```ts\nshop.{service['name']}.{method['name']}{type_}\n```\n\n{_prose(method['comment'])}\n\n{links}"


def _prose(comment: str) -> str:
    """Return a comment as prose: its words in angle brackets are no HTML."""
    return comment.replace("<", "&lt;").replace("[", "\\[")
