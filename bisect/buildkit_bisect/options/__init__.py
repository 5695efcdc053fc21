"""What can be asked: every option declared once, a frozen request per task. Pure.

From the declarations come Invoke's arguments, ``--help``, the environment twins, docs/options.md,
the command that reproduces a campaign, and the command lines inside hints.
"""
