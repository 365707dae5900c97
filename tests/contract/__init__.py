"""What a user of songsplit relies on, tested through public names and commands only.

These tests outlive rewrites of the package: they are changed only where a promise to users
changes. ``python -m tests.contract.reference`` makes ``reference.json`` anew.
"""
