"""The options of all tasks, each declared once, and a frozen request per task. Pure.

Invoke's arguments, ``--help``, the environment variables, docs/options.md, the command that
reproduces a campaign and the command lines in hints are generated from the declarations.
"""
