"""``python -m pynn``: the same as the command ``pynn``; with ``--cflags`` and its kin, where the C library is."""

import sys


def main(arguments: list[str]) -> int:
    """The exit status of the command, or 0 after printing the flags asked for."""
    from .embedding import FLAGS

    if arguments and all(argument in FLAGS for argument in arguments):
        print(*(FLAGS[argument]() for argument in arguments))
        return 0
    from .cli.main import main as command

    return command(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
