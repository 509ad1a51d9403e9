"""Writes completions for bash, zsh and fish from Help: commands, flags, and the values that the help lists."""

import re

NOTE = "# Written by scripts/package/generate from the text of footbridge --help."
# What the shells know better than the help: names of this machine's users and groups.
ACCOUNTS = {"--user": "user", "--group": "group"}


def bash(main, commands):
    """Needs no package bash-completion. bash takes --flag=value for three words, so the value may follow a `=`."""
    taking = "|".join(sorted({name for each in [main, *commands] for option in each.options if option.value
                              for name in option.names}))
    names = [name for name, _ in main.commands]
    lines = [NOTE, "_footbridge() {",
             "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} command= i",
             "    COMPREPLY=()",
             "    for ((i = 1; i < COMP_CWORD; i++)); do",
             "        case ${COMP_WORDS[i]} in",
             f"            {taking})", "                [[ ${COMP_WORDS[i+1]} == '=' ]] && ((i++))",
             "                ((i++)) ;;",
             f"            {'|'.join(names)}) command=${{COMP_WORDS[i]}}; break ;;" if names else "",
             "        esac", "    done",
             "    [[ $word == '=' ]] && word=",
             "    [[ $before == '=' ]] && before=${COMP_WORDS[COMP_CWORD-2]}",
             "    case $command:$before in"]
    for each in [main, *commands]:
        lines += [f"        {'|'.join(f'{each.command}:{name}' for name in option.names)}) {_bash_values(option)}return ;;"
                  for option in each.options if option.value]
    lines += ["    esac", "    case $command in"]
    for each in [main, *commands]:
        words = [*_flags(each), *(name for name, _ in each.commands)]
        files = " -f" if _takes_files(each) else ""
        pattern = each.command or "''"
        lines.append(f"        {pattern}) {_bash_reply(f'-W {_quoted(chr(32).join(words))}{files}')} ;;")
    return _joined([*lines, "    esac", "}", "complete -o filenames -F _footbridge footbridge"])


def _bash_values(option):
    wanted = []
    if option.words():
        wanted.append(f"-W '{' '.join(option.words())}'")
    if option.takes_file():
        wanted.append("-f")
    if option.names[-1] in ACCOUNTS:
        wanted.append(f"-A {ACCOUNTS[option.names[-1]]}")
    return f"{_bash_reply(' '.join(wanted))}; " if wanted else ""


def _bash_reply(wanted):
    """One line, one completion: names of files may have spaces."""
    return f'mapfile -t COMPREPLY < <(compgen {wanted} -- "$word")'


def zsh(main, commands):
    lines = ["#compdef footbridge", NOTE, "_footbridge() {",
             "    local curcontext=$curcontext state line", "    local -a commands", "    commands=("]
    lines += [f"        {_quoted(f'{name}:{text}')}" for name, text in main.commands]
    lines += ["    )", "    _arguments -C \\", *_zsh_options(main, "        "),
              "        '1: :->command' \\", "        '*:: :->arguments'", "    case $state in",
              "        command) _describe command commands ;;", "        arguments)", "            case $words[1] in"]
    for each in commands:
        rest = " \\\n                    '*:file:_files'" if _takes_files(each) else ""
        options = _zsh_options(each, "                    ")
        options[-1] = options[-1].removesuffix(" \\")
        lines += [f"                {each.command}) _arguments \\", *options[:-1], f"{options[-1]}{rest} ;;"]
    return _joined([*lines, "            esac ;;", "    esac", "}", "",
                    '# Loaded by compinit it is a function to run; read with `source` it says whom it serves.',
                    'if [[ $funcstack[1] == _footbridge ]]; then _footbridge "$@"; else compdef _footbridge footbridge; fi'])


def _zsh_options(each, indent):
    lines = []
    for option in each.options:
        text = re.sub(r"([\[\]\\])", r"\\\1", option.text)
        star = "*" if option.repeatable else ""
        for name in option.names:
            others = " ".join(other for other in option.names if not option.repeatable)
            begin = star or (f"({others})" if len(option.names) > 1 else "")
            equals = "=" if option.value and name.startswith("--") else ""
            value = f":{option.value}:{_zsh_values(option)}" if option.value else ""
            lines.append(f"{indent}{_quoted(f'{begin}{name}{equals}[{text}]{value}')} \\")
    return lines


def _zsh_values(option):
    words = f"({' '.join(option.words())})" if option.words() else ""
    if option.names[-1] in ACCOUNTS:
        return f"_{ACCOUNTS[option.names[-1]]}s"
    if option.takes_file():
        # A bare colon would begin the option's next value.
        return rf'{{_alternative "words\:word\:{words}" "files\:file\:_files"}}' if words else "_files"
    return words or " "


def fish(main, commands):
    names = " ".join(name for name, _ in main.commands)
    lines = [NOTE, "complete -c footbridge -f"]
    lines += [f"complete -c footbridge -n __fish_use_subcommand -a {name} -d {_fish_quoted(text)}"
              for name, text in main.commands]
    for each in [main, *commands]:
        when = f"__fish_seen_subcommand_from {each.command}" if each.command else \
            f"not __fish_seen_subcommand_from {names}"
        lines += [f"complete -c footbridge -n '{when}' {_fish_option(option)}" for option in each.options]
        if _takes_files(each):
            lines.append(f"complete -c footbridge -n '{when}' -F")
    return _joined(lines)


def _fish_option(option):
    words = [f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in option.names]
    if option.value:
        values = " ".join(option.words())
        if option.names[-1] in ACCOUNTS:
            values = f"(__fish_complete_{ACCOUNTS[option.names[-1]]}s)"
        words.append("-r -F" if option.takes_file() else "-x")
        words += [f"-a {_fish_quoted(values)}"] if values else []
    return " ".join([*words, f"-d {_fish_quoted(option.text)}"])


def _takes_files(each):
    return any(name in ("file", "path", "files") for name, _ in each.positionals)


def _flags(each):
    return [name for option in each.options for name in option.names]


def _joined(lines):
    return "\n".join(line for line in lines if line is not None) + "\n"


def _quoted(text):
    return "'" + text.replace("'", r"'\''") + "'"


def _fish_quoted(text):
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
