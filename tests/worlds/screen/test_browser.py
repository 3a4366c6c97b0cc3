"""A real Chromium: what it executes, what it refuses, and that it is gone afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("playwright")
if not Path("/usr/bin/chromium").exists():
    pytest.skip("no /usr/bin/chromium", allow_module_level=True)

from enactive.worlds.screen.accessibility import AccessibilityTree, as_text
from enactive.worlds.screen.browser import Browser, BrowserError
from enactive.worlds.screen.chromium import check_address, marked
from enactive.worlds.screen.marks import draw, marks_of

PAGE = """<!doctype html><html><body style="margin:0;font:16px Arial">
<button id=go style="position:absolute;left:10px;top:10px;width:80px;height:30px"
 onclick="this.textContent='pressed ' + Date.now()">Press</button>
<input id=name aria-label="Your name" style="position:absolute;left:10px;top:60px;width:100px">
<select id=kind style="position:absolute;left:10px;top:100px"><option>red<option>green</select>
<div id=pad style="position:absolute;left:200px;top:10px;width:100px;height:100px;
 background:#ddd;user-select:none"
 ondblclick="log('double')" oncontextmenu="log('menu'); return false"
 onmousedown="log('down')" onmouseup="log('up')" onmousemove="log('move')"></div>
<p id=count style="position:absolute;left:10px;top:140px">0</p>
<div style="height:2000px"></div>
<script>
const heard = []; function log(what) { heard.push(what); }
let ticks = 0; setInterval(() => { document.getElementById('count').textContent = ++ticks; }, 100);
setTimeout((a, b) => { window.sum = a + b; }, 50, 1, 2);
(function frame() { window.frames_seen = (window.frames_seen || 0) + 1;
  requestAnimationFrame(frame); })();
const drawn = [Math.random(), Math.random()];
</script></body></html>"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("pages") / "page.html"
    path.write_text(PAGE)
    return path.as_uri()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser.Config(width=400, height=300).build() as one:
        yield one


def test_every_verb_reaches_the_page(browser: Browser, page: str) -> None:
    browser.open(page)
    browser.execute({"do": "click", "x": 50, "y": 25})
    assert browser.evaluate("document.getElementById('go').textContent").startswith("pressed")
    browser.execute({"do": "click", "x": 50, "y": 70})
    browser.execute({"do": "type", "text": "Ada Lovelace"})
    browser.execute({"do": "keys", "keys": ["Control", "a"]})
    browser.execute({"do": "type", "text": "Grace"})
    assert browser.evaluate("document.getElementById('name').value") == "Grace"
    browser.execute({"do": "keys", "keys": ["Tab"]})
    browser.execute({"do": "type", "text": "green"})
    assert browser.evaluate("document.getElementById('kind').value") == "green"
    browser.execute({"do": "double_click", "x": 220, "y": 30})
    browser.execute({"do": "right_click", "x": 220, "y": 30})
    assert {"double", "menu"} <= set(browser.evaluate("heard"))
    browser.evaluate("void (heard.length = 0)")
    browser.execute({"do": "drag", "x": 210, "y": 20, "to_x": 290, "to_y": 90})
    heard = browser.evaluate("heard")
    assert heard.index("down") < heard.index("up") and heard.count("move") >= 2
    browser.execute({"do": "move", "x": 350, "y": 200})
    browser.execute({"do": "scroll", "dx": 0, "dy": 150})
    assert browser.evaluate("scrollY") == 150


def test_page_time_stands_still_and_passes_in_order(browser: Browser, page: str) -> None:
    browser.open(page)
    assert browser.evaluate("[ticks, window.sum ?? null, Date.now(), performance.now()]") == [
        0, None, 946684800000, 0
    ]  # fmt: skip
    time.sleep(0.3)
    assert browser.evaluate("ticks") == 0
    browser.execute({"do": "wait"}, seconds=1.0)
    assert browser.evaluate("[ticks, window.sum, Date.now() - 946684800000]") == [10, 3, 1000]
    assert browser.evaluate("window.frames_seen") == 1 + 1000 // 16
    assert browser.evaluate("[typeof Date(), new Date() instanceof Date, new Date(5).getTime()]") \
        == ["string", True, 5]  # fmt: skip


def test_the_same_seed_and_actions_give_the_same_bits(browser: Browser, page: str) -> None:
    def run(seed: int) -> list[bytes]:
        browser.open(page, seed)
        seen = [str(browser.evaluate("drawn")).encode()]
        for action in ({"do": "click", "x": 50, "y": 25}, {"do": "click", "x": 50, "y": 70},
                       {"do": "type", "text": "q"}):  # fmt: skip
            browser.execute(action, seconds=0.25)
            seen.append(browser.screenshot().tobytes())
        return seen

    first = run(4)
    assert first == run(4)
    assert first[0] != run(5)[0]


