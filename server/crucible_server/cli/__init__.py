"""The command `crucible`: one file per command."""


def main() -> None:
    pass
