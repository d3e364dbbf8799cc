"""What is wrong with a library, in words, each with what to do; and the repairs that are safe.

It reads the folders itself, because a library that is broken may not open at all.
"""
