"""Moves a library to another folder: copied, checked, and switched over only when all is there."""
