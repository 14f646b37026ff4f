"""Write the script that makes bash complete our commands, from the words of the index."""

from __future__ import annotations

from shlex import quote

from conpaas.cli.help import EXTRAS
from conpaas.cli.index import Index
from conpaas.cli.parser import GLOBALS

_SCRIPT = """\
# Bash completion for cps-tools and every cps-<object>.
# How to install it: cps-tools complete --help
_cps_words() {{
    case "$1" in
{cases}
    esac
}}
_cps() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} script=${{COMP_WORDS[0]##*/}} path=() at taking=
    [ "$script" = cps-tools ] || path=("${{script#cps-}}")
    for ((at = 1; at < COMP_CWORD && ${{#path[@]}} < 2; at++)); do
        if [ "$taking" ]; then taking=; continue; fi
        case "${{COMP_WORDS[at]}}" in
            {valued}) taking=1 ;;
            -*|=|help) ;;
            *) path+=("${{COMP_WORDS[at]}}") ;;
        esac
    done
    local IFS=$'\\n'
    local words; words=$(_cps_words "${{path[*]:0:2}}")
    if [ ${{#path[@]}} -eq 2 ] && [[ $word != -* ]]; then
        COMPREPLY=()  # an argument: bash offers files
        return
    fi
    COMPREPLY=($(compgen -W "${{words// /$'\\n'}}" -- "$word"))
}}
complete -o default -o bashdefault -F _cps {scripts}"""


def script(index: Index) -> str:
    """Return the script."""
    cases = {path: _words(index, path) for path in _paths(index)}
    lines = [
        f"        {_pattern(path)}) echo {quote(' '.join(words))} ;;"
        for path, words in cases.items()
    ]
    valued = [flag for flag, (_, metavar, _) in GLOBALS.items() if metavar]
    spelled = [*valued, *(flag.replace("-", "_").replace("__", "--") for flag in valued)]
    scripts = " ".join(["cps-tools", *(f"cps-{name}" for name in index.objects)])
    either = "|".join(dict.fromkeys(spelled))
    return _SCRIPT.format(cases="\n".join(lines), valued=either, scripts=scripts)


def offered(index: Index, path: tuple[str, ...]) -> list[str]:
    """Return the words that may follow: nothing, an object, or an object and an operation."""
    known = path[:2] in _paths(index)
    return _words(index, path[:2]) if known else []


def _paths(index: Index) -> list[tuple[str, ...]]:
    below = [
        (name, operation)
        for name, entry in index.objects.items()
        for operation in entry["operations"]
    ]
    return [(), *((name,) for name in index.objects), *below]


def _words(index: Index, path: tuple[str, ...]) -> list[str]:
    if not path:
        return [*index.objects, *EXTRAS, *GLOBALS]
    if len(path) == 1:
        return [*index.objects[path[0]]["operations"], "help", *GLOBALS]
    command = index.commands(path[0])[path[1]]
    flags = [flag for one in command["arguments"] for flag in one["flags"]]
    long = [flag for flag in (*flags, *command["words"]) if flag[:2] == "--"]
    return list(dict.fromkeys([*long, *GLOBALS]))


def _pattern(path: tuple[str, ...]) -> str:
    # The script joins what was typed with line breaks, which no name holds.
    return "$'" + "\\n".join(path) + "'" if len(path) == 2 else quote("".join(path))
