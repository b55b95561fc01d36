"""Tools around a model."""
