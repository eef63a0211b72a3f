"""`python -m astrollama.cli`, where the command `astrollama` is not on the path."""

from astrollama.cli.main import main

main()
