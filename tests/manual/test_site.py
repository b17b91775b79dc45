"""The manual as a site: built from the pages, whole, without a dead link, and asking nobody else for anything."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from engines.errors import InputError, OutputError
from manual import links, site
from manual.site import ROOT, build_site, navigation, stage, staged
from tests.manual.blocks import found as blocks_of

LOADED = {"script": "src", "img": "src", "source": "src", "video": "src", "iframe": "src", "link": "href"}
NO_REQUEST = ("canonical", "alternate", "next", "prev")  # of <link>: what is said, not loaded
pytestmark = pytest.mark.xdist_group("manual")  # one site


@dataclass
class Page(HTMLParser):
    """What a page's HTML has: anchors, links, and what a browser loads with it."""

    anchors: set[str] = field(default_factory=set)
    hrefs: list[str] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = {name: value or "" for name, value in attrs}
        self.anchors |= {said[name] for name in ("id", "name") if name in said}
        if tag == "a" and "href" in said:
            self.hrefs.append(said["href"])
        if tag in LOADED and said.get(LOADED[tag]) and said.get("rel") not in NO_REQUEST:
            self.loads.append(said[LOADED[tag]])


def read(html: str) -> Page:
    page = Page()
    page.feed(html)
    return page


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("manual") / "site"
    assert build_site(out) > 40
    return out


@pytest.fixture(scope="module")
def pages(built) -> dict[str, Page]:
    """Every page by its path in the site."""
    return {str(path.relative_to(built)): read(path.read_text(encoding="utf-8")) for path in built.rglob("*.html")}


def dead(pages: Mapping[str, Page], files: set[str]) -> Iterator[str]:
    """Links and loads that lead nowhere in the site. 404.html is shown at any address, and has whole ones."""
    for name, page in pages.items():
        for target in [*page.hrefs, *page.loads]:
            parts = urlsplit(target)
            if parts.scheme or parts.netloc or name == "404.html":
                continue
            path = (
                posixpath.normpath(posixpath.join(posixpath.dirname(name), unquote(parts.path))) if parts.path else name
            )
            if path not in files:
                path = posixpath.normpath(posixpath.join(path, "index.html"))
            if path not in files:
                yield f"{name}: {target} leads to no file"
            elif parts.fragment and path in pages and unquote(parts.fragment) not in pages[path].anchors:
                yield f"{name}: {target} leads to no place of {path}"


