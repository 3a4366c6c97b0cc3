"""Scripted experts of MiniWoB++'s pages that are done by pointing, see
:mod:`~enactive.worlds.miniwob_experts`."""

from __future__ import annotations

import re

from enactive.worlds.miniwob_page import Action, Element, Page, Table

POINTING = Table()
"""Page to its expert."""


@POINTING.does("click-test")
def _press(page: Page) -> Action:
    return page.one("button").click()


@POINTING.does("click-test-2", "click-test-transfer")
def _press_one(page: Page) -> Action:
    return page.one("button", text="ONE").click()


@POINTING.does("click-button", "unicode-test")
def _press_named(page: Page) -> Action:
    return page.one("button", text=page.quoted[0]).click()


@POINTING.does("click-button-sequence")
def _press_both(page: Page) -> Action:
    first = page.one("button", text="ONE")
    return page.one("button", text="TWO").click() if first.touched else first.click()


@POINTING.does("click-link")
def _link(page: Page) -> Action:
    return page.one("span", cls="alink", text=page.quoted[0]).click()


@POINTING.does("click-tab")
def _tab(page: Page) -> Action:
    return page.one("a", text=page.utterance.split(" on ")[1].rstrip(".")).click()


@POINTING.does("click-tab-2-medium")
def _tab_without_link(page: Page) -> Action:
    links = page.all("span", cls="alink", text=page.quoted[0])
    # The second tab is empty; where the first has no such link, going there is what is wanted.
    return links[0].click() if links else page.one("a", href="#tabs-2").click()


@POINTING.does("click-tab-2", "click-tab-2-easy", "click-tab-2-hard")
def _tab_with_link(page: Page) -> Action:
    link = page.one("span", cls="alink", text=page.quoted[0], shown=False)
    if link.shown:
        return link.click()
    panel = next(one for one in page.around(link) if "ui-tabs-panel" in one.classes)
    return page.one("a", href=f"#{panel.id}").click()


@POINTING.does("click-collapsible", "click-collapsible-nodelay")
def _section(page: Page) -> Action:
    header = page.one("h3")
    closed = "ui-accordion-header-collapsed" in header.classes
    return header.click() if closed else page.submit()


@POINTING.does("click-collapsible-2", "click-collapsible-2-nodelay")
def _section_with_link(page: Page) -> Action:
    link = page.one("span", cls="alink", text=page.quoted[0], shown=False)
    if link.shown:
        return link.click()
    panel = next(one for one in page.around(link) if "ui-accordion-content" in one.classes)
    return page.one("h3", id=panel.attributes["aria-labelledby"]).click()


@POINTING.does("click-checkboxes", "click-checkboxes-large", "click-checkboxes-transfer")
def _checkboxes(page: Page) -> Action:
    named = page.utterance.removeprefix("Select ").removesuffix(" and click Submit.")
    wanted = set() if named == "nothing" else set(named.split(", "))
    for label in page.all("label"):
        box = page.inside(label, "input")[0]
        if box.checked != (label.text in wanted):
            return box.click()
    return page.submit()


@POINTING.does("click-option")
def _option(page: Page) -> Action:
    wanted = page.utterance.removeprefix("Select ").removesuffix(" and click Submit.")
    box = page.inside(page.one("label", text=wanted), "input")[0]
    return page.submit() if box.checked else box.click()


@POINTING.does("click-color")
def _colour(page: Page) -> Action:
    named = re.findall(r"the (\w+) colored", page.utterance)
    return page.one("div", data_color=named[0]).click()


@POINTING.does("click-shades")
def _shades(page: Page) -> Action:
    wanted = re.findall(r"shades of (\w+)", page.utterance)[0]
    for shade in page.all("span", data_color=wanted):
        if "selected" not in shade.classes:
            return shade.click()
    return page.submit()


@POINTING.does("click-dialog", "click-dialog-2")
def _dialog(page: Page) -> Action:
    wanted = page.quoted[0]
    if wanted == "x":
        return page.one("button", cls="ui-dialog-titlebar-close").click()
    return page.one("button", text=wanted).click()


