"""The man page: roff finds nothing wrong with it, and a reader finds in it every flag and every sentence of --help."""

import re
import shutil
import subprocess

from .stage import run


def show(stage):
    report = stage.report
    report.part("man", "the man page, made from the text of --help")
    path = stage.generated / "footbridge.1"
    if shutil.which("groff"):
        report.check("groff's warnings", not _warnings(path), _warnings(path) or "none", "none")
    else:
        report.skip("the man page's macros", "groff is not installed")
    if shutil.which("man"):
        shown = run("man", "-l", path, env={"MANWIDTH": "1000", "MAN_KEEP_FORMATTING": "", "LC_ALL": "C.UTF-8",
                                            "PATH": "/usr/bin:/bin"})
        missing = [text for text in _sentences(stage.help) if text not in _plain(shown)]
        report.check("what --help says and the page does not", not missing, missing[:3] or "nothing", "nothing")
        report.note(f"{len(shown.split())} words")
    else:
        report.skip("the man page as it is read", "man is not installed")
    report.end_part()


def _warnings(path):
    done = subprocess.run(["groff", "-man", "-ww", "-K", "utf8", "-T", "utf8", "-z", path], capture_output=True,
                          text=True, timeout=20)
    return done.stderr.strip()


def _sentences(found):
    """Every flag with its value, every text, every example."""
    main, commands, version = found
    texts = [version]
    for each in [main, *commands]:
        texts += each.description
        texts += [" ".join([", ".join(option.names), option.value or ""]) for option in each.options]
        texts += [option.text for option in each.options] + [text for _, text in each.positionals]
        texts += [line for body in each.sections.values() for line in body]
    return [_plain(text) for text in texts]


def _plain(text):
    """Without what a page may do to text: quotes become round, spaces fewer, words bold."""
    text = re.sub(r"\x1b\[[\d;]*m|.\x08", "", text)
    text = text.replace("`", "").replace("\u2019", "'").replace("\u2010", "-").replace("\u2212", "-")
    return " ".join(text.split())
