"""`python -m processor.cli`: the command `hydrant`."""

from processor.cli import main

main()