@POINTING.does("click-widget")
def _widget(page: Page) -> Action:
    return page.one(data_type=page.quoted[0]).click()


@POINTING.does("focus-text")
def _focus(page: Page) -> Action:
    return page.one("input").click()


@POINTING.does("focus-text-2")
def _focus_nth(page: Page) -> Action:
    return page.all("input")[page.ordinal - 1].click()


@POINTING.does("use-spinner")
def _spinner(page: Page) -> Action:
    wanted = int(re.findall(r"Select (-?\d+)", page.utterance)[0])
    value = int(page.one("input").value or 0)
    if value == wanted:
        return page.submit()
    step = "ui-spinner-up" if wanted > value else "ui-spinner-down"
    return page.one("a", cls=step).click()


@POINTING.does("use-slider")
def _slider(page: Page) -> Action:
    wanted = int(re.findall(r"Select (-?\d+)", page.utterance)[0])
    return _slide(
        page.one("span", cls="ui-slider-handle"), int(page.one(id="val").text), wanted
    ) or (page.submit())


@POINTING.does("form-sequence")
def _slider_and_box(page: Page) -> Action:
    wanted = int(re.findall(r"Select (-?\d+)", page.utterance)[0])
    handle, value = page.one("span", cls="ui-slider-handle"), int(page.one(id="val").text)
    if step := _slide(handle, value, wanted):
        return step
    box = page.one("input", id=f"checkbox-{page.ordinal}")
    return page.submit() if box.checked else box.click()


@POINTING.does("grid-coordinate")
def _coordinate(page: Page) -> Action:
    return page.one("circle", id=re.findall(r"\(.*?\)", page.utterance)[0]).click()


@POINTING.does("identify-shape")
def _shape(page: Page) -> Action:
    drawn = page.inside(page.one("svg"))[0]
    kinds = {"rect": "rectangle", "circle": "circle", "polygon": "triangle"}
    written = "digit" if drawn.text.isdigit() else "letter"
    return page.one("button", data_type=kinds.get(drawn.tag, written)).click()


@POINTING.does("navigate-tree")
def _tree(page: Page) -> Action:
    names = [one for one in page.all("span", text=page.quoted[0], shown=False)]
    name = names[0]
    if name.shown:
        return name.click()
    closed = [one for one in page.around(name) if one.tag == "li" and "expandable" in one.classes]
    item = next(one for one in reversed(closed) if one.shown)
    return page.inside(item, cls="hitarea")[0].click()


@POINTING.does("odd-or-even")
def _odd_or_even(page: Page) -> Action:
    for row in page.all("div", cls="row"):
        number = int(page.inside(row, cls="display-number")[0].text)
        button = page.inside(row, "button", cls="odd" if number % 2 else "even")[0]
        if "selected" not in button.classes:
            return button.click()
    return page.submit()


@POINTING.does("phone-book")
def _phone_book(page: Page) -> Action:
    name, what = re.findall(r"Find (\S+) .* (\S+?)\.", page.utterance)[0]
    if page.one("h2", cls="name").text != name:
        return page.one("a", text=">").click()
    return page.one("a", cls={"number": "phone"}.get(what, what)).click()


@POINTING.does("email-inbox-delete", "email-inbox-important")
def _email(page: Page) -> Action:
    sender = re.findall(r"email by (\w+)", page.utterance)[0]
    row = next(one for one in page.around(page.one(cls="email-sender", text=sender))
               if "email-thread" in one.classes)  # fmt: skip
    return page.inside(row, cls="trash" if "trash" in page.utterance else "star")[0].click()


@POINTING.does("drag-box")
def _drag_box(page: Page) -> Action:
    small, large = page.one(id="draggableSmall"), page.one(id="draggableLarge")
    (left, top, wide, high), (x, y, width, height) = small.box, large.box
    if x < left and y < top and left + wide < x + width and top + high < y + height:
        return page.submit()
    to_x, to_y = large.centre
    return {**small.click("drag"), "to_x": to_x, "to_y": to_y}


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
