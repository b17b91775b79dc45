"""The protocol's schema, as the document has it, for whoever holds an end to it."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parents[5] / "docs"


@cache
def schema() -> dict[str, Any]:
    return json.loads((DOCS / "live-protocol.schema.json").read_text())


def kinds_of(side: str) -> dict[str, dict[str, Any]]:
    """The messages of a side, "client" or "server", by type."""
    start = f"from-{side}-"
    return {name.removeprefix(start): found for name, found in schema()["$defs"].items() if name.startswith(start)}


@cache
def _validator(side: str) -> Any:
    import jsonschema_rs

    return jsonschema_rs.validator_for({"$ref": f"#/$defs/{side}", "$defs": schema()["$defs"]})


def is_valid(side: str, message: Any) -> bool:
    return _validator(side).is_valid(message)
