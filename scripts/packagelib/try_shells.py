"""The completions, each in its own shell: flags, commands, and every value that the help lists."""

import os
import pty
import re
import select
import shutil
import signal
import tempfile
import time
from pathlib import Path

from showlib.report import Trouble

from .stage import run

PATIENCE = 15


def show(stage):
    report = stage.report
    report.part("shells", "completions, in the shells themselves")
    for name, complete in (("bash", _bash), ("zsh", _zsh), ("fish", _fish)):
        if not shutil.which(name):
            report.skip(f"completion in {name}", f"{name} is not installed")
            continue
        cases = _cases(stage.help)
        answers = complete(stage.generated / "completions", [words for words, _ in cases])
        wrong = [f"{' '.join(words)!r}: {sorted(got)[:9]}, not {sorted(wanted)}"
                 for (words, wanted), got in zip(cases, answers) if not wanted <= got]
        report.check(f"{name}, {len(cases)} times", not wrong, wrong[:3] or "as --help says", "as --help says")
    report.end_part()


def _cases(found):
    """[(words typed, completions of the last)]."""
    main, commands, _ = found
    cases = [([""], {name for name, _ in main.commands}), (["-"], {name for each in main.options for name in each.names
                                                                   if name.startswith("--")})]
    for each in [main, *commands]:
        before = [each.command] if each.command else []
        longest = max((name for option in each.options for name in option.names), key=len)
        cases.append(([*before, longest[:-2]], {longest}))
        for option in each.options:
            if option.words():
                cases.append(([*before, option.names[-1], ""], set(option.words())))
                last = option.words()[-1]
                cases.append(([*before, f"{option.names[-1]}={last[:2]}"], {last}))
    return cases


def _bash(folder, cases):
    """Its function is called as bash calls it, without a terminal."""
    script = ['source "$1"', "complete -p footbridge"]
    for words in cases:
        # bash itself takes an equals sign for a word.
        split = [part for word in words for part in re.split(r"(?<==)|(?==)", word)] if "=" in words[-1] else words
        line = " ".join(f"'{word}'" for word in ["footbridge", *split])
        script += [f"COMP_WORDS=({line}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); _footbridge",
                   'echo "${COMPREPLY[*]}"']
    first, *answers = run("bash", "--norc", "-c", "\n".join(script), "bash", folder / "footbridge.bash").splitlines()
    if "-F _footbridge footbridge" not in first:
        raise Trouble(f"bash does not know the completion: {first}")
    return [set(answer.split()) for answer in answers]


def _fish(folder, cases):
    script = [f"source {folder}/footbridge.fish"]
    for words in cases:
        script += [f"complete -C 'footbridge {' '.join(words)}'", "echo '--- end'"]
    said = run("fish", "--no-config", "-c", "\n".join(script), env={**os.environ, "HOME": str(folder)})
    answers = [{line.split("\t")[0] for line in block.splitlines()} for block in said.split("--- end\n")[:-1]]
    return [{name.rpartition("=")[2] if "=" in words[-1] else name for name in answer}
            for words, answer in zip(cases, answers)]


# zsh completes only while somebody types. So a key asks for the list of completions, which on their way to the screen
# are written to a file, too.
ZSH = r"""
fpath=($1 $fpath)
autoload -Uz compinit
compinit -u -D
compadd() {
    if [[ ${@[1,(i)(-|--)]} != *-(O|A|D)\ * ]]; then
        local -a found
        builtin compadd -O found "$@"
        print -rl -- $found >>$said
    fi
    builtin compadd "$@"
}
zle -C list list-choices _generic
zstyle ':completion:list:*' completer _complete
listed() { zle list; print -- '--- end' >>$said }
zle -N listed
bindkey '^X' listed
bindkey '^U' kill-whole-line
setopt NO_BEEP
said=$2
print -- '--- end' >>$said
"""


def _zsh(folder, cases):
    with tempfile.TemporaryDirectory() as temporary, Terminal(["zsh", "-f", "-i"], {"TERM": "dumb"}) as terminal:
        script, said = Path(temporary, "script"), Path(temporary, "said")
        script.write_text(ZSH)
        said.touch()
        terminal.type(f"source {script} {folder} {said}\r")
        answers = [terminal.until(said, 1)]
        for number, words in enumerate(cases, 2):
            terminal.type(f"\x15footbridge {' '.join(words)}\x18")
            answers.append(terminal.until(said, number))
    return answers[1:]


class Terminal:
    """A program on a terminal of its own; it is killed with the block."""

    def __init__(self, command, environment):
        self._command, self._environment = command, {**os.environ, **environment}

    def __enter__(self):
        self._pid, self._terminal = pty.fork()
        if self._pid == 0:
            try:
                os.execvpe(self._command[0], self._command, self._environment)
            finally:
                os._exit(127)
        return self

    def __exit__(self, *_):
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        os.close(self._terminal)

    def type(self, text):
        os.write(self._terminal, text.encode())

    def until(self, said, number):
        """The lines before the last of so many ends in the file `said`, since the end before."""
        deadline = time.monotonic() + PATIENCE
        while said.read_text().count("--- end\n") < number:
            if time.monotonic() > deadline:
                raise Trouble(f"{self._command[0]} says nothing")
            # What it shows is of no interest, but somebody has to take it.
            if select.select([self._terminal], [], [], 0.02)[0]:
                os.read(self._terminal, 65536)
        return set(said.read_text().split("--- end\n")[number - 1].split())
