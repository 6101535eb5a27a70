"""What can go wrong with the broker's process.

BrokerProblem
├── PortInUse          somebody else listens there
├── StateFolderInUse   another broker works in that folder
├── BrokerMissing      its program is not installed
└── BrokerFailed       it ended, or did not answer in time
"""

from __future__ import annotations


class BrokerProblem(RuntimeError):
    """The broker could not be started or kept; the text says what to do."""


class PortInUse(BrokerProblem):
    pass


class StateFolderInUse(BrokerProblem):
    pass


class BrokerMissing(BrokerProblem):
    pass


class BrokerFailed(BrokerProblem):
    pass
