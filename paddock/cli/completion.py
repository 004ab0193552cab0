"""`paddock completion`: the script by which a shell completes this command's lines.

They know nothing of the verbs: they hand the line to this command (paddock.cli.candidates), so an upgrade needs no new one.
"""

from __future__ import annotations

import argparse
import sys

from paddock.cli.candidates import FILES
from paddock.cli.exit_codes import OK

_BASH = """\
# bash completion for paddock. For this shell alone: . <(paddock completion bash)
_paddock() {
    local line=${COMP_LINE:0:COMP_POINT} reply current candidate
    local -a words
    read -ra words <<<"$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    COMPREPLY=()
    reply=$("${COMP_WORDS[0]}" @WORD@ "${words[@]:1}" 2>/dev/null)
    if (($? == @FILES@)); then
        compopt -o default
        return
    fi
    # readline replaces only what stands behind the last of these characters.
    current=${words[-1]}
    while IFS=$'\\t' read -r candidate _; do
        [[ -n $candidate ]] && COMPREPLY+=("${candidate#"${current%"${current##*[=:]}"}"}")
    done <<<"$reply"
}
complete -F _paddock paddock
"""

_ZSH = """\
#compdef paddock
# zsh completion for paddock. For this shell alone: . <(paddock completion zsh)
_paddock() {
    local reply word what
    local -a typed described
    typed=("${(@)words[1,CURRENT-1]}" "$PREFIX")
    reply=$("${typed[1]}" @WORD@ "${(@)typed[2,-1]}" 2>/dev/null)
    if (( $? == @FILES@ )); then
        _files
        return
    fi
    while IFS=$'\\t' read -r word what; do
        [[ -n $word ]] && described+=("${word//:/\\\\:}:$what")
    done <<<"$reply"
    _describe paddock described
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then _paddock "$@"; else compdef _paddock paddock; fi
"""

_FISH = """\
# fish completion for paddock. For this shell alone: paddock completion fish | source
function __paddock_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l reply (command $words[1] @WORD@ $words[2..-1] "$current" 2>/dev/null)
    if test $status -eq @FILES@
        __fish_complete_path "$current"
    else
        string join \\n -- $reply
    end
end
complete -c paddock -f -a '(__paddock_complete)'
"""

SCRIPTS = {
    shell: text.replace("@WORD@", "__complete").replace("@FILES@", str(FILES))
    for shell, text in (("bash", _BASH), ("zsh", _ZSH), ("fish", _FISH))
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What it takes."""
    parser.add_argument("shell", choices=tuple(SCRIPTS), help="whose script")


async def run(arguments: argparse.Namespace) -> int:
    """Print the script."""
    sys.stdout.write(SCRIPTS[arguments.shell])
    return OK
