"""clustersim: a laboratory for cluster scheduling."""

__version__ = "0.1.0"
