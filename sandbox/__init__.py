"""A provider simulator: it speaks the providers' own dialects on real sockets, fails on command, and
shows what it received.

It stands alone. Nothing here imports the rest of the project: the dialects are written from the
providers' documents, so that a misreading in an adapter is not answered by the same misreading.
"""
