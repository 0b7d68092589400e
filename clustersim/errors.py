"""Errors that name the thing, the numbers and the remedy."""

from __future__ import annotations


class ClustersimError(Exception):
    """A caller's mistake or bad input; the command line prints the message and exits with status 2."""


class IllegalAnswer(ClustersimError):
    """A policy answered a question with a candidate that its mask forbids."""


class DoesNotFit(ClustersimError):
    """A pod was bound to a node that has no room for it."""


class ConfigError(ClustersimError):
    """A configuration holds unknown, impossible or contradictory values."""


class TraceError(ClustersimError):
    """A trace is missing, damaged or breaks a rule of its format."""


class ResultsError(ClustersimError):
    """A results folder cannot be used for this benchmark."""


class TraceWarning(UserWarning):
    """A trace has a known defect, which is left as it is."""
