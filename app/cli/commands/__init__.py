"""The commands as they are typed: arguments, options, help.

What a command does is imported when it runs: models and clients take most of a second to load, and
help and completion must not wait for them.
"""
