"""The compiled network: specs and core."""
