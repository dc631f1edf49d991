"""Run the command `hydrant` as `python -m processor.cli`."""

from processor.cli import command_line

command_line(prog_name="hydrant")
