"""Every block of shell and Python that the pages show is run as printed, or says why not."""

from __future__ import annotations

import re
import shutil
import tomllib
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.manual.blocks import PAGES, ROOT, RUN, SHOWN, Block, blocks, found
from tests.manual.reader import Reader, reader_files

EXTRAS = re.compile(r"pip install '\.\[([\w,]+)\]'")


def with_blocks(*kinds: str) -> list[str]:
    return [page for page in PAGES if any(block.language in RUN and block.kind in kinds for block in blocks(page))]


@pytest.fixture(scope="session")
def files(tmp_path_factory) -> Path:
    """What a reader has, drawn once. Read only."""
    folder = tmp_path_factory.mktemp("reader")
    reader_files(folder)
    return folder


@pytest.fixture
def reader(files, tmp_path) -> Reader:
    for file in files.iterdir():
        (tmp_path / file.name).symlink_to(file) if file.is_dir() else shutil.copy(file, tmp_path)
    return Reader(tmp_path)


def type_page(reader: Reader, page: str, *, heavy: bool) -> int:
    """Run what is to be run of a page, and return how many blocks it was."""
    done = 0
    with ExitStack() as served:
        for block in blocks(page):
            if block.language not in RUN or block.kind not in ("", "serves", *["heavy"][: int(heavy)]):
                continue
            if block.kind == "serves":
                served.enter_context(reader.serving(block))
            else:
                wrong = reader.type(block)
                assert not wrong, wrong
            done += 1
    return done


@pytest.mark.slow
@pytest.mark.parametrize("page", with_blocks("", "serves"))
def test_a_pages_blocks_are_run_in_order(page, reader):
    assert type_page(reader, page, heavy=False)


@pytest.mark.heavy
@pytest.mark.parametrize("page", with_blocks("heavy"))
def test_a_pages_long_blocks_are_run_too(page, reader):
    assert type_page(reader, page, heavy=True)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_says_of_what_language_its_blocks_are_and_why_one_is_not_run(page):
    for block in blocks(page):
        assert block.language in (*RUN, *SHOWN), f"{block.place}: {block.language} is no language that pages are in"
        assert block.language in RUN or not block.kind, f"{block.place} would not be run in any case"
        if block.kind in ("not run", "heavy"):
            assert len(block.words.split()) >= 3, f"{block.place}: a reason is a few words: {block.words}"
        elif block.kind == "run by":
            assert (ROOT / block.words).is_file(), f"{block.place}: there is no {block.words}"
            assert re.search("^def test_", (ROOT / block.words).read_text(), re.MULTILINE), f"{block.place}: no test"


def test_every_fence_is_read_as_one():
    for page in PAGES:
        fences = re.findall(r"^```", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE)
        assert len(fences) == 2 * len(blocks(page)), page


def test_what_the_pages_install_there_is():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = {
        extra
        for page in (*PAGES, "CONTRIBUTING.md")
        for words in EXTRAS.findall((ROOT / page).read_text(encoding="utf-8"))
        for extra in words.split(",")
    }
    assert named and not named - set(extras)


def test_most_blocks_that_need_nothing_special_are_run():
    """A count that falls says that somebody marked what could be run."""
    kinds = [block.kind for page in PAGES for block in blocks(page) if block.language in RUN]
    assert len([kind for kind in kinds if kind in ("", "serves")]) >= 28


@pytest.mark.parametrize(
    "marker", ["<!-- not run -->", "<!-- skipped: it is long -->", "<!-- run by -->", "<!-- not run: -->"]
)
def test_a_comment_before_a_block_is_one_of_the_forms(marker):
    with pytest.raises(ValueError, match=r"page\.md:2: .* is none of the forms"):
        found("page.md", f"Words.\n{marker}\n```sh\ntrue\n```\n")


def test_a_block_is_read_with_its_reason_and_its_place():
    text = "Words.\n\n<!-- heavy: takes two minutes here -->\n```sh\ntrue\n```\n\n```toml\n[a]\n```\n"
    (first, second) = found("page.md", text)
    assert first == Block(
        page="page.md", line=4, language="sh", text="true\n", kind="heavy", words="takes two minutes here"
    )
    assert (second.place, second.language, second.kind) == ("page.md:8", "toml", "")


def block(language: str, text: str, kind: str = "", words: str = "") -> Block:
    return Block(page="page.md", line=1, language=language, text=text, kind=kind, words=words)


def test_a_block_that_fails_is_found(reader):
    assert "page.md:1 ended with 3: said" in reader.type(block("sh", "echo said; exit 3"))
    assert "page.md:1 ended with 1" in reader.type(block("sh", "false\ntrue"))
    assert "no_such_name" in reader.type(block("python", "no_such_name"))
    assert not reader.type(block("sh", "ls me.png talk.mp4 speech.wav hp/manifest.json && python --version"))


def test_a_service_that_does_not_serve_is_found(reader):
    serves = block("sh", "exit 4", "serves", "http://127.0.0.1:7860/livez")
    with pytest.raises(AssertionError, match="does not serve"), reader.serving(serves):
        pass
