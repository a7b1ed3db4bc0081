"""Completion in bash, zsh and fish: each shell itself completes a command line."""

import shutil
import subprocess

import pytest

from support import needs
from support.shopkeeper import Shopkeeper

BASH = """
source <(mercato completion bash)
COMP_WORDS=(mercato {words} "{last}"); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
_mercato mercato
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
ZSH = """
autoload -Uz compinit; compinit -D
eval "$(mercato completion zsh)"
[[ ${{_comps[mercato]}} == _mercato ]] || exit 9
compadd() {{ print -l -- "$@"; }}; _arguments() {{ print -l -- "$@"; }}; _describe() {{ print -l -- "${{(P@)2}}" "$@"; }}
words=(mercato {words} "{last}"); CURRENT=${{#words}}
_mercato
"""
FISH = """
mercato completion fish | source
complete --do-complete "mercato {words} {last}"
"""
CASES = {
    "bash": (BASH, needs.BASH, ["bash", "-c"]),
    "zsh": (ZSH, needs.ZSH, ["zsh", "-f", "-c"]),
    "fish": (FISH, needs.FISH, ["fish", "--no-config", "-c"]),
}


@pytest.mark.parametrize("shell", CASES)
@pytest.mark.parametrize(
    ("words", "last", "found"),
    [("products", "un", "undelete"), ("orders list --status", "pa", "paid")],
)
def test_a_shell_completes_commands_options_and_choices(anyone: Shopkeeper, shell: str, words: str, last: str, found: str) -> None:
    script, need, command = CASES[shell]
    if not shutil.which(shell):
        need.skip()
    environ = anyone.all_environ(PATH=f"{anyone.program.removesuffix('/mercato')}:/usr/local/bin:/usr/bin:/bin")
    done = subprocess.run(
        [*command, script.format(words=words, last=last)], env=environ, cwd=anyone.home, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done
    assert any(found in line for line in done.stdout.splitlines()), done
    assert "undelete" in done.stdout or words != "products"
    assert "Traceback" not in done.stderr


def test_scripts_of_other_shells_are_wrong_usage(anyone: Shopkeeper) -> None:
    assert anyone("completion", "tcsh").returncode == 2
