"""Scripted experts of MiniWoB++'s pages that are done by writing and choosing, see
:mod:`~enactive.worlds.miniwob_experts`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from enactive.worlds.miniwob_page import Action, Page, Table

WRITING = Table()
"""Page to its expert."""


@WRITING.does("enter-text", "enter-text-dynamic")
def _text(page: Page) -> Action:
    return page.fill(page.one("input"), page.quoted[0]) or page.submit()


@WRITING.does("enter-text-2")
def _text_in_case(page: Page) -> Action:
    wanted = page.quoted[0]
    wanted = wanted.upper() if "upper case" in page.utterance else wanted.lower()
    return page.fill(page.one("input"), wanted) or page.submit()


@WRITING.does("enter-password")
def _password_twice(page: Page) -> Action:
    for field in page.all("input"):
        if step := page.fill(field, page.quoted[0]):
            return step
    return page.submit()


@WRITING.does("login-user", "login-user-popup")
def _login(page: Page) -> Action:
    if cancel := page.all("button", id="popup-cancel"):
        return cancel[0].click()
    for field, text in zip(page.all("input"), page.quoted, strict=True):
        if step := page.fill(field, text):
            return step
    return page.one(id="subbtn").click()


@WRITING.does("enter-date")
def _date(page: Page) -> Action:
    month, day, year = re.findall(r"(\d+)/(\d+)/(\d+)", page.utterance)[0]
    field = page.one("input")
    if field.value == f"{year}-{month}-{day}":
        return page.submit()
    if not field.focused:
        left, top, _, height = field.box
        return {"do": "click", "x": int(left + 8), "y": int(top + height / 2)}
    return {"do": "type", "text": f"{month}{day}{year}"}


@WRITING.does("enter-time")
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


@WRITING.does("choose-list")
def _list(page: Page) -> Action:
    wanted = page.utterance.removeprefix("Select ").removesuffix(" from the list and click Submit.")
    field = page.one("select")
    if field.value == wanted:
        return page.submit()
    if not field.focused:
        return {"do": "keys", "keys": ["Tab"]}
    return {"do": "type", "text": wanted}


@WRITING.does("choose-date", "choose-date-easy", "choose-date-medium", "choose-date-nodelay")
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


@WRITING.does("use-autocomplete", "use-autocomplete-nodelay")
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


@WRITING.does("form-sequence-2")
def _radio_and_text(page: Page) -> Action:
    radio, field = re.findall(r"(\d)(?:st|nd|rd)", page.utterance)
    button = page.one("input", type="radio", value=radio)
    if not button.checked:
        return button.click()
    return page.fill(page.one("input", id=f"input-{field}"), page.quoted[0]) or page.submit()


@WRITING.does("find-word")
def _word(page: Page) -> Action:
    words = page.one("p").text.split()
    word = words[page.ordinal - 1].strip(".,")
    return page.fill(page.one("input"), word) or page.submit()


@WRITING.does("scroll-text")
def _last_word(page: Page) -> Action:
    word = page.one("textarea").value.split()[-1].strip(".,")
    return page.fill(page.one("input"), word) or page.submit()


@WRITING.does("read-table")
def _cell(page: Page) -> Action:
    label = re.findall(r"value of (.+?) into", page.utterance)[0]
    return page.fill(page.one("input"), _table(page)[label]) or page.submit()


@WRITING.does("read-table-2")
def _cells(page: Page) -> Action:
    for label in page.all("label"):
        field = page.one("input", id=label.id.replace("ll", "tt"))
        if step := page.fill(field, _table(page)[label.attributes["data-key"]]):
            return step
    return page.submit()


@WRITING.does("simple-arithmetic")
def _arithmetic(page: Page) -> Action:
    a, sign, b = page.one(id="math-problem").text.split()[:3]
    return page.fill(page.one("input"), str(_SIGNS[sign](int(a), int(b)))) or page.submit()


@WRITING.does("simple-algebra")
def _algebra(page: Page) -> Action:
    a, sign, b, _, result = page.one(id="math-problem").text.split()
    wanted = int(result)
    if a == "x":
        x = wanted - int(b) if sign == "+" else wanted + int(b)
    else:
        x = wanted - int(a) if sign == "+" else int(a) - wanted
    return page.fill(page.one("input"), str(x)) or page.submit()


@WRITING.does("visual-addition")
def _blocks(page: Page) -> Action:
    count = len(page.all(cls="addition-block"))
    return page.fill(page.one("input"), str(count)) or page.submit()


@WRITING.does("text-transform")
def _captcha(page: Page) -> Action:
    return page.fill(page.one("input"), page.one(id="captcha").text) or page.submit()


@WRITING.does("copy-paste")
def _copy(page: Page) -> Action:
    return page.fill(page.one("input"), page.one("textarea").value) or page.submit()


@WRITING.does("copy-paste-2")
def _copy_nth(page: Page) -> Action:
    text = page.all("textarea")[page.ordinal - 1].value
    return page.fill(page.one("input"), text) or page.submit()


@WRITING.does("guess-number")
def _guess(page: Page) -> Action:
    field = page.one("input")
    guess = 5
    for id, step in (("lower", -1), ("higher", 1)):
        if hints := page.all("div", id=id):
            guess = int(re.findall(r"\d+", hints[0].text)[0]) + step
    return page.fill(field, str(guess)) or page.submit()


@WRITING.does("search-engine")
def _search(page: Page) -> Action:
    wanted = int(re.findall(r"the (\d)(?:st|nd|rd|th) search", page.utterance)[0]) - 1
    titles = page.all("a", cls="search-title")
    if not titles:
        return page.fill(page.one("input"), page.quoted[0]) or page.one("button").click()
    for title in titles:
        if title.attributes["data-result"] == str(wanted):
            return title.click()
    return page.one("a", text=str(wanted // 3 + 1)).click()


@WRITING.does("multi-orderings")
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


_MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September",
           "October", "November", "December")  # fmt: skip

_SIGNS: Mapping[str, Callable[[int, int], int]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "x": lambda a, b: a * b,
}


def _table(page: Page) -> dict[str, str]:
    cells = [cell.text for cell in page.all("td")]
    return dict(zip(cells[::2], cells[1::2], strict=True))
