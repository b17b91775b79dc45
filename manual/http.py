"""The reference of the service, from the two files that its tests hold: docs/openapi.json and the live protocol's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from manual.markdown import plain, table

METHODS = ("get", "post", "put", "patch", "delete")
INTRODUCTION = """# HTTP

What `hp-trt serve` answers, made from [openapi.json](../openapi.json), which is the interface; how it is used says
[the service](../service.md). Where the service has tokens, a request carries `Authorization: Bearer TOKEN`, but where
it says *no token*. What is refused is answered with a [problem](#problemdocument).
"""
LIVE = """## The live protocol

Messages of the socket, made from [live-protocol.schema.json](../live-protocol.schema.json), which is the interface; how
a session goes says [live over a network](../live-protocol.md).
"""


def page(docs: Path) -> str:
    """The page, as Markdown. `docs`: the folder of the two files."""
    api = json.loads((docs / "openapi.json").read_text(encoding="utf-8"))
    lines = [INTRODUCTION]
    for path, methods in api["paths"].items():
        for method in METHODS:
            if method in methods:
                lines += operation(method, path, methods[method])
    lines += ["## Bodies", ""]
    for name, schema in api["components"]["schemas"].items():
        lines += body(name, schema)
    lines += live(json.loads((docs / "live-protocol.schema.json").read_text(encoding="utf-8")))
    return "\n".join(lines) + "\n"


def operation(method: str, path: str, said: dict[str, Any]) -> Iterator[str]:
    yield from (f"## `{method.upper()} {path}`", "")
    yield from (plain(said.get("description", "")) + ("" if "security" in said else " *No token.*"), "")
    parameters = said.get("parameters", [])
    rows = [(f"`{p['name']}`", p["in"], kind(p["schema"]), plain(p.get("description", ""))) for p in parameters]
    yield from table(("parameter", "in", "type", ""), rows)
    content = said.get("requestBody", {}).get("content", {})
    if content:
        ways = [f"`{media}`: {kind(entry['schema'])}" for media, entry in content.items()]
        yield from ("Body: " + "; ".join(ways) + ".", "")
    yield from table(("answer", "body", ""), [answer(code, entry) for code, entry in said["responses"].items()])


def answer(code: str, said: dict[str, Any]) -> tuple[str, str, str]:
    bodies = [f"{kind(entry.get('schema', {}))}" for entry in said.get("content", {}).values()]
    words = said.get("description", "")
    return code, ", ".join(dict.fromkeys(bodies)), plain("" if words == "Successful Response" else words)


def body(name: str, schema: dict[str, Any]) -> Iterator[str]:
    yield from (f"### {name}", "")
    if schema.get("description"):
        yield from (plain_but_code(schema["description"]), "")
    yield from fields(schema)


def fields(schema: dict[str, Any]) -> list[str]:
    needed = schema.get("required", [])
    rows = []
    for field, entry in schema.get("properties", {}).items():
        absent = "" if field in needed else f"`{json.dumps(entry['default'])}`" if "default" in entry else "optional"
        rows.append((f"`{field}`", kind(entry), absent, plain_but_code(entry.get("description", ""))))
    return table(("field", "type", "left out", ""), rows)


def kind(schema: dict[str, Any]) -> str:
    """What a value may be, in a few words; a body of a name as a link to it."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[1]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(map(kind, schema["anyOf"]))
    if "const" in schema:
        return f"`{json.dumps(schema['const'])}`"
    if "enum" in schema:
        return " or ".join(f"`{json.dumps(value)}`" for value in schema["enum"])
    names = schema.get("type", "anything")
    if isinstance(names, list):
        return " or ".join(kind({**schema, "type": name}) for name in names)
    if names == "array":
        return f"list of {kind(schema.get('items', {}))}"
    if names == "object" and "properties" in schema:
        inner = (f"`{name}`: {kind(entry)}" for name, entry in schema["properties"].items())
        return f"a form with {', '.join(inner)}"
    if schema.get("format") == "binary":
        return "bytes"
    return f"{names}{limits(schema)}" if names != "null" else "null"


def limits(schema: dict[str, Any]) -> str:
    """Of a number or a text."""
    if "pattern" in schema:
        return f" `{schema['pattern']}`"
    low = schema.get("minimum", schema.get("minLength"))
    high = schema.get("maximum", schema.get("maxLength"))
    above = f" > {schema['exclusiveMinimum']}" if "exclusiveMinimum" in schema else ""
    if schema.get("type") not in ("integer", "number", "string") or (low is None and high is None):
        return above
    said = f"{low} to {high}" if None not in (low, high) else f"from {low}" if high is None else f"up to {high}"
    return f"{above} ({said}{' characters' if schema['type'] == 'string' else ''})"


def plain_but_code(text: str) -> str:
    """A description of ours: what stands between backticks stays code."""
    return "".join(part if number % 2 else plain(part) for number, part in _ticked(text))


def _ticked(text: str) -> Iterator[tuple[int, str]]:
    for number, part in enumerate(text.split("`")):
        yield number, f"`{part}`" if number % 2 else part


def live(schema: dict[str, Any]) -> Iterator[str]:
    yield from (LIVE, plain(schema["description"]), "")
    for side, words in (("client", "From the client"), ("server", "From the server")):
        yield from (f"### {words}", "")
        for reference in schema["$defs"][side]["oneOf"]:
            name = reference["$ref"].rsplit("/", 1)[1]
            message = schema["$defs"][name]
            word = message["properties"]["type"]["const"]
            yield from (f"#### `{word}` {{: #{name} }}", "", plain(message.get("description", "")), "")
            others = {field: entry for field, entry in message["properties"].items() if field != "type"}
            yield from fields({**message, "properties": others})
            yield from ("```json", json.dumps(message["examples"][0]), "```", "")
    yield from ("### Binary messages", "", "`packet` of the schema: the header's fields, and what follows it.", "")
    yield from ("```json", json.dumps(schema["packet"], indent=2), "```", "")