def files_of(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_no_link_of_the_site_is_dead(built, pages):
    assert sum(len(page.hrefs) for page in pages.values()) > 1000
    assert list(dead(pages, files_of(built))) == []


@pytest.mark.parametrize(
    ("html", "said"),
    [
        ('<a href="../nowhere/">x</a>', "leads to no file"),
        ('<a href="../there/#nowhere">x</a>', "leads to no place of there/index.html"),
        ('<a href="#nowhere">x</a>', "leads to no place of here/index.html"),
        ('<img src="../nowhere.png">', "leads to no file"),
    ],
)
def test_a_dead_link_is_found(html, said):
    there = {"here/index.html": read(html), "there/index.html": read('<h1 id="here">x</h1>')}
    assert [line for line in dead(there, set(there)) if said in line]
    right = {**there, "here/index.html": read('<a href="../there/#here">x</a><a href="https://example.org/">y</a>')}
    assert list(dead(right, set(right))) == []


def test_a_page_asks_no_other_host(built, pages):
    """Links may leave; what a browser loads by itself, scripts, styles, fonts and pictures, is the site's own."""
    asked = {load for page in pages.values() for load in page.loads if urlsplit(load).netloc}
    assert asked == set() and any(page.loads for page in pages.values())
    styles = "".join(path.read_text(encoding="utf-8") for path in built.rglob("*.css"))
    assert "url(http" not in styles and "@import" not in styles


def test_every_page_of_docs_stands_in_the_navigation_and_the_navigation_names_no_other():
    there = {f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")}
    named = navigation()
    assert len(named) == len(set(named))
    assert {links.place(page) for page in there} <= set(named), "add it to nav in manual/zensical.toml"
    assert set(named) <= set(staged()), "the navigation names a page that is not there"


def test_the_site_begins_with_the_moving_picture_and_two_commands(built):
    text = (built / "index.html").read_text(encoding="utf-8")
    assert "drawn-people.webp" in text and (built / "drawn-people.webp").is_file()
    assert "make" in text and "First steps" in text


def test_the_readmes_first_screen_has_a_moving_picture_two_commands_and_figures_with_theirs():
    screen = "\n".join((ROOT / "README.md").read_text(encoding="utf-8").splitlines()[:45])
    assert ".webp)" in screen
    (block,) = [block for block in blocks_of("README.md", screen) if block.language == "sh"]
    assert len(block.text.splitlines()) == 2
    figures = [row.split("|")[-2] for row in screen.splitlines() if row.startswith("| ") and "frames/s" in row]
    assert figures and all("`python -m runtime.bench" in command for command in figures)


def test_code_and_tables_are_that_and_comments_stay_comments(built):
    text = (built / "performance" / "index.html").read_text(encoding="utf-8")
    assert text.count("<table>") > 5 and text.count("<code>") > 20
    assert "<!-- heavy: " in text and "&lt;!--" not in text and "```" not in text


def test_what_can_be_searched_for_is_the_whole_manual(built):
    found = json.dumps(json.loads((built / "search.json").read_text(encoding="utf-8")))
    assert "write_motion" in found and "Idempotency-Key" in found and "--allow-playlist" in found


def test_a_link_that_leaves_the_pages_is_led_to_a_copy():
    text = "[a](../SECURITY.md#the-service) [b](live.md) [c](../hp_trt/profiles.py) [d](https://example.org)\n"
    assert links.led("docs/x.md", text) == (
        "[a](from/SECURITY.md#the-service) [b](live.md) [c](from/hp_trt/profiles.py.md) [d](https://example.org)\n"
    )
    assert links.led("hp_trt/shipped/a/b.md", "[a](../../../docs/live.md)") == "[a](../../../../live.md)"
    assert (
        links.led("README.md", "[a](docs/live.md#x), [b](#y), [c](NOTICE)")
        == "[a](live.md#x), [b](#y), [c](from/NOTICE.md)"
    )
    code = "```python\nx[1](2)\n```\n"
    assert links.led("docs/x.md", code) == code
    assert links.targets("docs/x.md", text + code) == {"SECURITY.md", "docs/live.md", "hp_trt/profiles.py"}


def test_what_is_linked_to_is_shown_whole_even_if_it_has_fences_of_its_own(tmp_path):
    stage(tmp_path)
    source = (tmp_path / "pages/from/hp_trt/profiles.py.md").read_text(encoding="utf-8")
    assert source.startswith("# hp_trt/profiles.py\n\n~~~~python\n") and source.endswith("~~~~\n")
    assert (ROOT / "hp_trt/profiles.py").read_text(encoding="utf-8") in source


def test_a_site_is_replaced_and_nothing_else(built, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="is not empty and is no site of ours; name another folder"):
        build_site(tmp_path)
    with pytest.raises(InputError, match="is not empty"):
        build_site(tmp_path / "mine.txt")
    assert (tmp_path / "mine.txt").read_text() == "mine"


def test_a_link_that_leads_nowhere_ends_the_build(monkeypatch, tmp_path):
    real = site.staged
    monkeypatch.setattr(site, "staged", lambda: {**real(), "live.md": "# Live\n\n[x](nowhere.md)\n"})
    with pytest.raises(OutputError, match=r"live\.md:3:5"):
        build_site(tmp_path / "site")
    assert not (tmp_path / "site").exists()


def test_without_zensical_it_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setattr(site.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install '\.\[docs\]'"):
        build_site(tmp_path / "site")
