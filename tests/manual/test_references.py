"""The reference: all that the source has, and nothing made up."""

from __future__ import annotations

import inspect
import json
import re
import subprocess
import sys

import pytest
from typer.main import get_command

import hp_trt
from hp_trt.__main__ import app
from manual import commands, http, python
from manual.markdown import cell, plain, table
from manual.site import ROOT

API = json.loads((ROOT / "docs/openapi.json").read_text(encoding="utf-8"))
LIVE = json.loads((ROOT / "docs/live-protocol.schema.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def of_commands() -> str:
    return commands.page()


@pytest.fixture(scope="module")
def of_http() -> str:
    return http.page(ROOT / "docs")


@pytest.fixture(scope="module")
def of_python() -> str:
    return python.page()


def section(page: str, heading: str) -> str:
    """From a heading to the next one."""
    _, _, rest = page.partition(f"{heading}\n")
    assert rest, f"there is no {heading}"
    return re.split(r"^#{2,4} ", rest, maxsplit=1, flags=re.MULTILINE)[0]


def test_every_command_has_its_options(of_commands):
    for name, command in get_command(app).commands.items():
        said = section(of_commands, f"### `hp-trt {name}`")
        for parameter in command.params:
            assert all(f"`{word}" in said or f" {word}" in said for word in parameter.opts if word.startswith("--")), (
                name
            )
    assert "### `hp-trt study serve`" in of_commands.replace("#### ", "### ")


def test_a_command_is_said_as_its_help_says_it(of_commands):
    """An independent way to the same words: the command itself, typed."""
    ran = subprocess.run([sys.executable, "-m", "hp_trt", "motion", "--help"], cwd=ROOT, capture_output=True, text=True)
    said = re.sub(r"&lt;|&gt;|\\", "", section(of_commands, "### `hp-trt motion`"))
    told, _, _ = ran.stdout.partition("--help")
    words = set(re.findall(r"[A-Za-z-]{4,}", told)) - {"Usage", "Options"}
    assert len(words) > 30 and {word for word in words if word not in said} == set()


def test_every_door_of_a_build_and_the_bench_are_there(of_commands):
    for door in commands.DOORS:
        assert f"## `{door}`" in of_commands
    assert "`--random-weights" in section(of_commands, "## `python -m export.build_engines`")
    assert "`--timeline" in section(of_commands, "## `python -m runtime.bench`")


def test_every_path_has_its_parameters_and_answers(of_http):
    for path, methods in API["paths"].items():
        for method, said in methods.items():
            text = section(of_http, f"## `{method.upper()} {path}`")
            assert all(f"| {code} |" in text for code in said["responses"]), (method, path)
            assert all(f"`{parameter['name']}`" in text for parameter in said.get("parameters", []))


def test_every_body_has_its_fields(of_http):
    for name, schema in API["components"]["schemas"].items():
        text = section(of_http, f"### {name}")
        assert all(f"| `{field}` |" in text for field in schema["properties"]), name


def test_every_live_message_has_its_fields(of_http):
    for name, message in LIVE["$defs"].items():
        if "properties" in message:
            word = message["properties"]["type"]["const"]
            text = section(of_http, f"#### `{word}` {{: #{name} }}")
            assert all(f"| `{field}` |" in text for field in message["properties"] if field != "type"), name


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"type": "string", "maxLength": 200}, "string (up to 200 characters)"),
        ({"type": ["integer", "null"], "minimum": 8000, "maximum": 96000}, "integer (8000 to 96000) or null"),
        ({"type": "number", "exclusiveMinimum": 0}, "number > 0"),
        ({"type": "array", "items": {"$ref": "#/components/schemas/JobSaid"}}, "list of [JobSaid](#jobsaid)"),
        ({"anyOf": [{"enum": ["clip", "talk"]}, {"type": "null"}]}, '`"clip"` or `"talk"` or null'),
        ({"type": "string", "format": "binary"}, "bytes"),
        ({}, "anything"),
    ],
)
def test_a_type_is_said_in_a_few_words(schema, said):
    assert http.kind(schema) == said


def test_every_name_of_hp_trt_is_there_with_its_methods(of_python):
    for name in hp_trt.__all__:
        found = getattr(hp_trt, name)
        if not isinstance(found, type):
            continue
        assert f"{{: #{name} }}" in of_python or f'id="{name}"' in of_python, name
        methods = [word for word, member in vars(found).items() if callable(member) and not word.startswith("_")]
        missing = [word for word in methods if f"{{: #{name}.{word} }}" not in of_python]
        assert not [word for word in missing if getattr(found, word).__doc__], (name, missing)


def test_a_signature_has_all_parameters_and_no_quotes(of_python):
    said = section(of_python, "#### `Runtime.animate` {: #Runtime.animate }")
    for name in inspect.signature(hp_trt.Runtime.animate).parameters:
        assert name == "self" or f"    {name}" in said or f"    **{name}" in said, name
    assert "portrait: Portrait | Picture,\n" in said and ") -> Animation\n" in said
    assert "resume: Mode = 'new',\n" in said


def test_columns_of_a_docstring_are_a_table_with_defaults(of_python):
    said = section(of_python, "### `RuntimeConfig` {: #RuntimeConfig }")
    assert "| `max_frames` | `10000` | the longest driving video" in said
    assert "| `profile` | `'exact'` |" in said and "[`Profile`](#Profile)" in said


def test_errors_that_a_docstring_names_are_links(of_python):
    said = section(of_python, "#### `Runtime.animate` {: #Runtime.animate }")
    assert "Raises [`InputError`](#InputError), [`FaceNotFound`](#FaceNotFound), [`OutputError`](#OutputError)." in said


def test_no_docstring_of_theirs_is_taken_for_html_or_markdown():
    assert plain("a_b <path> [x] *y* & `z`") == r"a\_b &lt;path&gt; \[x\] \*y\* &amp; \`z\`"
    assert python.linked("give `a_b`, of a_session *all*") == r"give `a_b`, of a\_session \*all\*"
    assert cell("a | b\n  c") == r"a \| b c"
    assert table(("x", "y"), []) == []
    assert table(("x", "y"), [("1", "2")]) == ["| x | y |", "|---|---|", "| 1 | 2 |", ""]
