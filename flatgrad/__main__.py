"""`python -m flatgrad` is the same command as `flatgrad`."""

from flatgrad.cli import main

if __name__ == "__main__":
    main()
