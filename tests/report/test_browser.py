"""A page in a real browser: no errors, narrow enough for a phone, a working slider.

Skipped if Chromium is not installed (Debian, Ubuntu: apt install chromium).
"""

import browser
import pytest
from pages import page, write

pytestmark = pytest.mark.skipif(
    browser.find() is None, reason=f"no browser: none of {', '.join(browser.NAMES)}"
)
SHOWN = "[...document.querySelectorAll('figure.now')].map(f => f.dataset.step).join()"


@pytest.fixture
def pages(tmp_path):
    one, two = write(tmp_path / "one"), write(tmp_path / "two", "ae", steps=(2, 6))
    page(one)
    page(one, two, out=tmp_path / "both.html")
    return one / "report.html", tmp_path / "both.html"


def test_no_errors_and_nothing_overflows(pages):
    with browser.opened() as tab:
        for path in pages:
            for width, dark in ((1280, False), (390, True)):
                tab.open(path, width, dark)
                assert tab.value("document.documentElement.scrollWidth") <= width
                broken = "[...document.images].filter(i => !i.naturalWidth).length"
                assert tab.value(broken) == 0
                paper = tab.value("getComputedStyle(document.body).backgroundColor")
                assert (paper == "rgb(255, 255, 255)") != dark
        assert tab.errors == []


def test_the_slider_shows_the_last_grid_up_to_a_step(pages):
    move = "const s = document.querySelector('input'); s.value = {}; "
    move += "s.dispatchEvent(new Event('input'))"
    with browser.opened() as tab:
        tab.open(pages[1])  # steps 2, 4, 6, 8, 12 of both
        assert tab.value(SHOWN) == "12,6"
        for place, shown in ((0, "4,2"), (2, "4,6"), (3, "8,6")):
            tab.value("{" + move.format(place) + "}")
            assert tab.value(SHOWN) == shown
        assert tab.value("document.querySelector('output').textContent") == "step 8"


def test_without_scripts_the_last_grid_is_shown(pages):
    with browser.opened() as tab:
        tab.open(pages[0], script=False)
        visible = "[...document.querySelectorAll('.film figure')]"
        visible += ".filter(f => f.offsetHeight).map(f => f.dataset.step).join()"
        assert tab.value(visible) == "12"
        assert tab.value("document.querySelector('.control').offsetHeight") == 0


def test_a_page_can_be_printed(pages, tmp_path):
    with browser.opened() as tab:
        tab.open(pages[0])
        tab.pdf(tmp_path / "x.pdf")
        assert (tmp_path / "x.pdf").read_bytes().startswith(b"%PDF")


def test_errors_of_a_page_are_found(tmp_path):
    """Otherwise the other tests would pass without a working connection."""
    path = tmp_path / "x.html"
    for fault in ("<script>nothing()</script>", "<script>console.error(1)</script>"):
        path.write_text(f"<!doctype html>{fault}")
        with browser.opened() as tab:
            tab.open(path)
            assert tab.errors
