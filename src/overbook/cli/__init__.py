"""Commands, one module each, imported only when called."""

import argparse
import importlib
import sys


def main(argv=None):
    parser = argparse.ArgumentParser(prog="overbook")
    sub = parser.add_subparsers(dest="command", required=True)
    names = ["agent", "sandbox"]
    args0 = sys.argv[1:] if argv is None else list(argv)
    importlib.import_module(f"overbook.cli.{args0[0]}").add_parser(sub)
    args = parser.parse_args(args0)
    return args.run(args)
