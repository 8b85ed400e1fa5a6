"""`mailmux completion`: has the shell complete commands and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the SHELL's script for completion.

    \b
    bash:  eval "$(mailmux completion bash)"      in ~/.bashrc
    zsh:   eval "$(mailmux completion zsh)"       in ~/.zshrc
    fish:  mailmux completion fish > ~/.config/fish/completions/mailmux.fish
    """
    found = get_completion_class(shell)
    root = click.get_current_context().find_root().command
    assert found is not None
    click.echo(found(root, {}, "mailmux", "_MAILMUX_COMPLETE").source())
