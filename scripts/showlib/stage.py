"""What every part is given: the program, how large to play, and where to report."""

from .processes import Footbridge

#: A shared machine in CI may stand still for a moment. Only bounds of time are stretched there, by this.
QUICK_PATIENCE = 10


class Stage:
    def __init__(self, program, report, quick):
        self.program, self.report, self.quick = program, report, quick

    def footbridge(self, backends, *flags, wrapper=()):
        return Footbridge(self.program, backends, *flags, wrapper=wrapper)

    def configured(self, path):
        """As the file says, which has the backends and a listener on 127.0.0.1."""
        return Footbridge(self.program, [], config=path)

    def size(self, full, quick):
        return quick if self.quick else full

    def within(self, seconds):
        """A bound of time as it applies in this run."""
        return seconds * (QUICK_PATIENCE if self.quick else 1)
