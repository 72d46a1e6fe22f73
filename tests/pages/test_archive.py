"""The book as one zip file: the same bits every time, and whole, in a folder anywhere, without a network."""

import re
import zipfile

import pytest
from tools import archive

from contents import PAGES, ROOT


@pytest.fixture(scope="module")
def packed(book, tmp_path_factory):
    target = tmp_path_factory.mktemp("packed") / "book.zip"
    archive.main(target)
    return target


@pytest.fixture(scope="module")
def unpacked(packed, tmp_path_factory):
    folder = tmp_path_factory.mktemp("far away, with spaces")
    with zipfile.ZipFile(packed) as file:
        assert file.testzip() is None
        file.extractall(folder)
    (top,) = folder.iterdir()
    return top


def test_it_is_the_same_file_every_time(packed, tmp_path):
    archive.main(tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == packed.read_bytes()


def test_neither_order_nor_dates_nor_rights_enter(tmp_path):
    files = {"b/c.html": b"c", "a.html": b"a", "b.html": b"b"}
    archive.pack(files, tmp_path / "one.zip")
    archive.pack(dict(reversed(files.items())), tmp_path / "two.zip")
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "one.zip") as file:
        assert {entry.date_time for entry in file.infolist()} == {archive.DATE}
        assert {entry.external_attr >> 16 for entry in file.infolist()} == {0o100644}
        assert file.namelist() == ["twin-filters/a.html", "twin-filters/b.html", "twin-filters/b/c.html"]


def test_it_says_how_to_open_it_and_has_no_junk(packed):
    with zipfile.ZipFile(packed) as file:
        names = file.namelist()
        readme = file.read("twin-filters/README.txt").decode()
    assert "Open index.html with a web browser" in readme
    assert [name for name in names if not name.startswith("twin-filters/") or ".." in name] == []
    assert [
        name for name in names if re.search(r"/\.|\.map$|\.[mp]o$|objects\.inv|\.ipynb_checkpoints", name)
    ] == []
    assert packed.stat().st_size < 10e6


def test_sources_are_packed_where_a_page_leads_to_them(tmp_path):
    (tmp_path / "_sources/book").mkdir(parents=True)
    (tmp_path / "book").mkdir()
    for name in ("linked.ipynb", "alone.ipynb"):
        (tmp_path / "_sources/book" / name).write_text("{}")
    (tmp_path / "book/page.html").write_text('<a href="../_sources/book/linked.ipynb#top">notebook</a>')
    (tmp_path / ".buildinfo").write_text("")
    names = [path.relative_to(tmp_path).as_posix() for path in archive.files_of(tmp_path)]
    assert names == ["_sources/book/linked.ipynb", "book/page.html"]


def test_every_link_and_picture_is_in_the_folder(unpacked):
    missing = []
    for page in unpacked.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        for address in re.findall(r'(?:href|src)="([^"#?]+)[^"]*"', text):
            if not re.match(r"[a-z]+:|//", address) and not (page.parent / address).exists():
                missing.append(f"{page.relative_to(unpacked)}: {address}")
    assert missing == []


@pytest.mark.parametrize("name", ["index", *PAGES])
def test_every_page_opens_from_the_folder_without_a_network(name, unpacked, visit):
    page, troubles = visit(f"{unpacked.as_uri()}/{name}.html")
    page.wait_for_url(f"**/{PAGES[0] if name == 'index' else name}.html")
    assert page.locator("article h1").count() == 1
    assert troubles == []


def test_a_widget_moves_in_the_folder(unpacked, visit):
    for name in PAGES:
        page, troubles = visit(f"{unpacked.as_uri()}/{name}.html")
        if page.locator(".tf-explore").count():
            break
    widget = page.locator(".tf-explore").first
    before = widget.locator(".tf-picture").first.inner_html()
    widget.locator("[data-control]").first.focus()
    page.keyboard.press(
        "Space"
        if widget.locator("[data-control]").first.get_attribute("type") == "checkbox"
        else "ArrowRight"
    )
    page.wait_for_function(
        "before => document.querySelector('.tf-explore .tf-picture').innerHTML !== before", arg=before
    )
    assert not widget.locator(".tf-error").is_visible()
    assert troubles == []


def test_search_finds_pages_in_the_folder(unpacked, visit):
    page, troubles = visit(f"{unpacked.as_uri()}/search.html?q=gradient")
    page.locator("main a[href*='identical-gradients']").first.wait_for()
    assert [trouble for trouble in troubles if "external" in trouble] == []


def test_there_has_to_be_a_book(monkeypatch, tmp_path):
    monkeypatch.setattr(archive, "HTML", tmp_path)
    with pytest.raises(SystemExit, match="run `make book`"):
        archive.main(tmp_path / "none.zip")


def test_the_folder_is_named_in_the_makefile():
    assert archive.TARGET.relative_to(ROOT).as_posix() in (ROOT / "Makefile").read_text(encoding="utf-8")