@pytest.mark.parametrize("x, y", [(400, 10), (10, 300), (-1, 10), (float("nan"), 10)])
def test_a_tap_beyond_the_screen_is_an_error_and_does_nothing(
    browser: Browser, page: str, x: float, y: float
) -> None:
    """Elsewhere such a tap was recorded as a success."""
    browser.open(page)
    before = browser.screenshot()
    with pytest.raises(ValueError, match=r"screen action: [xy]: "):
        browser.execute({"do": "click", "x": x, "y": y})
    assert np.array_equal(before, browser.screenshot())
    assert browser.alive


def test_what_a_page_does_beside_itself_is_noted_and_blocks_nothing(
    browser: Browser, page: str
) -> None:
    browser.open(page)
    browser.evaluate("() => { setTimeout(() => alert('stop'), 10); setTimeout(() => "
                     "{ throw new Error('broken') }, 20); }")  # fmt: skip
    browser.advance(0.1)
    assert any("dismissed a dialog: stop" in note for note in browser.notes)
    assert any("broken" in note for note in browser.notes)


def test_only_this_machine_can_be_reached(browser: Browser, page: str) -> None:
    with pytest.raises(ValueError, match=r"hosts=\('example.org',\)"):
        browser.open("http://example.org/")
    for scheme in ("data:text/html,hello", "chrome://version", "ftp://localhost/"):
        with pytest.raises(ValueError, match="no file:, http: or https:"):
            browser.open(scheme)
    for fine in ("http://127.0.0.1:8/", "http://localhost/", "http://[::1]/", "about:blank"):
        check_address(fine, ())
    check_address("https://example.org/x", ("example.org",))
    browser.open(page)
    fetch = "fetch('http://{}/').then(() => 'reached', () => 'not reached')"
    for host in ("example.org", "93.184.215.14"):
        assert browser.evaluate(fetch.format(host)) == "not reached"


def test_elements_have_names_places_and_ids_that_stay(browser: Browser, page: str) -> None:
    browser.open(page)
    tree = AccessibilityTree(browser)
    nodes = {node.role: node for node in tree.read()}
    assert nodes["button"].name == "Press" and nodes["button"].box == (10, 10, 80, 30)
    assert nodes["textbox"].name == "Your name" and nodes["combobox"].options == ("red", "green")
    x, y = nodes["textbox"].centre
    browser.execute({"do": "click", "x": x, "y": y})
    browser.execute({"do": "type", "text": "Ada"})
    again = {node.role: node for node in tree.read()}
    assert again["textbox"].id == nodes["textbox"].id
    assert again["textbox"].value == "Ada" and "focused" in again["textbox"].states
    text = as_text(tree.read(), limit=120)
    assert len(text) < 160 and text.endswith("more elements")


def test_marks_point_at_what_they_are_drawn_on(browser: Browser, page: str) -> None:
    browser.open(page)
    marks = marks_of(AccessibilityTree(browser).read(), 400, 300)
    assert [mark.number for mark in marks] == list(range(1, len(marks) + 1))
    button = next(mark for mark in marks if mark.node.role == "button")
    assert 'button "Press"' in button.line()
    browser.execute(button.action())
    assert browser.evaluate("document.getElementById('go').textContent").startswith("pressed")
    picture = browser.screenshot()
    drawn = draw(picture, marks)
    assert drawn.shape == picture.shape and not np.array_equal(drawn, picture)
    assert (drawn[10, 30] != picture[10, 30]).any()  # the box's upper edge
    beside = np.array(picture)
    beside[:160, :310] = drawn[:160, :310]
    assert np.array_equal(beside, drawn)  # nothing is drawn where there is nothing


def test_a_page_without_end_ends_the_browser_in_time() -> None:
    browser = Browser.Config(width=100, height=100, timeout=5.0).build()
    token = browser._inside.token
    browser.open("about:blank")
    begun = time.monotonic()
    with pytest.raises(BrowserError, match="took longer than 5 s"):
        browser.evaluate("(() => { while (true) {} })()")
    assert time.monotonic() - begun < 30
    assert not browser.alive and not marked(token)
    assert browser._inside.profile is not None and not browser._inside.profile.exists()
    with pytest.raises(BrowserError, match="build another one"):
        browser.screenshot()
    browser.close()


def test_a_browser_that_was_killed_says_so() -> None:
    with Browser.Config(width=100, height=100).build() as browser:
        browser.open("about:blank")
        for pid in marked(browser._inside.token):
            os.kill(pid, signal.SIGKILL)
        with pytest.raises(BrowserError):
            browser.screenshot()
        assert not browser.alive


def test_the_browser_dies_with_the_process_that_started_it() -> None:
    code = ("from enactive.worlds.screen.browser import Browser\n"
            "b = Browser.Config(width=50, height=50).build(); b.open('about:blank')\n"
            "print(b._inside.token, flush=True); import time; time.sleep(60)")  # fmt: skip
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        token = process.stdout.readline().decode().strip()
        assert marked(token)
        process.kill()
    deadline = time.monotonic() + 10
    while marked(token) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not marked(token)


def test_missing_programs_are_named_with_the_fix() -> None:
    with pytest.raises(BrowserError, match="apt-get install chromium"):
        Browser.Config(executable="/nowhere/chromium").build()
    with pytest.raises(ValueError, match="width is 0"):
        Browser.Config(width=0).build()
