"""Scripted experts for tasks of MiniWoB++.

Each looks at the page as it is, the hidden parts of the document included, and says the next thing
to do with pointer or keyboard. None remembers anything, so each also goes on from where somebody
else has left a page. They are simulator truth, not something that a screen's user could know.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from enactive.actions.screen import ScreenSpace
from enactive.worlds.miniwob_page import Action, Element, Page, decode

SPACE = ScreenSpace(width=160, height=210)
"""What can be done: the screen of a task."""

_EXPERTS: dict[str, Callable[[Page], Action | None]] = {}


def expert_action(task: str, truth: NDArray[np.float64]) -> Action:
    """What the expert of ``task`` does: its advice, ``float64 (A,)``; it waits if it has none."""
    return decode(truth) or {"do": "wait"}


def has_expert(task: str) -> bool:
    """Whether there is an expert for the task."""
    return task in _EXPERTS


def expert_tasks() -> tuple[str, ...]:
    """The tasks that have an expert."""
    return tuple(sorted(_EXPERTS))


def advice(task: str, utterance: str, elements: Sequence[Mapping[str, Any]]) -> Action | None:
    """The next action in a page; ``None`` where the expert knows nothing to do."""
    if not elements or task not in _EXPERTS:
        return None
    try:
        action = _EXPERTS[task](Page(utterance, elements))
    except (LookupError, ValueError, StopIteration):
        return None
    return action if action is None or not SPACE.problem(action) else None


def _expert(*tasks: str) -> Any:
    def register(function: Callable[[Page], Action | None]) -> Any:
        for task in tasks:
            _EXPERTS[task] = function
        return function

    return register


@_expert("click-test")
def _press(page: Page) -> Action:
    return page.one("button").click()


@_expert("click-test-2", "click-test-transfer")
def _press_one(page: Page) -> Action:
    return page.one("button", text="ONE").click()


@_expert("click-button", "unicode-test")
def _press_named(page: Page) -> Action:
    return page.one("button", text=page.quoted[0]).click()


@_expert("click-button-sequence")
def _press_both(page: Page) -> Action:
    first = page.one("button", text="ONE")
    return page.one("button", text="TWO").click() if first.touched else first.click()


@_expert("click-link")
def _link(page: Page) -> Action:
    return page.one("span", cls="alink", text=page.quoted[0]).click()


@_expert("click-tab")
def _tab(page: Page) -> Action:
    return page.one("a", text=page.utterance.split(" on ")[1].rstrip(".")).click()


@_expert("click-tab-2-medium")
def _tab_without_link(page: Page) -> Action:
    links = page.all("span", cls="alink", text=page.quoted[0])
    # The second tab is empty; where the first has no such link, going there is what is wanted.
    return links[0].click() if links else page.one("a", href="#tabs-2").click()


@_expert("click-tab-2", "click-tab-2-easy", "click-tab-2-hard")
def _tab_with_link(page: Page) -> Action:
    link = page.one("span", cls="alink", text=page.quoted[0], shown=False)
    if link.shown:
        return link.click()
    panel = next(one for one in page.around(link) if "ui-tabs-panel" in one.classes)
    return page.one("a", href=f"#{panel.id}").click()


@_expert("click-collapsible", "click-collapsible-nodelay")
def _section(page: Page) -> Action:
    header = page.one("h3")
    closed = "ui-accordion-header-collapsed" in header.classes
    return header.click() if closed else page.submit()


@_expert("click-collapsible-2", "click-collapsible-2-nodelay")
def _section_with_link(page: Page) -> Action:
    link = page.one("span", cls="alink", text=page.quoted[0], shown=False)
    if link.shown:
        return link.click()
    panel = next(one for one in page.around(link) if "ui-accordion-content" in one.classes)
    return page.one("h3", id=panel.attributes["aria-labelledby"]).click()


@_expert("click-checkboxes", "click-checkboxes-large", "click-checkboxes-transfer")
def _checkboxes(page: Page) -> Action:
    named = page.utterance.removeprefix("Select ").removesuffix(" and click Submit.")
    wanted = set() if named == "nothing" else set(named.split(", "))
    for label in page.all("label"):
        box = page.inside(label, "input")[0]
        if box.checked != (label.text in wanted):
            return box.click()
    return page.submit()


@_expert("click-option")
def _option(page: Page) -> Action:
    wanted = page.utterance.removeprefix("Select ").removesuffix(" and click Submit.")
    box = page.inside(page.one("label", text=wanted), "input")[0]
    return page.submit() if box.checked else box.click()


@_expert("click-color")
def _colour(page: Page) -> Action:
    named = re.findall(r"the (\w+) colored", page.utterance)
    return page.one("div", data_color=named[0]).click()


@_expert("click-shades")
def _shades(page: Page) -> Action:
    wanted = re.findall(r"shades of (\w+)", page.utterance)[0]
    for shade in page.all("span", data_color=wanted):
        if "selected" not in shade.classes:
            return shade.click()
    return page.submit()


@_expert("click-dialog", "click-dialog-2")
def _dialog(page: Page) -> Action:
    wanted = page.quoted[0]
    if wanted == "x":
        return page.one("button", cls="ui-dialog-titlebar-close").click()
    return page.one("button", text=wanted).click()


@_expert("click-widget")
def _widget(page: Page) -> Action:
    return page.one(data_type=page.quoted[0]).click()


@_expert("focus-text")
def _focus(page: Page) -> Action:
    return page.one("input").click()


@_expert("focus-text-2")
def _focus_nth(page: Page) -> Action:
    return page.all("input")[_ordinal(page.utterance) - 1].click()


@_expert("enter-text", "enter-text-dynamic")
def _text(page: Page) -> Action:
    return page.fill(page.one("input"), page.quoted[0]) or page.submit()


@_expert("enter-text-2")
def _text_in_case(page: Page) -> Action:
    wanted = page.quoted[0]
    wanted = wanted.upper() if "upper case" in page.utterance else wanted.lower()
    return page.fill(page.one("input"), wanted) or page.submit()


@_expert("enter-password")
def _password_twice(page: Page) -> Action:
    for field in page.all("input"):
        if step := page.fill(field, page.quoted[0]):
            return step
    return page.submit()


@_expert("login-user", "login-user-popup")
def _login(page: Page) -> Action:
    if cancel := page.all("button", id="popup-cancel"):
        return cancel[0].click()
    for field, text in zip(page.all("input"), page.quoted, strict=True):
        if step := page.fill(field, text):
            return step
    return page.one(id="subbtn").click()


@_expert("enter-date")
def _date(page: Page) -> Action:
    month, day, year = re.findall(r"(\d+)/(\d+)/(\d+)", page.utterance)[0]
    field = page.one("input")
    if field.value == f"{year}-{month}-{day}":
        return page.submit()
    if not field.focused:
        left, top, _, height = field.box
        return {"do": "click", "x": int(left + 8), "y": int(top + height / 2)}
    return {"do": "type", "text": f"{month}{day}{year}"}


@_expert("enter-time")
def _time(page: Page) -> Action:
    hour, minute, half = re.findall(r"(\d+):(\d+) (\w\w)", page.utterance)[0]
    field = page.one("input")
    clock = f"{int(hour) % 12 + (12 if half == 'PM' else 0):02}:{minute}"
    if field.value == clock:
        return page.submit()
    if not field.focused:
        left, top, _, height = field.box
        return {"do": "click", "x": int(left + 8), "y": int(top + height / 2)}
    return {"do": "type", "text": f"{int(hour):02}{minute}{half[0]}"}


@_expert("choose-list")
def _list(page: Page) -> Action:
    wanted = page.utterance.removeprefix("Select ").removesuffix(" from the list and click Submit.")
    field = page.one("select")
    if field.value == wanted:
        return page.submit()
    if not field.focused:
        return {"do": "keys", "keys": ["Tab"]}
    return {"do": "type", "text": wanted}


@_expert("choose-date", "choose-date-easy", "choose-date-medium", "choose-date-nodelay")
def _calendar(page: Page) -> Action:
    wanted = re.findall(r"\d+/\d+/\d+", page.utterance)[0]
    month, day, year = (int(part) for part in wanted.split("/"))
    field = page.one("input")
    if field.value == wanted:
        return page.submit()
    titles = page.all(cls="ui-datepicker-title")
    if not titles:
        return field.click()
    name, shown_year = titles[0].text.split()
    shown = 12 * int(shown_year) + _MONTHS.index(name)
    ahead = 12 * year + month - 1 - shown
    if ahead:
        step = "ui-datepicker-next" if ahead > 0 else "ui-datepicker-prev"
        return page.one("a", cls=step).click()
    return page.one("a", cls="ui-state-default", text=str(day)).click()


@_expert("use-autocomplete", "use-autocomplete-nodelay")
def _autocomplete(page: Page) -> Action:
    starts = page.quoted[0]
    ends = page.quoted[1] if len(page.quoted) > 1 else ""
    field = page.one("input")
    if field.value.startswith(starts) and field.value.endswith(ends) and field.value != starts:
        return page.submit()
    for item in page.all(cls="ui-menu-item-wrapper"):
        if item.text.startswith(starts) and item.text.endswith(ends):
            return item.click()
    return page.fill(field, starts) or {"do": "wait"}


@_expert("use-spinner")
def _spinner(page: Page) -> Action:
    wanted = int(re.findall(r"Select (-?\d+)", page.utterance)[0])
    value = int(page.one("input").value or 0)
    if value == wanted:
        return page.submit()
    step = "ui-spinner-up" if wanted > value else "ui-spinner-down"
    return page.one("a", cls=step).click()


@_expert("use-slider")
def _slider(page: Page) -> Action:
    wanted = int(re.findall(r"Select (-?\d+)", page.utterance)[0])
    return _slide(
        page.one("span", cls="ui-slider-handle"), int(page.one(id="val").text), wanted
    ) or (page.submit())


@_expert("form-sequence")
def _slider_and_box(page: Page) -> Action:
    wanted = int(re.findall(r"Select (-?\d+)", page.utterance)[0])
    handle, value = page.one("span", cls="ui-slider-handle"), int(page.one(id="val").text)
    if step := _slide(handle, value, wanted):
        return step
    box = page.one("input", id=f"checkbox-{_ordinal(page.utterance)}")
    return page.submit() if box.checked else box.click()


@_expert("form-sequence-2")
def _radio_and_text(page: Page) -> Action:
    radio, field = re.findall(r"(\d)(?:st|nd|rd)", page.utterance)
    button = page.one("input", type="radio", value=radio)
    if not button.checked:
        return button.click()
    return page.fill(page.one("input", id=f"input-{field}"), page.quoted[0]) or page.submit()


@_expert("grid-coordinate")
def _coordinate(page: Page) -> Action:
    return page.one("circle", id=re.findall(r"\(.*?\)", page.utterance)[0]).click()


@_expert("identify-shape")
def _shape(page: Page) -> Action:
    drawn = page.inside(page.one("svg"))[0]
    kinds = {"rect": "rectangle", "circle": "circle", "polygon": "triangle"}
    written = "digit" if drawn.text.isdigit() else "letter"
    return page.one("button", data_type=kinds.get(drawn.tag, written)).click()


@_expert("find-word")
def _word(page: Page) -> Action:
    words = page.one("p").text.split()
    word = words[_ordinal(page.utterance) - 1].strip(".,")
    return page.fill(page.one("input"), word) or page.submit()


@_expert("scroll-text")
def _last_word(page: Page) -> Action:
    word = page.one("textarea").value.split()[-1].strip(".,")
    return page.fill(page.one("input"), word) or page.submit()


@_expert("read-table")
def _cell(page: Page) -> Action:
    label = re.findall(r"value of (.+?) into", page.utterance)[0]
    return page.fill(page.one("input"), _table(page)[label]) or page.submit()


@_expert("read-table-2")
def _cells(page: Page) -> Action:
    for label in page.all("label"):
        field = page.one("input", id=label.id.replace("ll", "tt"))
        if step := page.fill(field, _table(page)[label.attributes["data-key"]]):
            return step
    return page.submit()


@_expert("simple-arithmetic")
def _arithmetic(page: Page) -> Action:
    a, sign, b = page.one(id="math-problem").text.split()[:3]
    return page.fill(page.one("input"), str(_SIGNS[sign](int(a), int(b)))) or page.submit()


@_expert("simple-algebra")
def _algebra(page: Page) -> Action:
    a, sign, b, _, result = page.one(id="math-problem").text.split()
    wanted = int(result)
    if a == "x":
        x = wanted - int(b) if sign == "+" else wanted + int(b)
    else:
        x = wanted - int(a) if sign == "+" else int(a) - wanted
    return page.fill(page.one("input"), str(x)) or page.submit()


@_expert("visual-addition")
def _blocks(page: Page) -> Action:
    count = len(page.all(cls="addition-block"))
    return page.fill(page.one("input"), str(count)) or page.submit()


@_expert("text-transform")
def _captcha(page: Page) -> Action:
    return page.fill(page.one("input"), page.one(id="captcha").text) or page.submit()


@_expert("copy-paste")
def _copy(page: Page) -> Action:
    return page.fill(page.one("input"), page.one("textarea").value) or page.submit()


@_expert("copy-paste-2")
def _copy_nth(page: Page) -> Action:
    text = page.all("textarea")[_ordinal(page.utterance) - 1].value
    return page.fill(page.one("input"), text) or page.submit()


@_expert("navigate-tree")
def _tree(page: Page) -> Action:
    names = [one for one in page.all("span", text=page.quoted[0], shown=False)]
    name = names[0]
    if name.shown:
        return name.click()
    closed = [one for one in page.around(name) if one.tag == "li" and "expandable" in one.classes]
    item = next(one for one in reversed(closed) if one.shown)
    return page.inside(item, cls="hitarea")[0].click()


@_expert("odd-or-even")
def _odd_or_even(page: Page) -> Action:
    for row in page.all("div", cls="row"):
        number = int(page.inside(row, cls="display-number")[0].text)
        button = page.inside(row, "button", cls="odd" if number % 2 else "even")[0]
        if "selected" not in button.classes:
            return button.click()
    return page.submit()


@_expert("guess-number")
def _guess(page: Page) -> Action:
    field = page.one("input")
    guess = 5
    for id, step in (("lower", -1), ("higher", 1)):
        if hints := page.all("div", id=id):
            guess = int(re.findall(r"\d+", hints[0].text)[0]) + step
    return page.fill(field, str(guess)) or page.submit()


@_expert("phone-book")
def _phone_book(page: Page) -> Action:
    name, what = re.findall(r"Find (\S+) .* (\S+?)\.", page.utterance)[0]
    if page.one("h2", cls="name").text != name:
        return page.one("a", text=">").click()
    return page.one("a", cls={"number": "phone"}.get(what, what)).click()


@_expert("search-engine")
def _search(page: Page) -> Action:
    wanted = int(re.findall(r"the (\d)(?:st|nd|rd|th) search", page.utterance)[0]) - 1
    titles = page.all("a", cls="search-title")
    if not titles:
        return page.fill(page.one("input"), page.quoted[0]) or page.one("button").click()
    for title in titles:
        if title.attributes["data-result"] == str(wanted):
            return title.click()
    return page.one("a", text=str(wanted // 3 + 1)).click()


@_expert("multi-orderings")
def _movies(page: Page) -> Action:
    genre, director, year = re.findall(
        r"for (\S+) movies directed by (\S+) from year (\d+)", page.utterance
    )[0]
    for field in page.all("input", type="text"):
        label = next(one for one in page.around(field) if one.text).text.lower()
        wanted = genre if "genre" in label else year if "year" in label else director
        if step := page.fill(field, wanted):
            return step
    return page.submit()


@_expert("email-inbox-delete", "email-inbox-important")
def _email(page: Page) -> Action:
    sender = re.findall(r"email by (\w+)", page.utterance)[0]
    row = next(one for one in page.around(page.one(cls="email-sender", text=sender))
               if "email-thread" in one.classes)  # fmt: skip
    return page.inside(row, cls="trash" if "trash" in page.utterance else "star")[0].click()


@_expert("drag-box")
def _drag_box(page: Page) -> Action:
    small, large = page.one(id="draggableSmall"), page.one(id="draggableLarge")
    (left, top, wide, high), (x, y, width, height) = small.box, large.box
    if x < left and y < top and left + wide < x + width and top + high < y + height:
        return page.submit()
    to_x, to_y = large.centre
    return {**small.click("drag"), "to_x": to_x, "to_y": to_y}


_MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September",
           "October", "November", "December")  # fmt: skip

_SIGNS: Mapping[str, Callable[[int, int], int]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "x": lambda a, b: a * b,
}


def _ordinal(text: str) -> int:
    return int(re.findall(r"(\d+)(?:st|nd|rd|th)", text)[0])


def _table(page: Page) -> dict[str, str]:
    cells = [cell.text for cell in page.all("td")]
    return dict(zip(cells[::2], cells[1::2], strict=True))


def _slide(handle: Element, value: int, wanted: int) -> Action | None:
    if value == wanted:
        return None
    if not handle.focused:
        return handle.click()
    # A page key moves a fifth of the slider's range, which is seen from where the handle is.
    shares = re.findall(r"(?:left|bottom): ([\d.]+)%", handle.attributes.get("style", ""))
    if shares and 0 < float(shares[0]) < 100:
        share = float(shares[0]) / 100
        ranges = [
            range_
            for low in (-100, -10, 0, 10, 100)
            for range_ in (5, 10, 20, 50, 100)
            if abs(low + share * range_ - value) < 0.01
        ]
        if ranges and abs(wanted - value) >= max(ranges) / 5:
            return {"do": "keys", "keys": ["PageUp" if wanted > value else "PageDown"]}
    return {"do": "keys", "keys": ["ArrowRight" if wanted > value else "ArrowLeft"]}
