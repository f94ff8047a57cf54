"""Fixtures of layers, for all tests of the reasoners."""

from reasoning.layer_fixtures import classes, filters, generator, labels, layer, rows  # noqa: F401
