"""Write the reference of the REST interface as Markdown, from the OpenAPI document."""

from collections.abc import Iterator, Mapping
from typing import Any

JSON = Mapping[str, Any]
VERBS = ("get", "post", "put", "patch", "delete")
COMPONENTS = "#/components/"


def pages(document: JSON) -> dict[str, str]:
    """Return the text of each page by its name: one for each tag, one of all schemas, and an index."""
    written = {}
    for tag in document["tags"]:
        calls = [call for call in _calls(document) if tag["name"] in call[2].get("tags", ())]
        body = "\n\n".join(_operation(document, *call) for call in calls)
        written[f"{tag['name']}.md"] = f"# {tag['name']} over REST\n\n{tag.get('description', '')}\n\n{body}\n"
    schemas = (_schema(name, schema) for name, schema in sorted(document["components"]["schemas"].items()))
    written["schemas.md"] = "# Schemas of REST\n\n" + "\n\n".join(schemas) + "\n"
    written["index.md"] = _index(document)
    return written


def _calls(document: JSON) -> Iterator[tuple[str, str, JSON]]:
    for path, item in document["paths"].items():
        for verb in VERBS:
            if verb in item:
                yield verb.upper(), path, item[verb]


def _index(document: JSON) -> str:
    rows = [
        f"| `{verb} {path}` | [{_title(call)}]({(call.get('tags') or ['index'])[0]}.md#{anchor(call)}) |"
        if call.get("tags")
        else f"| `{verb} {path}` | {_title(call)} |"
        for verb, path, call in _calls(document)
    ]
    head = f"# REST\n\n{document['info']['description']}\n\n| request | effect |\n|---|---|\n"
    return head + "\n".join(rows) + "\n"


def anchor(call: JSON) -> str:
    """Return the anchor of an operation on its page."""
    return str(call["operationId"]).lower()


def _title(call: JSON) -> str:
    return cell(str(call.get("summary") or call["operationId"]))


def _operation(document: JSON, verb: str, path: str, call: JSON) -> str:
    title = _title(call).replace("{", "&#123;").replace("}", "&#125;")  # not an attribute of the heading
    parts = [f"## {title} {{ #{anchor(call)} }}", f"`{verb} {path}`"]
    description = str(call.get("description", ""))
    if description != call.get("summary"):
        parts.append(description)
    if parameters := call.get("parameters"):
        rows = [
            f"| `{each['name']}` | {each['in']}{', required' if each.get('required') else ''} | {_type(each['schema'])} "
            f"| {cell(each.get('description', ''))} |"
            for each in (_resolved(document, one) for one in parameters)
        ]
        parts.append("| parameter | in | type | meaning |\n|---|---|---|---|\n" + "\n".join(rows))
    if body := call.get("requestBody"):
        parts.append("**Body**: " + _contents(_resolved(document, body)))
    rows = []
    for status, response in call["responses"].items():
        answer = _resolved(document, response)
        rows.append(f"| {status} | {cell(answer.get('description', ''))} | {_contents(answer)} |")
    parts.append("| status | meaning | body |\n|---|---|---|\n" + "\n".join(rows))
    return "\n\n".join(parts)


def _resolved(document: JSON, item: JSON) -> JSON:
    found: JSON = item
    while "$ref" in found:
        target: Any = document
        for step in found["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        found = target  # a dict of the document
    return found


def _contents(item: JSON) -> str:
    return ", ".join(f"{_type(content['schema'])} as `{kind}`" for kind, content in item.get("content", {}).items() if "schema" in content)


def _schema(name: str, schema: JSON) -> str:
    parts = [f"## {name} {{ #{schema_anchor(name)} }}"]
    if schema.get("description"):
        parts.append(str(schema["description"]))
    if "enum" in schema:
        parts.append(", ".join(f"`{value}`" for value in schema["enum"]))
    properties = schema.get("properties", {})
    if properties:
        required = schema.get("required", ())
        rows = [
            f"| `{key}` | {_type(value)}{', required' if key in required else ''}{', read only' if value.get('readOnly') else ''} "
            f"| {cell(value.get('description', ''))} |"
            for key, value in properties.items()
        ]
        parts.append("| field | type | meaning |\n|---|---|---|\n" + "\n".join(rows))
    elif "enum" not in schema and schema.get("type"):
        parts.append(_type(schema))
    return "\n\n".join(parts)


def schema_anchor(name: str) -> str:
    """Return the anchor of a schema on the page of schemas."""
    return "schema-" + name.lower().replace(".", "-")


def _type(schema: JSON) -> str:
    if "$ref" in schema:
        name = schema["$ref"].removeprefix(f"{COMPONENTS}schemas/")
        return f"[{name}](schemas.md#{schema_anchor(name)})"
    for word in ("allOf", "anyOf", "oneOf"):
        if word in schema:
            return " or ".join(_type(each) for each in schema[word])
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    if schema.get("type") == "object" and "additionalProperties" in schema and isinstance(schema["additionalProperties"], dict):
        return f"map to {_type(schema['additionalProperties'])}"
    kind = schema.get("type", "any")
    words = [" or ".join(kind) if isinstance(kind, list) else str(kind), f"({schema['format']})" if "format" in schema else ""]
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        words.append(f"{low:,} to {high:,}")
    return " ".join(word for word in words if word)


def cell(text: str) -> str:
    """Return text for a cell of a table: in one line, without a bar that would end the cell."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
