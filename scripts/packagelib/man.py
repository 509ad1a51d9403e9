"""Writes the man page: the words of --help, in the macros of man(7), and what no help has room for."""

import re

# Section, and in it terms with their explanations.
MORE = {
    "EXIT STATUS": {
        "0": "It ended as it was asked to.",
        "1": "It failed while it ran: a port is in use, say.",
        "2": "A flag or the configuration file is wrong; standard error says what.",
    },
    "SIGNALS": {
        "TERM, INT": "Listeners close, idle connections are closed, and requests under way may end, for `timeouts.shutdown` "
        "at most. A second one ends at once.",
        "HUP": "The configuration file is read anew; if it is wrong, or there is none, all stays as it is.",
        "USR1": "The logs are opened anew, for logrotate(8).",
    },
    "FILES": {
        "/etc/footbridge/footbridge.toml": "The configuration that the packaged service reads, with examples.",
    },
}


def page(main, commands, version):
    """The page as text. It has no date, so that the same program gives the same page."""
    lines = ['.\\" Written by scripts/package/generate from the text of footbridge --help.',
             f'.TH FOOTBRIDGE 1 "" "{version}" "User Commands"',
             ".ad l", ".nh", ".SH NAME", rf"footbridge \- {_escape(_title(main))}",
             ".SH SYNOPSIS"]
    for each in [main, *commands]:
        lines += _synopsis(each)
    lines += [".SH DESCRIPTION", *_paragraphs(main.description), *_list(main), ".SH COMMANDS"]
    for (_, title), each in zip(main.commands, commands):
        lines += [f'.SS "footbridge {each.command}"', *_paragraphs(_more(each, title)), *_list(each, options=".PP")]
        lines += _sections(each, ".PP")
    for title, terms in MORE.items():
        lines.append(f".SH {title}")
        for term, text in terms.items():
            lines += [".TP", rf"\fB{_escape(term)}\fR", _escape(text)]
    lines += _sections(main, ".SH")
    return "\n".join(lines) + "\n"


def _title(main):
    """The description's first sentence, as whatis(1) shows it."""
    first = re.split(r"\.(?:\s|$)", main.description[0])[0]
    return re.sub(r"^An? ", "", " ".join(first.split()))


def _more(each, title):
    """A command's own description, once: its help often repeats what the list of commands says."""
    own = " ".join(" ".join(each.description).split())
    return each.description if own != title else [title]


def _synopsis(each):
    """One line of usage, its flags bold and its values in italics; a flag and its value stay together."""
    words = re.findall(r"\[[^\]]*\]|\S+", each.usage)
    return [".HP", " ".join(_marked(word.replace(" ", "~")) for word in words)]


def _marked(word):
    word = _escape(word.replace("~", "\0"))
    word = re.sub(r"<([^>]+?)(\.\.\.)?>", lambda found: rf"\fI{found[1]}\fR{found[2] or ''}", word)
    word = re.sub(r"(?<![\w-])((?:\\-){1,2}[\w][\w\\-]*)", r"\\fB\1\\fR", word)
    if re.fullmatch(r"[a-z]+", word):
        word = rf"\fB{word}\fR"
    # An unbreakable space.
    return word.replace("\0", r"\~")


def _paragraphs(texts):
    lines = []
    for text in texts:
        lines += [".PP", _escape(" ".join(text.split()))]
    return lines


def _list(each, options=".SH OPTIONS"):
    """Positional arguments, then options."""
    lines = []
    if each.positionals:
        lines.append(".SH ARGUMENTS" if options.startswith(".SH") else ".PP")
    for name, text in each.positionals:
        lines += [".TP", rf"\fI{_escape(name)}\fR", _escape(text)]
    lines.append(options)
    for option in each.options:
        names = ", ".join(rf"\fB{_escape(name)}\fR" for name in option.names)
        value = rf" \fI{_escape(option.value)}\fR" if option.value else ""
        lines += [".TP", names + value, _escape(option.text)]
    return lines


def _sections(each, kind):
    """Examples and whatever else there is, line by line as it stands."""
    lines = []
    for title, body in each.sections.items():
        heading = "EXIT STATUS" if title == "Error codes" else title.upper()
        lines += [f".SH {heading}"] if kind == ".SH" else [".PP", f"{title}:"]
        lines += [".PP", ".nf", ".RS 4", *(_escape(line) for line in body), ".RE", ".fi"]
    return lines


def _escape(text):
    """Text in which nothing means anything to roff; what stands in backticks becomes bold."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("^", "\\(ha").replace("~", "\\(ti")
    text = re.sub(r"`([^`]+)`", r"\\fB\1\\fR", text).replace("`", "\\(ga")
    return "\\&" + text if text[:1] in (".", "'") else text
