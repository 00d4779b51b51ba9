"""`python -m nanocensus` is the command line."""

from nanocensus.cli import main

main()
