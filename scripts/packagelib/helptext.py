"""Reads what `footbridge --help` prints. Output: Help, from which the man page and the completions are written.

The text has the shape that argh gives it: `Usage:`, a description, sections whose titles end with a colon, and in them
entries: a name indented by two, its text from column 20 on, wrapped. A text of another shape is an error, not a guess.
"""

import dataclasses
import re
import subprocess


class Unreadable(Exception):
    """The help is not of the shape that is known here; the text says what is odd."""


@dataclasses.dataclass
class Option:
    """One flag. `names` are all spellings, such as -h and --help; `value` is None for one that takes none."""

    names: list
    text: str
    value: str = None
    repeatable: bool = False

    def words(self):
        """The values that the text lists: `text (default) | json` has two."""
        return [part for part in self._choices() if re.fullmatch(r"[a-z0-9-]+", part)]

    def takes_file(self):
        return self.value in ("file", "dir", "folder") or any(
            re.fullmatch(r"an? (path|file)", part) for part in self._choices())

    def _choices(self):
        parts = [part.replace("(default)", "").strip() for part in re.split(r"[;:.]\s", self.text)[0].split(" | ")]
        return parts if len(parts) > 1 else []


@dataclasses.dataclass
class Help:
    """The help of the program (`command` is empty) or of one of its commands."""

    command: str
    usage: str
    description: list
    options: list
    positionals: list = dataclasses.field(default_factory=list)
    commands: list = dataclasses.field(default_factory=list)
    # Whatever else there is: {title: lines}.
    sections: dict = dataclasses.field(default_factory=dict)


def read(program):
    """The program's help, that of each of its commands, and its version."""
    main = parse("", _run(program, "--help"))
    commands = [parse(name, _run(program, name, "--help")) for name, _ in main.commands]
    return main, commands, _run(program, "--version").strip()


def _run(program, *arguments):
    return subprocess.run([program, *arguments], check=True, capture_output=True, text=True, timeout=10).stdout


def parse(command, text):
    """One help text, as Help."""
    usage, *blocks = re.split(r"\n\n+", text.rstrip("\n"))
    if not usage.startswith("Usage: "):
        raise Unreadable(f"it does not begin with 'Usage: ': {usage[:60]!r}")
    found = Help(command, " ".join(usage.removeprefix("Usage: ").split()), [], [])
    for block in blocks:
        title, _, rest = block.partition("\n")
        if not re.fullmatch(r"[A-Z][A-Za-z ]*:", title):
            # More of the section before it, or, before all sections, of the description.
            more = next(reversed(found.sections.values()), None)
            if more is None:
                found.description.append(block)
            else:
                more += ["", *_dedented(block)]
        else:
            _section(found, title.rstrip(":"), rest)
    if not found.description or not found.options:
        raise Unreadable(f"{command or 'footbridge'} --help has no description or no options")
    return found


def _section(found, title, body):
    if title == "Options":
        found.options = [_option(found.usage, name, text) for name, text in _entries(body)]
    elif title == "Commands":
        # argh puts a command's letter, if it has one, after its name.
        found.commands = [(name.split()[0], text) for name, text in _entries(body)]
    elif title == "Positional Arguments":
        found.positionals = _entries(body)
    else:
        found.sections[title] = _dedented(body)


def _dedented(body):
    return [line.removeprefix("  ") for line in body.splitlines()]


def _entries(body):
    """[(name, text)] with the text unwrapped."""
    entries = []
    for line in body.splitlines():
        begin = re.fullmatch(r"  (\S.*?)(?: {2,}(\S.*))?", line)
        if begin and line[:19].strip():
            # A name that reaches column 20 has its text on the next line.
            entries.append([begin[1], begin[2] or ""])
        elif entries and line.startswith(" " * 20):
            entries[-1][1] = f"{entries[-1][1]} {line.strip()}".strip()
        else:
            raise Unreadable(f"a line that is no entry: {line!r}")
    return [tuple(entry) for entry in entries]


def _option(usage, names, text):
    """Usage says what an option takes; the list of options does not."""
    spellings = [name for name in names.split(", ") if name.startswith("-")]
    if "--help" in spellings:
        return Option(spellings, text)
    for name in spellings:
        found = re.search(rf"(?<![\w-]){re.escape(name)}(?: <([^>.]+)(\.\.\.)?>)?(?=[\]\s]|$)", usage)
        if found:
            return Option(spellings, text, found[1], bool(found[2]))
    raise Unreadable(f"{names} is not in the usage: {usage!r}")
