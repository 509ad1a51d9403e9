"""What every page of ours promises a reader, whatever it shows."""

import re

from .browser import DESKTOP, PHONE


def check_page(browser, report):
    """It has a language and a title, asks nobody else for anything, and what can be pressed has a name."""
    lang, title = browser.script("return [document.documentElement.lang, document.title];")
    report.check("its language and title", lang and title, f"{lang}, {title!r}", "both")
    outside = browser.script("""return performance.getEntriesByType("resource").map((entry) => entry.name)
        .filter((name) => !name.startsWith(location.origin + "/") && !name.startsWith("data:"));""")
    report.check("resources from elsewhere", not outside, outside or "none", "none")
    names = _names(browser)
    report.check("what can be pressed has a name for screen readers", all(name for _, name in names),
                 ", ".join(f"{role} {name!r}" for role, name in names) or "nothing to press", "all")


def _names(browser):
    """[(role, name)] of all that can be pressed or filled in, as a screen reader is told."""
    browser.devtools("Accessibility.enable")
    nodes = browser.devtools("Accessibility.getFullAXTree")["nodes"]
    browser.devtools("Accessibility.disable")
    roles = ("button", "link", "checkbox", "combobox", "textbox", "searchbox", "radio", "switch", "tab")
    return [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in nodes
            if not node.get("ignored") and node["role"]["value"] in roles]


def check_looks(browser, report, name, folder):
    """Light, dark and on a phone; each as a picture into `folder`, if there is one."""
    background = {}
    for scheme in ("light", "dark"):
        browser.size(*DESKTOP)
        browser.scheme(scheme)
        background[scheme] = _brightness(browser)
        _picture(browser, folder, f"{name}-{scheme}")
    report.check("brightness of the background, light and dark", background["light"] > 0.7 and background["dark"] < 0.3,
                 f"{background['light']:.2f}, {background['dark']:.2f}", "above 0.7, below 0.3")
    for scheme in ("light", "dark"):
        browser.size(*PHONE, phone=True)
        browser.scheme(scheme)
        _picture(browser, folder, f"{name}-phone-{scheme}")
    width = browser.script("return document.documentElement.scrollWidth;")
    report.check("width of the page on a phone", width <= PHONE[0], f"{width} px", f"at most {PHONE[0]}: no scrolling")
    browser.scheme("light")
    browser.size(*DESKTOP)


def _brightness(browser):
    """0 is black, 1 is white."""
    colour = browser.script("""const of = (element) => getComputedStyle(element).backgroundColor;
        const body = of(document.body);
        return body === "rgba(0, 0, 0, 0)" ? of(document.documentElement) : body;""")
    red, green, blue = [float(number) for number in re.findall(r"[\d.]+", colour)[:3]]
    return (red + green + blue) / 3 / 255


def _picture(browser, folder, name):
    if folder:
        browser.screenshot(folder / f"{name}.png")


def check_console(browser, report, expected=None):
    """No error and no warning but those whose text `expected` matches."""
    entries = [text for level, _, text in browser.console() if level in ("SEVERE", "WARNING")]
    wrong = [text for text in entries if not (expected and re.search(expected, text))]
    report.check("errors and warnings on the console", not wrong, wrong[:3] or "none", "none")
