"""Demos on the doubles of the tests: they run from a checkout, by `make demo-...`."""
