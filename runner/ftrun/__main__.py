"""`python -m ftrun`: the command, for where it is not on the path."""

from ftrun.cli import main

main()
