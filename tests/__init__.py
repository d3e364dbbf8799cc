"""The tests of the three packages."""
